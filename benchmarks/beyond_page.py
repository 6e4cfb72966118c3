"""Write docs/beyond.md from finished runs: targets of the estimators and their results.

trueward benchmark run beyond --data ../shared/data --out runs/beyond
python benchmarks/channels_page.py > runs/channels.md
python benchmarks/beyond_cost.py > runs/cost.md
python benchmarks/beyond_page.py --beyond runs/beyond --channels runs/channels.md --cost runs/cost.md --out docs/beyond.md

A cell is one set with one mechanism and noise. All methods except `anchored` are recalibrated by Platt scaling on the
same gold labels (R2 + gold). All results are means over seeds.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING

from scipy.stats import t

from trueward.benchmark import Runs
from trueward.benchmark.summary import sections
from trueward.core.atomic_io import replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trueward.benchmark.summary import Section

GOLD_ALONE = "gold labels alone"
TOLERANCE = 0.005
# Metric of anchored, and metric of the other methods.
RECALIBRATED = (("r2", "r2_gold"), ("auroc", "auroc"))
TRUTHFUL = ("oracle", "clean-mcar")
SHOWN = ("clean-mcar", "anchored", "naive", GOLD_ALONE, "three_outcome")


@dataclass(frozen=True)
class Cell:
    """One scenario and its means; ``whole``: every method of the benchmark has finished."""

    section: Section
    whole: bool

    @property
    def name(self) -> str:
        """The set, mechanism, alpha and noise."""
        s = self.section.settings
        noise = f"{s['rho_01']:g}/{s['rho_10']:g}" if s["rho_01"] or s["rho_10"] else "none"
        return f"{s['set']} | {s['mechanism']} {s['alpha']:g} | {noise}"

    @property
    def mechanism(self) -> str:
        """The mechanism."""
        return str(self.section.settings["mechanism"])

    def values(self, method: str, metric: str) -> dict[int, float]:
        """Return a metric of a method by seed."""
        rows = [r for r in self.section.rows if r["method"] == method and r.get("metrics")]
        return {
            r["seed"]: r["metrics"][metric] for r in rows if r["metrics"].get(metric) is not None
        }

    def mean(self, method: str, metric: str) -> float:
        """Return the mean over seeds; NaN without values."""
        found = self.values(method, metric)
        return sum(found.values()) / len(found) if found else math.nan

    def survivors(self, *methods: str) -> str:
        """Say how many seeds are left where fits of a method failed."""
        status: dict[int, list[bool]] = {}
        for row in self.section.rows:
            if row["method"] in methods:
                status.setdefault(row["seed"], []).append(row["status"] == "done")
        done = sum(all(v) for v in status.values())
        return "" if done in (0, len(status)) else f" ({done} of {len(status)} seeds)"

    def differences(
        self, metric: str, rival: str, theirs: str, method: str = "anchored"
    ) -> dict[int, float]:
        """Return the differences between a method and its rival, by seed."""
        mine, other = self.values(method, metric), self.values(rival, theirs)
        return {s: mine[s] - other[s] for s in sorted(mine.keys() & other.keys())}

    def gap(self, metric: str, rival: str, theirs: str, method: str = "anchored") -> float:
        """Return the mean difference; infinite if the rival has no values."""
        if not self.values(method, metric):
            return -math.inf
        found = self.differences(metric, rival, theirs, method)
        return mean(found.values()) if found else math.inf

    @property
    def rivals(self) -> list[str]:
        """All applicable methods, with the gold labels alone."""
        apart = (*TRUTHFUL, "anchored", "auto")
        return [m for m in self.methods if m not in apart]

    @property
    def methods(self) -> Iterable[str]:
        """All methods with a result."""
        return dict.fromkeys(f.method for f in self.section.figures)


def counted(cells: Sequence[Cell], good: Sequence[bool]) -> str:
    """Return the number of cells that reach a target, and the names of the others."""
    missing = [c.name.replace(" | ", ", ") for c, g in zip(cells, good, strict=True) if not g]
    names = f" (not: {'; '.join(missing)})" if missing else ""
    return f"{sum(good)} of {len(good)}{names}"


def like_clean(cells: Sequence[Cell]) -> list[bool]:
    """Return whether anchored reaches the R2 of clean-mcar, and its AUROC within .01."""
    clean = "clean-mcar"
    return [
        c.gap("r2", clean, "r2") >= 0 and c.gap("auroc", clean, "auroc") >= -0.01 for c in cells
    ]


def not_below(cells: Sequence[Cell], rival: str, metric: str, theirs: str, by: float) -> list[bool]:
    """Return whether anchored is at most ``by`` below the rival."""
    return [c.gap(metric, rival, theirs) >= -by for c in cells]


def best(cells: Sequence[Cell]) -> list[bool]:
    """Return whether anchored is above every other method, recalibrated on the same gold labels."""
    return [all(c.gap("r2", m, "r2_gold") > 0 for m in c.rivals) for c in cells]


def ranks(cells: Sequence[Cell], rival: str, by: float) -> list[bool]:
    """Return whether the AUROC of three_outcome is at most ``by`` below the rival."""
    return [c.gap("auroc", rival, "auroc", "three_outcome") >= -by for c in cells]


def asked(cells: Sequence[Cell]) -> list[str]:
    """Return a line for each target."""
    of = {m: [c for c in cells if c.mechanism == m] for m in {c.mechanism for c in cells}}
    strong = [c for c in of["rating"] if c.section.settings["alpha"] < 0.3]
    weak = [c for c in of["rating"] if c.section.settings["alpha"] > 0.3]
    lines = [
        (
            "`rating`: anchored has the R2 of clean-mcar, AUROC within .01",
            of["rating"],
            like_clean(of["rating"]),
        ),
        ("`label`: the same", of["label"], like_clean(of["label"])),
    ]
    lines += [
        (
            f"all: anchored at most .005 below naive + gold, {metric}",
            cells,
            not_below(cells, "naive", metric, theirs, TOLERANCE),
        )
        for metric, theirs in RECALIBRATED
    ]
    lines += [
        (
            f"all: anchored not below the gold labels alone, {metric}",
            cells,
            not_below(cells, GOLD_ALONE, metric, metric, 0.0),
        )
        for metric in ("r2", "auroc")
    ]
    whole = [c for c in cells if c.whole]
    lines += [
        ("all: anchored beats every other method + gold, R2", whole, best(whole)),
        (
            "`rating` .2: three_outcome AUROC within .01 of clean-mcar",
            strong,
            ranks(strong, "clean-mcar", 0.01),
        ),
        ("`rating` .5: within .02", weak, ranks(weak, "clean-mcar", 0.02)),
        ("`label`: within .02", of["label"], ranks(of["label"], "clean-mcar", 0.02)),
        ("all: three_outcome AUROC at most .02 below naive", cells, ranks(cells, "naive", 0.02)),
    ]
    return [f"| {what} | {counted(some, good)} |" for what, some, good in lines]


def missed(cells: Sequence[Cell]) -> list[str]:
    """Return the differences to clean-mcar and to the best rival, in the cells that miss the target."""
    lines = ["| cell | against | R2 | AUROC |", "|---|---|---|---|"]
    for c in cells:
        if c.mechanism in ("rating", "label") and not like_clean([c])[0]:
            two = [c.differences(k, "clean-mcar", k) for k in ("r2", "auroc")]
            lines.append(
                f"| {c.name.replace(' | ', ', ')}{c.survivors('anchored', 'clean-mcar')} | clean-mcar | "
                f"{' | '.join(map(_with, two))} |"
            )
    for c in (c for c in cells if c.whole):
        best_rival = min(c.rivals, key=lambda m: c.gap("r2", m, "r2_gold"))
        two = [c.differences(k, best_rival, theirs) for k, theirs in RECALIBRATED]
        if mean(two[0].values()) <= 0:
            lines.append(
                f"| {c.name.replace(' | ', ', ')}{c.survivors('anchored', best_rival)} | {best_rival} + gold | "
                f"{' | '.join(map(_with, two))} |"
            )
    return lines


def by_draw(cells: Sequence[Cell]) -> list[str]:
    """Return the differences between anchored and three_outcome + gold, by set and seed."""
    seeds = sorted({seed for c in cells for seed in c.values("anchored", "r2")})
    lines = [
        f"| set | {' | '.join(f'seed {seed}' for seed in seeds)} |",
        f"|---|{'---:|' * len(seeds)}",
    ]
    for name in dict.fromkeys(c.section.settings["set"] for c in cells):
        here = [c for c in cells if c.section.settings["set"] == name]
        two = [
            [c.differences(k, "three_outcome", theirs) for c in here] for k, theirs in RECALIBRATED
        ]
        shown = [
            " / ".join(f"{mean(d[seed] for d in more if seed in d):+.3f}" for more in two)
            for seed in seeds
        ]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return lines


def _with(by_seed: dict[int, float]) -> str:
    """Return a mean over seeds with its 95 % t-interval."""
    values = list(by_seed.values())
    half = t.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5
    return f"{mean(values):+.3f} ± {half:.3f}"


def table(cells: Sequence[Cell]) -> list[str]:
    """Return the table of R2 / AUROC, one cell a row."""
    lines = [
        f"| set | mechanism | noise | {' | '.join(SHOWN)} |",
        f"|---|---|---|{'---:|' * len(SHOWN)}",
    ]
    for c in cells:
        shown = [
            _both(
                c.mean(m, "r2_gold" if m in ("naive", "three_outcome") else "r2"),
                c.mean(m, "auroc"),
            )
            + c.survivors(m)
            for m in SHOWN
        ]
        lines.append(f"| {c.name} | {' | '.join(shown)} |")
    return lines


def _both(r2: float, auroc: float) -> str:
    return "-" if math.isnan(r2) else f"{r2:.3f} / {auroc:.3f}"


PAGE = """# Beyond the papers

What `anchored`, `three_outcome` and `channels` recover, where the methods of the papers cannot be right. Made by
`benchmarks/beyond_page.py` from runs of the commands in its first lines; no figure here was typed by hand.

Sets of real texts ({sets}), six mechanisms of selection, with and without wrong feedback (rho_01 = .1, rho_10 = .2),
20 % of the rows rated, 300 gold labels, five seeds: {cells} cells{left}. All figures are means over the seeds on clean labels of
other prompts; where fits failed, over the others, whose number follows. `naive`, and every other method, is recalibrated by Platt's method on the same 300 gold labels; `clean-mcar`
learns from as many clean labels, drawn at random, as there are ratings.

## What was asked, and where it holds

{asked}

## By how much it misses

`anchored` less clean-mcar under `rating` and `label`, and less the best of {rivals} rivals, the one that is best in hindsight, recalibrated on the
same gold labels: the cells that miss, means over five seeds with 95 % intervals of Student's t.

{missed}

Why:

- Where the answers hardly tell good from bad (topical_chat), the draw of 300 gold labels decides: see below.
- Where feedback is wrong, clean-mcar has labels without a wrong one.
- Where nobody selects by quality (u-shaped, mar, context) missing feedback says little. `naive` is the right model there; it learns from all
  ratings and all features, the evidence of `anchored` from four fifths of them at a time. Losses made for wrong labels rank first
  where there are wrong labels. Which rival is best, and where, only the test set tells.
- Under `label` only the part of selection that follows the label can be told, and clean-mcar has the labels themselves.
- A fit costs more than three times naive's because who reacts is learned from all rows, and naive reads the rated ones. Fewer folds or
  passes over the rows cost accuracy and stay above three times.

R2 / AUROC of `anchored` less those of `three_outcome` recalibrated on the same gold labels, means over the cells of a set, by seed: in
all of them it is the same gold labels. `three_outcome` takes two numbers from them, so that a bad draw costs it less and a good one
helps it less.

{draws}

## Every cell

R2 / AUROC; of naive and three_outcome the R2 after recalibration on the gold labels. A dash: the log has too few of one kind of
feedback for a fit.

{table}

## Several channels

R2 on the generated help desk, 12,000 answers, means over five worlds; the rate is the mean activity of the first channel.
`channels / oracle` has the lowest and the highest world in brackets. The interval of one click, [P(click), 1], holds where the
mean P(good) of a tenth of the answers lies in it. Asked of two channels were 90 % of the oracle. What is left is activity, which only
those who did something else tell: the fewer react, the less is known of it. Users who do everything tell too much of it (`channels_users`).
In these worlds it is min(1, c e^v), v linear in the features, which suits the regression in `channels`; where it bends more, it has its network.

{channels}

## What a fit costs

Medians of three on two cores, and how many times naive's. naive reads the rated rows, one in five; who reacts is a question
about all rows.

{cost}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("--beyond", "--channels", "--cost", "--out"):
        parser.add_argument(name, type=Path, required=True)
    given = parser.parse_args()
    runs = Runs.read(given.beyond)
    config = runs.about["config"]
    seeds, methods = len(config["seeds"]), len(config["methods"])
    cells = [
        Cell(s, whole=len(s.rows) == methods * seeds)
        for s in sections(runs)
        if sum(r["method"] in SHOWN for r in s.rows) == len(SHOWN) * seeds
    ]
    whole = sum(c.whole for c in cells)
    of = len(config["sets"]) * len(config["scenarios"])
    if not cells:
        parser.error(f"{given.beyond} has no finished cell")
    text = PAGE.format(
        sets=", ".join(dict.fromkeys(str(c.section.settings["set"]) for c in cells)),
        cells=len(cells),
        left=""
        if whole == of
        else f" of {of}, {whole} of them with every method; the rest is not run yet",
        asked="\n".join(["| asked | holds in |", "|---|---|", *asked(cells)]),
        rivals=max(len(c.rivals) for c in cells),
        missed="\n".join(missed(cells)),
        draws="\n".join(by_draw(cells)),
        table="\n".join(table(cells)),
        channels=given.channels.read_text(encoding="utf-8").strip(),
        cost=given.cost.read_text(encoding="utf-8").strip(),
    )
    with replacing(given.out) as path:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
