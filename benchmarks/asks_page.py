"""Write docs/asked_worlds.md: what a lottery of asks buys in worlds of known truth, from finished runs.

python benchmarks/asks_worlds.py --data ../shared/data --out runs/asks.jsonl
python benchmarks/asks_coverage.py --draws 400 --out runs/asks_coverage.json
python benchmarks/asked_arms.py --draws 150 --out runs/asked_arms.json
python benchmarks/asks_page.py --runs runs --out docs/asked_worlds.md --table docs/identify.md
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from asks_worlds import AS_ASSUMED, FITS, SHARES, WORLDS

from trueward.core.atomic_io import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Row = dict[str, Any]

NAIVE, LEFT_OUT, ASKS, LIKELIHOOD, ANCHORED = FITS
MEAN_ERROR = 0.03  # asked for at 10 %, without gold labels
COVER = (0.93, 0.97)
SETS = {"helpdesk": "generated help desk", "gptfuzz": "gptfuzz", "arena": "arena"}
MEANS = {
    "good react more": "Odds ratio 3 of reacting to a good and to a bad response, asked or not.",
    "bad react more": "Odds ratio 1/3.",
    "missing at random": "Odds ratio 1.",
    "asking halves selection": "Among the asked the log odds ratio is halved: sqrt 3.",
    "log link": "P(react) = exp(a + h(x) + b r*), at most 1: another link than the logistic.",
    "half unseen, logged": "Half of the asked do not see the question, and the log says so (`seen`).",
    "half unseen, not logged": "The same without `seen` in the log.",
    "selection varies with x": "b(x) = b (1 + tanh 2 h(x)): between no selection and twice as much.",
    "frailty": "A hidden normal term of sd 1.5 in the log-odds of reacting.",
    "politeness": "A tenth of the asked who would answer thumb down say thumb up.",
}

HEAD = """# Asked worlds

What a [lottery of asks](asking.md) buys where the truth is known, and what it does not buy where its assumptions are violated. Every number is made
by the commands at the end. Logs are drawn by `trueward simulate --mechanism asked`: 5 % of the responses get unasked feedback, 60 % of the asked
answer, and features add a random h(x) of sd .6 to the log-odds of reacting. `naive` and `asks left out` (`three_outcome -o asked=no`) are the fits without
the lottery; `asks` is `three_outcome` as `auto` takes it; the last two have gold labels on 100 of the asked who stayed silent (on all, where fewer did).
"""


def read(path: Path) -> list[Row]:
    """Return the rows of a run."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def by(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    """Return rows by a key."""
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def error(rows: list[Row]) -> str:
    """Mean error of mean P, and its standard deviation over draws."""
    values = [r["mean_error"] for r in rows]
    spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
    return f"{fmean(values):+.3f}{spread}"


def table(rows: list[Row], cell: Callable[[list[Row]], str], what: str) -> list[str]:
    """Worlds by fits."""
    heads = [what, "draws", *FITS_SHORT.values()]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
    worlds = by(rows, lambda r: r["world"])
    for world in (w for w in WORLDS if w in worlds):
        fits = by(worlds[world], lambda r: r["fit"])
        found = [cell(fits[f]) if f in fits else "-" for f in FITS]
        lines.append(f"| {' | '.join([world, str(len(fits[NAIVE])), *found])} |")
    return [*lines, ""]


FITS_SHORT = {
    NAIVE: "naive",
    LEFT_OUT: "asks left out",
    ASKS: "asks",
    LIKELIHOOD: "asks + gold, `three_outcome`",
    ANCHORED: "asks + gold, `anchored`",
}


def verdict(rows: list[Row]) -> list[str]:
    """What was asked for, and whether it is met: at 10 %, in every world without violation."""
    lines, met = [], []
    for world in AS_ASSUMED:
        own = [r for r in rows if r["world"] == world and r["share"] == max(SHARES)]
        for name, part in by(own, lambda r: r["set"]).items():
            fits = by(part, lambda r: r["fit"])
            errors = [r["estimate"] - r["share_good"] for r in fits[ASKS]]
            naive = {r["seed"]: r["auroc"] for r in fits[NAIVE]}
            gains = [r["auroc"] - naive[r["seed"]] for r in fits[ASKS]]
            spread = f" ± {stdev(errors):.3f}" if len(errors) > 1 else ""
            met.append((abs(fmean(errors)) <= MEAN_ERROR, fmean(gains) >= 0))
            marks = ["yes" if good else "**no**" for good in met[-1]]
            cells = [world, SETS[name], str(len(errors)), f"{fmean(errors):+.3f}{spread}", marks[0]]
            lines.append(f"| {' | '.join([*cells, f'{fmean(gains):+.4f}', marks[1]])} |")
    of_error, of_auroc = (sum(m) for m in zip(*met, strict=True))
    return [
        "## Asked for and met",
        "",
        (
            "At 10 % asked and 60 % answering, without gold labels, in the worlds that the model describes, mean over seeds: the error of mean P over the "
            "log at most .03, and AUROC on held-out responses at least that of naive."
        ),
        "",
        "| world | texts | seeds | error of mean P | at most .03 | AUROC - naive | at least 0 |",
        "|---|---|---:|---:|---|---:|---|",
        *lines,
        "",
        (
            f"Met in {of_error} of {len(met)} (error) and {of_auroc} of {len(met)} (AUROC). Where bad responses react more, the prior of b (sd 1) "
            "and the weight of missing at random pull the estimate towards naive. On arena the features tell little of the quality, and a log of 4,400 "
            "responses has 440 asks: the estimate of one log then has a standard error of .05 to .1, as `ask plan` says. Labels on the silent remove both errors."
        ),
        "",
    ]


def ranges(rows: list[Row]) -> list[str]:
    """Coverage of the range that a fit reports."""
    lines = [
        "## The reported range",
        "",
        (
            "Share of the fits whose reported range of the share of good responses (5 to 95 % of the draws given the model) holds the true share of "
            "the log, and its mean width."
        ),
        "",
        "| world | asks left out | asks, 10 % | asks, 3 % | asks + gold, 10 % | asks + gold, 3 % |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    worlds = by([r for r in rows if r.get("range")], lambda r: r["world"])
    for world in (w for w in WORLDS if w in worlds):
        cells = []
        for fit, share in ((LEFT_OUT, None), *((f, s) for f in (ASKS, LIKELIHOOD) for s in SHARES)):
            own = [r for r in worlds[world] if r["fit"] == fit and share in (None, r["share"])]
            holds = [r["range"][0] <= r["share_good"] <= r["range"][1] for r in own]
            width = [r["range"][1] - r["range"][0] for r in own]
            cells.append(f"{fmean(holds):.0%}, {fmean(width):.2f}" if own else "-")
        lines.append(f"| {world} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def two_phase(found: list[Row]) -> list[str]:
    """Coverage of the two-phase intervals."""
    lines = [
        "## The two-phase intervals",
        "",
        (
            f"`tw.asked_share` on the asked of a log of 7,200 responses, {found[0]['draws']} draws each: share of the 95 % intervals that hold the "
            "truth, mean error, width; then the error of the share of good ones among the answers alone. Outside of 93 to 97 % in bold."
        ),
        "",
        "| world | asked | covers | mean error | width | error of the answers alone |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for r in found:
        inside = COVER[0] <= r["covers"] <= COVER[1]
        cover = f"{r['covers']:.1%}" if inside else f"**{r['covers']:.1%}**"
        lines.append(
            f"| {r['world']} | {r['share']:.0%} | {cover} | {r['mean_error']:+.3f} | {r['width']:.3f} | "
            f"{r['error_of_answers']:+.3f} |"
        )
    kept = sum(COVER[0] <= r["covers"] <= COVER[1] for r in found)
    bounds = min(r["bounds_cover"] for r in found)
    return [
        *lines,
        "",
        (
            f"Asked for: 93 to 97 % in all; {kept} of {len(found)} are. (With {found[0]['draws']} draws, the standard error of a coverage of 95 % is "
            f"{math.sqrt(0.95 * 0.05 / found[0]['draws']):.1%}.) The bounds without gold labels hold the truth in at least {bounds:.0%} of the draws of "
            "every world."
        ),
        "",
    ]


def arms(found: list[Row]) -> list[str]:
    """Size and power of the check of the arms."""
    lines = [
        "## The test of missing at random",
        "",
        (
            f"`refute --only asked_arms` on 20,000 responses with 30 features, {found[0]['draws']} draws each: share of the logs in which it rejects. The check "
            "fails at .01."
        ),
        "",
        "| odds ratio | asked | answer | at .05 | at .01 |",
        "|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r['odds_ratio']:g} | {r['share']:.0%} | {r['answering']:.0%} | {r['rejects_0.05']:.2f} | {r['rejects_0.01']:.2f} |"
        for r in found
    ]
    return [*lines, "", "Not rejecting proves nothing.", ""]


def page(rows: list[Row], folder: Path) -> str:
    """Return the page."""
    done = by(rows, lambda r: (r["set"], r["world"], r["share"], r["seed"]))
    refused = [r for r in rows if "error" in r]
    rows = [r for r in rows if "error" not in r]
    seeds = by(done, lambda k: (k[0], k[1], k[2]))
    fewest, most = min(map(len, seeds.values())), max(map(len, seeds.values()))
    texts = ", ".join(SETS[s] for s in SETS if any(k[0] == s for k in done))
    runs = str(most) if fewest == most else f"{fewest} to {most}"
    planned = len(SETS) * len(WORLDS) * len(SHARES) * 5
    about = (
        f"{len(done)} draws of {planned} planned (5 seeds): {texts}; {runs} seeds of each world, share and set, see the column `draws`. The texts are encoded by the built-in "
        f"backbone, reduced to 64 directions; a log has 4,400 to 7,200 responses. {len(refused)} fits were refused."
    )
    parts = [HEAD, about, ""]
    parts += ["| world | what it is |", "|---|---|", *(f"| {w} | {MEANS[w]} |" for w in WORLDS), ""]
    parts += verdict(rows)
    mean = lambda metric: lambda part: f"{fmean(r[metric] for r in part):.3f}"  # noqa: E731
    for share in SHARES:
        own = [r for r in rows if r["share"] == share]
        if not own:
            continue
        parts += [
            f"## {share:.0%} asked",
            "",
            "Error of mean P on held-out responses: mean ± sd over texts and seeds.",
            "",
        ]
        parts += table(own, error, "error of mean P")
        parts += ["AUROC (higher is better) and Brier score (lower is better), means.", ""]
        parts += table(own, mean("auroc"), "AUROC")
        parts += table(own, mean("brier"), "Brier")
    parts += ranges(rows)
    for name, write in (("asks_coverage.json", two_phase), ("asked_arms.json", arms)):
        if (folder / name).exists():
            parts += write(json.loads((folder / name).read_text("utf-8")))
    commands = (__doc__ or "").split("\n\n")[1].strip()
    return "\n".join([*parts, "## Reproduce", "", "```bash", commands, "```", ""])


def buys(rows: list[Row]) -> list[str]:
    """What each kind of data buys, means over the draws that were run with both shares."""
    place = lambda r: (r["set"], r["world"], r["seed"])  # noqa: E731
    both = set.intersection(*({place(r) for r in rows if r["share"] == s} for s in SHARES))
    rows = [r for r in rows if place(r) in both]
    lines = [
        "| you have | AUROC | Brier | error of mean P, absolute | it costs |",
        "|---|---:|---:|---:|---|",
    ]
    low, high = min(SHARES), max(SHARES)
    kinds = [
        ("thumbs alone (`naive`)", NAIVE, high, "-"),
        ("thumbs and the responses without any (`auto`)", LEFT_OUT, high, "logging every response"),
        (f"and {low:.0%} asked", ASKS, low, "30 questions in 1,000 responses"),
        (f"and {high:.0%} asked", ASKS, high, "100 questions in 1,000 responses"),
        (
            f"{low:.0%} asked, labels on the silent",
            ANCHORED,
            low,
            "the questions and 100 labels (fewer where fewer were silent)",
        ),
        (f"{high:.0%} asked, labels on the silent", ANCHORED, high, "the questions and 100 labels"),
    ]
    for name, fit, share, cost in kinds:
        own = [r for r in rows if r["fit"] == fit and r["share"] == share]
        auroc, brier = (fmean(r[k] for r in own) for k in ("auroc", "brier"))
        off = fmean(abs(r["mean_error"]) for r in own)
        lines.append(f"| {name} | {auroc:.3f} | {brier:.3f} | {off:.3f} | {cost} |")
    worlds = len({r["world"] for r in rows})
    return [
        *lines,
        "",
        f"Means over {len(both)} draws: {worlds} worlds, {len({r['set'] for r in rows})} sets of texts.",
    ]


def main() -> None:
    """Write the page, and the table of another page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True, help="folder of the three runs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--table", type=Path, help="a page with the markers <!-- table --> and <!-- end -->"
    )
    args = parser.parse_args()
    rows = read(args.runs / "asks.jsonl")
    with replacing(args.out) as path:
        path.write_text(page(rows, args.runs), encoding="utf-8")
    if args.table is not None:
        head, _, rest = args.table.read_text("utf-8").partition("<!-- table -->\n")
        _, end, tail = rest.partition("<!-- end -->")
        table = "\n".join(buys([r for r in rows if "error" not in r]))
        with replacing(args.table) as path:
            path.write_text(f"{head}<!-- table -->\n{table}\n{end}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
