"""Write the page of the experiment from its results; all numbers are computed."""

from __future__ import annotations

import json
from itertools import pairwise
from statistics import mean
from typing import TYPE_CHECKING

from best import section
from rewards import GOLD, TRUTH
from seeds import against_naive, clear, results, seeds_of, shown, whole

from trueward.core.atomic_io import replacing
from trueward.evaluation.plotting import altair, lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from seeds import Run, Runs

POINTS = 10  # points of a curve; each is the mean over a tenth of the steps
TRUE, FALL = "rewards/truth/mean", 0.05
NEAR = 0.02  # KL weights above this keep the policy close, in the title of the page
LIMITS = [
    "## What this does not show",
    "",
    "One small world, one weak policy, one step size; the log is not renewed while the policy learns. Of the same experiment there are three pages:",
    "with [a log of what the policy writes](rlhf_truth.md), with [such a log and ten times the KL weight](rlhf_truth_near.md), which holds the",
    "policy near its beginning, and with [a log of answers that the policy does not write](rlhf_truth_desk.md), where every reward, also that of",
    "clean labels, is asked about text that it knows nothing of. The truth is not fooled by that. Six seeds cannot see differences of less than",
    "about .2 after training: [exact policies](downstream.md) compare the rewards at equal divergence, and renew the log.",
]
WHOSE = {
    "desk": "answers of the help desk, which write no foreign text",
    "policy": "what the policy itself wrote before any reward",
}
SHOWN = ("complete", "terse", "partial", "vague", "wrong_product", "truncated", "foreign")


def curve(run: Run, name: str) -> list[float]:
    """Return a metric over training, as means over tenths of the steps."""
    values = [s[name] for s in run["steps"]]
    n = min(POINTS, len(values))
    edges = [round(k * len(values) / n) for k in range(n + 1)]
    return [mean(values[a:b]) for a, b in pairwise(edges)]


def write_page(out: Path, page: Path) -> None:
    """Write the page and its two figures."""
    settings = json.loads((out / "settings.json").read_text("utf-8"))
    begun = json.loads((out / "start.json").read_text("utf-8"))
    found, best = results(out, "results"), results(out, "best")
    trained, seeds, logs = whole(found), seeds_of(found), seeds_of(best)
    _figures(trained, page)
    parts = [
        *_head(settings, begun, seeds, logs, out, page),
        *section(whole(best), settings),
        *_table(trained),
        *_over(trained),
        *_kinds(trained, begun),
        *_failures(found),
        *LIMITS,
    ]
    with replacing(page) as path:
        text = "\n".join(parts).rstrip().replace("{stem}", page.stem)
        path.write_text(text + "\n", encoding="utf-8")


def _head(settings: Run, begun: Run, seeds: int, logs: int, out: Path, page: Path) -> list[str]:
    stem, batch = page.stem, settings["prompts"] * settings["group"]
    title = ", a log of other answers" if settings["log"] == "desk" else ""
    title += ", held near" if settings["kl"] > NEAR else ""
    return [
        f"# RLHF where the truth is known{title}",
        "",
        "The papers claim that a debiased reward gives a better policy. Here the claim is tested in a world in which the true",
        "quality of *any* text is known: `trueward.simulation.helpdesk_truth` reads off a question and an answer which kind of",
        "answer it is and gives P(rating > 2) of that kind, an exact function of the text; text that no kind can have written",
        "is worth 0. On the answers of the generated help desk it finds the kind of every one (`tests/simulation/test_helpdesk.py`).",
        "",
        f"A language model of {settings['layers']} layers and {settings['width']} columns learns to answer as the help desk does, "
        f"good and bad: true quality {begun['quality']:.3f}.",
        f"From there TRL's GRPO, as `trueward align` runs it, makes {settings['align_steps']} steps of {batch} answers "
        f"({settings['prompts']} questions, {settings['group']} answers each), KL weight {settings['kl']:g}, with each of:",
        "",
        f"- `naive`, `causalrm`, `three_outcome`, `anchored` (with {GOLD} trusted labels), all fitted on the *same* log of a seed: {WHOSE[settings['log']]}, feedback rate .2, "
        f"selection by rating (α = {settings['alpha']:g}), noise .1 and .2;",
        "- `clean labels`: the same features and network, fitted on the true label of every logged answer;",
        "- `truth`: the true quality itself, the ceiling of this training.",
        "",
        f"{seeds} seeds for what is trained; a seed draws log, selection, noise, fit and training. The policy before any reward is one and the same.",
        "Figures are means over seeds with 95 % intervals of Student's t. Made by",
        "",
        "```",
        f"python examples/rlhf_truth/run.py --out {out} --size {settings['size']} --alpha {settings['alpha']:g} "
        f"--kl {settings['kl']:g} --log {settings['log']} --seeds {seeds} --logs {logs} --page docs/{page.name}",
        "```",
        "",
        f"![true quality over training]({stem}.svg)",
        "",
    ]


def _table(found: Runs) -> list[str]:
    """Return the table of the final policies."""
    rows = [
        "## What the policies are worth",
        "",
        "Answers to questions that no policy was trained on, one each, sampled at temperature 1. Reward model: on clean labels",
        "of other questions. `against naive`: differences within a seed.",
        "",
        "| reward | AUROC | pair accuracy | true quality | against naive | KL a token | characters |",
        "|---|---|---|---|---|---|---|",
    ]
    for arm, runs in found.items():
        models = [r["reward_model"] for r in runs if r["reward_model"]]
        auroc, pairs = (
            f"{mean(m[k] for m in models):.3f}" if models else "-"
            for k in ("auroc", "pair_accuracy")
        )
        against = against_naive(found, arm, lambda r: r["final"]["quality"])
        quality = shown([r["final"]["quality"] for r in runs])
        kl = f"{mean(curve(r, 'kl')[-1] for r in runs):.3f}"
        length = f"{mean(r['final']['characters'] for r in runs):.0f}"
        cells = [f"`{arm}`", auroc, pairs, quality, against, kl, length]
        rows.append(f"| {' | '.join(cells)} |")
    return [*rows, ""]


def _over(found: Runs) -> list[str]:
    """Return the table of over-optimisation: proxy reward and true quality."""
    rows = [
        "## What the reward says, and what is true",
        "",
        "Over-optimisation is a reward that rises while the truth falls. Training is cut into tenths; *best* is the tenth with the",
        "highest true quality, which only the truth could have chosen, and the highest of ten noisy means, so a little too high; *last* is the",
        "last tenth. The proxy is the mean reward, in standard deviations of the log's answers. `fallen` counts the seeds in which the truth fell",
        f"by more than {FALL:g} after its best while the proxy rose. `far`: answers that the reward model says are unlike any of its log.",
        "",
        "| reward | proxy, first | proxy, last | truth, first | truth, best | best against naive | KL at best | truth, last | far, last | fallen |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for arm, runs in found.items():
        proxy, true = ([curve(r, name) for r in runs] for name in ("reward", TRUE))
        best = [q.index(max(q)) for q in true]
        at = mean(curve(r, "kl")[k] for r, k in zip(runs, best, strict=True))
        cells = [
            f"`{arm}`",
            *(f"{mean(c[k] for c in proxy):+.2f}" for k in (0, -1)),
            f"{mean(q[0] for q in true):.3f}",
            shown([max(q) for q in true]),
            against_naive(found, arm, _best),
            f"{at:.2f}",
            shown([q[-1] for q in true]),
            "-" if arm == TRUTH else f"{mean(curve(r, 'proxy/far')[-1] for r in runs):.0%}",
            f"{sum(map(fell, runs))} of {len(runs)}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return [*rows, "", *_said(found)]


def _best(run: Run) -> float:
    """Return the highest true quality of a tenth."""
    return max(curve(run, TRUE))


def fell(run: Run) -> bool:
    """Return whether the true quality fell after its maximum while the reward rose."""
    proxy, true = curve(run, "reward"), curve(run, TRUE)
    best = true.index(max(true))
    return true[best] - true[-1] > FALL and proxy[-1] > proxy[best]


def _said(found: Runs) -> list[str]:
    """Return the summary of the tables in sentences."""
    runs = [r for arm, every in found.items() if arm != TRUTH for r in every]
    worse = sum(curve(r, TRUE)[-1] < curve(r, TRUE)[0] for r in runs)
    return [
        f"With a learned reward the truth fell from its best while the reward went on rising in {sum(map(fell, runs))} of {len(runs)} runs, and "
        f"ended below where it began in {worse}.",
        f"At their best, against `naive` within a seed, these differ by more than their interval: {clear(found, _best)}.",
        "",
        "![what each reward says, and the truth]({stem}_proxy.svg)",
        "",
    ]


def _kinds(found: Runs, begun: Run) -> list[str]:
    """Return the table of the kinds of answers."""
    rows = [
        "## What they write",
        "",
        "Shares of the kinds of answers; `foreign` is text that no kind can have written, such as steps twice or of two tasks.",
        "",
        f"| policy | {' | '.join(SHOWN)} | other |",
        f"|---|{'---|' * (len(SHOWN) + 1)}",
    ]

    def row(name: str, kinds: Callable[[str], float]) -> str:
        shares = [kinds(k) for k in SHOWN]
        cells = " | ".join(f"{s:.0%}" for s in (*shares, 1 - sum(shares)))
        return f"| {name} | {cells} |"

    rows.append(row("before any reward", lambda k: begun["kinds"][k]))
    for arm, runs in found.items():
        rows.append(row(f"`{arm}`", lambda k, r=runs: mean(x["final"]["kinds"][k] for x in r)))
    return [*rows, ""]


def _failures(found: Runs) -> list[str]:
    """Return the failed fits with their errors."""
    lost = [(arm, r) for arm, runs in found.items() for r in runs if "failed" in r]
    return [f"`{arm}`, seed {r['seed']}, has no policy: {r['failed']}" for arm, r in lost]


def _figures(found: Runs, page: Path) -> None:
    """Draw the true quality over training, and the prediction of each reward."""
    alt = altair()
    points, believed = [], []
    for arm, runs in found.items():
        true = list(zip(*(curve(r, TRUE) for r in runs), strict=True))
        steps = [s["step"] for s in runs[0]["steps"]]
        at = [round(steps[-1] * (k + 1) / len(true)) for k in range(len(true))]
        points += [
            {"step": s, "true quality": mean(v), "series": arm}
            for s, v in zip(at, true, strict=True)
        ]
        if arm == TRUTH:
            continue
        p = list(zip(*(curve(r, "proxy/preferred") for r in runs), strict=True))
        both = (("what the reward says", p), ("the truth", true))
        drawn = [
            {"step": s, "P(good)": mean(v), "series": name, "low": min(v), "high": max(v)}
            for name, values in both
            for s, v in zip(at, values, strict=True)
        ]
        small = lines(drawn, "step", "P(good)")
        small = small.properties(width=210, height=150, title=arm)
        small.padding = alt.Undefined  # a chart beside others has none of its own
        believed.append(small)
    whole = lines(points, "step", "true quality")
    for name, chart in (("", whole), ("_proxy", alt.concat(*believed, columns=2))):
        with replacing(page.with_name(f"{page.stem}{name}.svg")) as path:
            chart.save(str(path))
