"""Write docs/downstream.md from the cells of `downstream` and the pages of `examples/rlhf_truth`.

python benchmarks/downstream.py --data ../shared/data --out runs/downstream --worlds helpdesk --mechanisms rating --seeds 1
python benchmarks/downstream.py --data ../shared/data --out runs/downstream --worlds helpdesk --mechanisms annoyed rating --rounds 2
python benchmarks/downstream.py --data ../shared/data --out runs/downstream --worlds helpdesk --mechanisms annoyed label --first 2 --seeds 4 --renewed-seeds 0
python benchmarks/downstream.py --data ../shared/data --out runs/downstream --renewed-seeds 1 --rounds 2
python benchmarks/downstream_page.py --out runs/downstream --page docs/downstream.md
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from downstream_results import (
    LEARNED,
    NAIVE,
    SAME,
    Cell,
    Published,
    between_logs,
    gather,
    minus,
    over_logs,
    over_prompts,
    published,
    read_cells,
)
from downstream_words import HEAD, advice, answer, confirmation, expected_gain, limits

from trueward.core.atomic_io import replacing
from trueward.evaluation.paired_power import runs_needed, smallest_difference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

PAGES = {
    "rlhf_truth": "log of the policy",
    "rlhf_truth_near": "log of the policy, held near",
    "rlhf_truth_desk": "log of other answers",
}
WORLDS = {
    "helpdesk": "generated help desk, 16 answers a question, quality exact by kind of answer",
    "arena": "16 models' answers to real prompts, good is a judge's grade above 5.5",
    "gptfuzz": "language models' answers to harmful questions, good is not jailbroken, judged by humans",
}
MAIN = {"helpdesk": "kl 1", "arena": "kl 1", "gptfuzz": "kl 0.5"}  # gptfuzz: at 1 all are safe
ARMS = (
    "auto",
    "causalrm",
    "implicitrm",
    "anchored",
    "naive, 5 members",
    "100 labels alone",
    "clean labels",
)
RENEWED = ("naive", "auto", "causalrm", "implicitrm", "anchored")
POLICIES = ("kl 0.1", "kl 0.5", "kl 1", "kl 2", "best of 4", "best of 16")
MECHANISMS = ("rating", "label", "annoyed", "mar", "looks_like_quality", "mcar")
GROUPS = {
    "**selection by quality**": ("rating", "label", "annoyed"),
    "**selection by text or none**": ("mar", "looks_like_quality", "mcar"),
    "**all logs**": MECHANISMS,
}
CAUTIOUS = {"naive, cautious": "naive, 5 members", "anchored, cautious": "anchored"}
SEEN = (0.01, 0.02, 0.05)


def power_section(docs: Path) -> list[str]:
    """Return the power of the published runs."""
    lines = [
        "## Statistics: what the published runs could see",
        "",
        (
            "From the intervals of [the pages of the example](rlhf_truth.md): the standard deviation over seeds of the difference to `naive` within a seed "
            f"(pooled over {', '.join(f'`{a}`' for a in LEARNED)}), the smallest true difference that a paired t-test at 5 % finds in 8 of 10 "
            "repetitions, and the seeds that smaller differences need (`trueward.evaluation.paired_power`)."
        ),
        "",
        "| page | measured on | seeds | sd of a difference | smallest difference seen | seeds for .05 | for .02 | for .01 |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, title in PAGES.items():
        for p in published(docs / f"{name}.md"):
            if p.sd == 0:
                lines.append(
                    f"| [{title}]({name}.md) | {p.what} | {p.runs} | 0: every policy ended at 0 | - | - | - | - |"
                )
                continue
            needed = " | ".join(f"{runs_needed(p.sd, d):,}" for d in reversed(SEEN))
            lines.append(
                f"| [{title}]({name}.md) | {p.what} | {p.runs} | {p.sd:.3f} | {smallest_difference(p.sd, p.runs):.3f} | {needed} |"
            )
    sd = fmean(p.sd for p in after_grpo(docs))
    grading = (2 * 0.25 / 256) ** 0.5
    lines += [
        "",
        (
            f"The noise is that of training: one answer to each of 256 questions gives a difference of two policies a standard deviation of at most "
            f"{grading:.3f}, which is {grading**2 / sd**2:.0%} of the variance over seeds ({sd:.3f}²) after GRPO. More questions would not help; more seeds, or no training, do."
        ),
        "",
    ]
    return lines


def after_grpo(docs: Path) -> list[Published]:
    """Return the comparisons after GRPO, without the page on which every policy ended at 0."""
    found = [p for name in PAGES for p in published(docs / f"{name}.md")]
    return [p for p in found if "GRPO" in p.what and p.sd > 0]


def differences(cells: list[Cell], arm: str, policy: str) -> dict[str, list[Array]]:
    """Return the difference to naive by prompt, for every log of the base policy, by mechanism."""
    return gather(cells, lambda c: minus(c.by_prompt(arm, policy), c.by_prompt(NAIVE, policy)))


def level(cells: list[Cell], arm: str, policy: str) -> str:
    """Return the mean value of a policy, over logs as differences are."""
    found = over_logs(gather(cells, lambda c: c.by_prompt(arm, policy)))
    return f"{found.value:.3f}" if found else "-"


def world_section(cells: list[Cell], world: str) -> list[str]:
    """Return the values of a world: by mechanism at one divergence, and over mechanisms at all."""
    own, policy = [c for c in cells if c.world == world], MAIN[world]
    if not own:
        return []
    lines = [
        f"### {world}",
        "",
        (
            f"{WORLDS[world][0].upper()}{WORLDS[world][1:]}. {len(own)} logs, {fmean(c.content['rows'] for c in own):,.0f} answers shown and "
            f"{fmean(c.content['rated'] for c in own):.0f} rated in each, {fmean(len(c.content['prompts']) for c in own):.0f} test prompts. "
            f"True quality at {policy.upper()}; differences to `naive`."
        ),
        "",
        f"| mechanism | logs | base policy | naive | {' | '.join(ARMS)} |",
        f"|---|---:|---:|---:|{'---:|' * len(ARMS)}",
    ]
    each = {arm: differences(own, arm, policy) for arm in ARMS}
    for m in MECHANISMS:
        some = [c for c in own if c.mechanism == m]
        if some:
            row = [str(over_prompts(each[a].get(m, [])) or "-") for a in ARMS]
            levels = [level(some, a, policy) for a in ("base", NAIVE)]
            lines.append(f"| `{m}` | {len(some)} | {' | '.join([*levels, *row])} |")
    for name, group in GROUPS.items():
        some = [c for c in own if c.mechanism in group]
        if some:
            row = [str(over_logs(differences(some, a, policy)) or "-") for a in ARMS]
            levels = [level(some, a, policy) for a in ("base", NAIVE)]
            lines.append(f"| {name} | {len(some)} | {' | '.join([*levels, *row])} |")
    lines += [
        "",
        f"| mean over all logs | naive | {' | '.join(ARMS)} |",
        f"|---|---:|{'---:|' * len(ARMS)}",
    ]
    for p in POLICIES:
        row = [str(over_logs(differences(own, a, p)) or "-") for a in ARMS]
        lines.append(f"| {p} | {level(own, NAIVE, p)} | {' | '.join(row)} |")
    return [*lines, ""]


def same_section(cells: list[Cell]) -> list[str]:
    """Return how often auto ranks as naive does, and what it chose."""
    same, other = 0, []
    for c in cells:
        found = minus(c.by_prompt("auto", MAIN[c.world]), c.by_prompt(NAIVE, MAIN[c.world]))
        if found is None:
            continue
        d = float(found.mean())
        if abs(d) < SAME:
            same += 1
        else:
            other.append(d)
    chosen = Counter(r["method"] for c in cells if (r := c.found("auto")))
    methods = ", ".join(f"`{m}` in {n}" for m, n in chosen.most_common())
    text = (
        f"`auto` chose {methods} of {sum(chosen.values())} logs. In {same} it makes the same policy as `naive` to .0005: a level that is moved for all answers "
        "alike changes no ranking. "
    )
    if other:
        text += f"In the other {len(other)} it differs by {min(other):+.3f} to {max(other):+.3f}, {sum(d > 0 for d in other)} times for the better."
    return [text, ""]


def caution_section(cells: list[Cell]) -> list[str]:
    """Return what the lower confidence bound changes."""
    lines = [
        "## Caution: a reward of lower bounds",
        "",
        (
            "`Reward.of(..., caution=1)` pays logit(P - sd): the standard deviation over 5 members (`naive`) or that of the interval of `anchored`. Difference to the "
            "same model without caution, mean of all mechanisms."
        ),
        "",
        f"| world | reward | {' | '.join(POLICIES)} |",
        f"|---|---|{'---:|' * len(POLICIES)}",
    ]
    for world in WORLDS:
        own = [c for c in cells if c.world == world]
        for arm, of in CAUTIOUS.items():
            row = []
            for p in POLICIES:
                found = gather(
                    own, lambda c, a=arm, o=of, p=p: minus(c.by_prompt(a, p), c.by_prompt(o, p))
                )
                row.append(str(over_logs(found) or "-"))
            lines.append(f"| {world} | {arm} | {' | '.join(row)} |")
    return [*lines, ""]


def rounds_section(cells: list[Cell]) -> list[str]:
    """Return what the methods do where the log is renewed by their own policies."""
    own = [c for c in cells if c.rounds > 1]
    if not own:
        return []
    policy, last = "kl 1", min(c.rounds for c in own)
    lines = [
        "## Iterated collection",
        "",
        (
            f"Help desk, {len(own)} chains, one a mechanism and seed. In each round the policy of a method at KL 1 from the base policy shows four answers to each of "
            f"{own[0].content['rows'] // 4} questions, users react by the same propensities as before, and the method is fitted again on all rounds so far. Users and draws are common to "
            "all methods. `anchored` gets its 100 gold labels in the first round only. True quality at KL 1 on other questions; ± by mechanism over test questions, of the mean over chains."
        ),
        "",
        f"| mechanism | base policy | {' | '.join(f'{a}: round 1, change to {last}' for a in RENEWED)} |",
        f"|---|---:|{'---:|' * len(RENEWED)}",
    ]
    changes = {
        a: gather(own, lambda c, a=a: minus(c.by_prompt(a, policy, last), c.by_prompt(a, policy)))
        for a in RENEWED
    }
    for m in (*MECHANISMS, None):
        some = [c for c in own if m in (None, c.mechanism)]
        if some:
            shown = [
                over_logs(changes[a]) if m is None else over_prompts(changes[a].get(m, []))
                for a in RENEWED
            ]
            row = [
                f"{level(some, a, policy)}, {change or '-'}"
                for a, change in zip(RENEWED, shown, strict=True)
            ]
            lines.append(
                f"| {f'`{m}`' if m else 'mean of all'} | {level(some, 'base', policy)} | {' | '.join(row)} |"
            )
    lines += [
        "",
        f"Against `naive` in the same round, mean over all chains; and the mean true quality of what users were shown in round {last}, when the policy of round {last - 1} answered them:",
        "",
        f"| reward | {' | '.join(f'round {r}' for r in range(1, last + 1))} | shown in round {last} |",
        f"|---|{'---:|' * (last + 1)}",
    ]
    for a in RENEWED:
        row = []
        for r in range(1, last + 1):
            found = gather(
                own,
                lambda c, a=a, r=r: minus(c.by_prompt(a, policy, r), c.by_prompt(NAIVE, policy, r)),
            )
            row.append("-" if a == NAIVE else str(over_logs(found) or "-"))
        shown = [r["shown"] for c in own if (r := c.found(a, last)) and "shown" in r]
        lines.append(f"| {a} | {' | '.join(row)} | {f'{fmean(shown):.3f}' if shown else '-'} |")
    said = []
    for a in ("naive", "auto"):
        latest = gather(
            own,
            lambda c, a=a: minus(
                c.by_prompt(a, policy, c.rounds, "latest"), c.by_prompt(a, policy, c.rounds)
            ),
        )
        said.append(f"`{a}` {over_logs(latest) or '-'}")
    lines += [
        "",
        f"Fitted on the log of the last round alone, in place of all rounds: {', '.join(said)}.",
        "",
    ]
    long = [c for c in own if c.rounds > last]
    if long:
        most = max(c.rounds for c in long)
        values = [
            f"`{a}` {', '.join(level_in(long, a, policy, r) for r in range(1, most + 1))}"
            for a in RENEWED
        ]
        mechanisms = ", ".join(sorted({f"`{c.mechanism}`" for c in long}))
        lines += [
            f"{len(long)} of the chains ({mechanisms}) went on to round {most}; quality by round: {'; '.join(values)}.",
            "",
        ]
    for a in RENEWED:
        worse = [
            c.mechanism
            for c in own
            if (d := minus(c.by_prompt(a, policy, last), c.by_prompt("base", policy))) is not None
            and d.mean() < 0
        ]
        if worse:
            counts = ", ".join(f"`{m}` {n}" for m, n in Counter(worse).items())
            lines += [
                f"In round {last} the policy of `{a}` is worse than the base policy in {len(worse)} of {len(own)} chains ({counts}).",
                "",
            ]
    return lines


def level_in(cells: list[Cell], arm: str, policy: str, number: int) -> str:
    """Return the mean value of a policy of a round."""
    return f"{fmean(v for c in cells if (v := c.value(arm, policy, number)) is not None):.3f}"


def variance_section(cells: list[Cell]) -> list[str]:
    """Return the variance of exact differences, over logs and over prompts, and the power that it leaves."""
    lines = [
        "## Power of exact policies",
        "",
        (
            "Standard deviation of the difference to `naive` between two logs of one mechanism (pooled over mechanisms), the part of its variance that the draw of test prompts "
            "makes (the variance over prompts, divided by their number), and the logs that a difference needs at 80 % power."
        ),
        "",
        "| world | reward | sd between logs | from prompts | logs for .05 | for .02 | for .01 |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for world in WORLDS:
        own, policy = [c for c in cells if c.world == world], MAIN[world]
        for arm in ("auto", "causalrm", "implicitrm", "anchored"):
            sd, degrees = between_logs(differences(own, arm, policy))
            if degrees < 2 or sd == 0:
                continue
            prompts = fmean(
                float(np.var(x - y, ddof=1)) / len(x)
                for c in own
                if (x := c.by_prompt(arm, policy)) is not None
                and (y := c.by_prompt(NAIVE, policy)) is not None
            )
            needed = " | ".join(f"{runs_needed(sd, d):,}" for d in reversed(SEEN))
            lines.append(
                f"| {world} | {arm} | {sd:.3f} | {min(1.0, prompts / sd**2):.0%} | {needed} |"
            )
    return [*lines, ""]


def failures_section(cells: list[Cell]) -> list[str]:
    """Return the fits that failed."""
    lost = [(c, r) for c in cells for r in c.failures()]
    if not lost:
        return ["No fit failed.", ""]
    said = Counter((c.world, c.mechanism, r["arm"], r["failed"][:90]) for c, r in lost)
    return [
        f"- {n} of `{arm}`, {world}, `{m}`: {why}" for (world, m, arm, why), n in said.items()
    ] + [""]


def page(cells: list[Cell], docs: Path) -> str:
    """Return the page."""
    trained = after_grpo(docs)
    untrained = published(docs / "rlhf_truth.md")[0].sd
    seconds = sum(c.content["seconds"] for c in cells)
    parts = [
        HEAD,
        *answer(cells, MAIN, GROUPS, trained, untrained, differences),
        *advice(cells, MAIN, GROUPS, differences),
        *power_section(docs),
        "## Reward: exact policies at equal divergence",
        "",
        (
            "Differences are within a log. ± is the half-width of a 95 % interval by Student's t: in the row of a mechanism over the test prompts of its logs, so it is about these fitted rewards; "
            "in the rows of means over logs, each with its own prompts, selection, noise and fit, so it is about the method (mechanisms fixed where each has two logs, else a sample of mechanisms). **Bold**: the interval excludes 0; of 20 differences that are 0 one is "
            "bold by chance."
        ),
        "",
        *(line for world in WORLDS for line in world_section(cells, world)),
        *same_section(cells),
        *caution_section(cells),
        *rounds_section(cells),
        *variance_section(cells),
        *confirmation(trained, expected_gain(cells)),
        *limits(cells),
        "",
        *failures_section(cells),
        "## Reproduce",
        "",
        "```bash",
        *[x for x in (__doc__ or "").split("\n\n")[1].strip().splitlines() if x],
        "```",
        "",
        f"{len(cells)} cells, {seconds / 60:.0f} minutes of one core.",
        "",
    ]
    return "\n".join(parts)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", required=True, type=Path, help="folder of the cells")
    parser.add_argument("--page", required=True, type=Path)
    parser.add_argument(
        "--docs", type=Path, default=Path("docs"), help="folder of the pages of the example"
    )
    given = parser.parse_args()
    cells = read_cells(given.out)
    if not cells:
        raise SystemExit(f"no cells in {given.out}: run benchmarks/downstream.py first")
    with replacing(given.page) as path:
        path.write_text(page(cells, given.docs), encoding="utf-8")


if __name__ == "__main__":
    main()
