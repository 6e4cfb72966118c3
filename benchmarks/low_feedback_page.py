"""Write docs/low_feedback.md from a finished run: the method of `auto` beside naive where few responses are rated.

trueward benchmark run low-feedback --data ../shared/data --out runs/low-feedback
trueward benchmark run low-feedback-gain --data ../shared/data --out runs/low-feedback-gain
python benchmarks/low_feedback_page.py --run runs/low-feedback --gain runs/low-feedback-gain --out docs/low_feedback.md
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from trueward.benchmark import Runs, read_config
from trueward.core.atomic_io import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NAIVE, AUTO, RANK = "naive", "auto", "rank test"
MEAN_LOSS = {"auroc": 0.005, "brier": 0.01}  # worse than naive on average at most
RUN_LOSS = {"auroc": 0.02, "brier": 0.04}  # worse than naive in at most 1 run in 100
GAINS = {("label", 0.5): 0.9, ("rating", 0.5): 0.9, ("label", 0.2): 0.75, ("rating", 0.2): 0.75}
COVERED = 0.9  # share of runs whose range holds the share of good responses

HEAD = """# Low feedback

What `auto` gains and loses beside `naive` without gold labels, where .5 to 30 % of the responses are rated. Every number is
made by the commands at the end. AUROC and the Brier score are against true labels; a gain is positive for both.
"""


@dataclass(frozen=True)
class Run:
    """The jobs of one draw: one scenario of one set and seed."""

    settings: dict[str, Any]
    rows: dict[str, dict[str, Any]]

    @property
    def mechanism(self) -> tuple[str, float]:
        """Mechanism and alpha."""
        return str(self.settings["mechanism"]), float(self.settings["alpha"])

    @property
    def rate(self) -> float:
        """Rate of feedback."""
        return float(self.settings["rate"])

    def change(self, metric: str, method: str = AUTO) -> float:
        """Return how much better than naive a method is; negative is worse."""
        sign = 1 if metric == "auroc" else -1
        ours, naive = (self.rows[k]["metrics"][metric] for k in (method, NAIVE))
        return float(sign * (ours - naive))

    @property
    def covered(self) -> bool | None:
        """Whether the range of the share of good responses holds the true share; None without a range."""
        row = self.rows[AUTO]
        if "selection" not in row:
            return None
        low, high = row["selection"]["share_good_range"]
        return bool(low <= row["share_good"] <= high)

    @property
    def width(self) -> float:
        """Width of that range."""
        low, high = self.rows[AUTO]["selection"]["share_good_range"]
        return float(high - low)


def read_runs(rows: Iterable[dict[str, Any]]) -> tuple[list[Run], int]:
    """Return the draws on which naive and auto were fitted, and the number of those that could not be."""
    jobs: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in rows:
        names = ("set", "mechanism", "alpha", "rate", "rho_01", "rho_10", "seed")
        jobs[tuple(row[k] for k in names)][row["method"]] = row
    runs, lost = [], 0
    for methods in jobs.values():
        if not {NAIVE, AUTO} <= methods.keys():
            continue
        done = {k: r for k, r in methods.items() if r["status"] == "done"}
        if {NAIVE, AUTO} <= done.keys() and done[NAIVE]["metrics"]["auroc"] is not None:
            runs.append(Run(done[NAIVE], done))
        else:
            lost += 1
    return runs, lost


def by(runs: Iterable[Run], key: Callable[[Run], Any]) -> dict[Any, list[Run]]:
    """Return the runs by a key, in its order."""
    groups: dict[Any, list[Run]] = defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    return dict(sorted(groups.items()))


def harm(runs: list[Run]) -> list[str]:
    """Every mechanism and rate against naive."""
    rates = sorted({r.rate for r in runs})
    lines = [
        "## Against naive",
        "",
        (
            "Mean gain of `auto` over naive, AUROC / Brier (positive is better), over sets, noise and seeds. Bold: worse than .005 AUROC or "
            ".01 Brier on average."
        ),
        "",
        "| mechanism | alpha | " + " | ".join(f"{r:.1%}" for r in rates) + " |",
        "|---|---:|" + "---:|" * len(rates),
    ]
    missed, cells = 0, 0
    for (mechanism, alpha), own in by(runs, lambda r: r.mechanism).items():
        cell = by(own, lambda r: r.rate)
        words = []
        for rate in rates:
            if rate not in cell:
                words.append("-")
                continue
            gain = {m: fmean(r.change(m) for r in cell[rate]) for m in MEAN_LOSS}
            bad = any(gain[m] < -MEAN_LOSS[m] for m in gain)
            text = f"{gain['auroc']:+.3f} / {gain['brier']:+.3f}"
            words.append(f"**{text}**" if bad else text)
            cells, missed = cells + 1, missed + bad
        lines.append(f"| `{mechanism}` | {alpha:g} | " + " | ".join(words) + " |")
    worse = {m: sum(r.change(m) < -RUN_LOSS[m] for r in runs) for m in RUN_LOSS}
    worst = {m: min(r.change(m) for r in runs) for m in RUN_LOSS}
    return [
        *lines,
        "",
        (
            f"Asked: at most .005 AUROC and .01 Brier worse on average in every mechanism and rate: {cells - missed} of {cells}. Asked: at most 1 "
            f"run in 100 worse by .02 AUROC or .04 Brier: {worse['auroc']} and {worse['brier']} of {len(runs)} runs "
            f"({worse['auroc'] / len(runs):.1%} and {worse['brier'] / len(runs):.1%}); the worst run loses {-worst['auroc']:.3f} AUROC, and the "
            f"worst {-worst['brier']:.3f} Brier."
        ),
        "",
    ]


def kept(runs: list[Run]) -> list[str]:
    """Gains at 20 % feedback beside those of the form that trusts the rank test."""
    lines = [
        "## Gain where quality decides who reacts",
        "",
        "At 20 % feedback: gain over naive of `auto` and of `three_outcome form=two_step` (rank test).",
        "",
        "| mechanism | alpha | metric | rank test | auto | kept | asked |",
        "|---|---:|---|---:|---:|---:|---:|",
    ]
    for (mechanism, alpha), asked in GAINS.items():
        own = [
            r
            for r in runs
            if r.mechanism == (mechanism, alpha) and r.rate == 0.2 and RANK in r.rows
        ]
        for metric in MEAN_LOSS if own else ():
            rank, ours = (fmean(r.change(metric, k) for r in own) for k in (RANK, AUTO))
            share = f"{ours / rank:.0%}" if rank > 0 else "-"
            lines.append(
                f"| `{mechanism}` | {alpha:g} | {metric} | {rank:+.3f} | {ours:+.3f} | {share} | {asked:.0%} |"
            )
    return [*lines, ""]


def ranges(runs: list[Run]) -> list[str]:
    """Whether the sensitivity range holds the share of good responses."""
    own = [r for r in runs if r.covered is not None]
    lines = [
        "## The range of the share of good responses",
        "",
        "Share of runs whose 5 to 95 % sensitivity range holds the true share of good responses in the log, and mean width of the range.",
        "",
        "| mechanism | alpha | runs | holds | width | unrated responses used |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for (mechanism, alpha), cell in by(own, lambda r: r.mechanism).items():
        holds, width = fmean(bool(r.covered) for r in cell), fmean(r.width for r in cell)
        used = fmean(r.rows[AUTO]["selection"]["uses_unrated"] for r in cell)
        lines.append(
            f"| `{mechanism}` | {alpha:g} | {len(cell)} | {holds:.0%} | {width:.2f} | {used:.0%} |"
        )
    overall = fmean(bool(r.covered) for r in own)
    return [*lines, "", f"Over all runs: {overall:.1%} (asked {COVERED:.0%}).", ""]


def page(runs: list[Run], lost: int, gains: list[Run], unfinished: int) -> str:
    """Return the page."""
    sets = ", ".join(sorted({str(r.settings["set"]) for r in runs}))
    seeds = len({r.settings["seed"] for r in runs})
    partial = f" **The run is not complete: {unfinished:,} jobs are left.**" if unfinished else ""
    what = (
        f"{len(runs):,} draws of {sets}, {seeds} seeds. In {lost:,} more draws naive or auto could not be fitted: a training or validation "
        f"part has too few ratings of one kind.{partial}"
    )
    end = (
        "## Reproduce\n\n```bash\n"
        + "\n".join((__doc__ or "").split("\n\n")[1].strip().splitlines())
        + "\n```"
    )
    return "\n".join([HEAD, what, "", *harm(runs), *kept(gains), *ranges(runs), end, ""])


def finished_rows(folder: str, config: str) -> tuple[list[dict[str, Any]], int]:
    """Return the rows of a run, and the number of jobs that are left."""
    rows = Runs.read(folder).rows()
    wanted = read_config(config)
    jobs = len(wanted.scenarios) * len(wanted.sets) * len(wanted.methods) * len(wanted.seeds)
    return rows, jobs - len(rows)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", required=True, help="folder of the run of low-feedback")
    parser.add_argument("--gain", required=True, help="folder of the run of low-feedback-gain")
    parser.add_argument("--out", required=True, type=Path, help="the page")
    args = parser.parse_args()
    rows, left = finished_rows(args.run, "low-feedback")
    gain_rows, gain_left = finished_rows(args.gain, "low-feedback-gain")
    runs, lost = read_runs(rows)
    with replacing(args.out) as path:
        text = page(runs, lost, read_runs(gain_rows)[0], left + gain_left)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
