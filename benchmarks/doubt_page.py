"""Measure the claims of docs/doubt.md and docs/refute.md and print them as tables.

python benchmarks/doubt_page.py --data ../shared/data > runs/doubt.md       # --only evaluate,designs --jobs 2

Coverage is measured for 95 % intervals and sets over 500 simulations (designs: 400 of each, or --draws; noise rates and
sets: 200). The target is 93 to 97 %; the Monte Carlo standard error of 500 is 1 %. Finished parts are stored in
runs/doubt/; --only measures a part again.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import doubt_worlds as worlds
import numpy as np
import polars as pl
import torch
from doubt_commands import command_lines
from doubt_designs import DRAWS, design_lines, user_lines
from doubt_draws import draw_lines
from doubt_likeness import likeness_lines
from doubt_refute import refute_lines

import trueward as tw
from trueward.estimators._registry import make
from trueward.evaluation.log_signals import signal_probabilities
from trueward.evaluation.measure import measure
from trueward.evaluation.prediction_powered import interval_width
from trueward.evaluation.weighted_calibration import calibrate
from trueward.fitting.crossfit import CrossFitData
from trueward.fitting.out_of_fold import estimate_nuisances
from trueward.training.config import Train
from trueward.training.preprocessing import InputTransform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

WORLDS = 500
FITTED = 200  # simulations that need fits
BANDS = 20
TESTS = (50, 100, 300)  # prompts of a test table
LOGS = ((4000, 4), (4000, 64))  # rows and features of a log whose noise rates are read
SEEDS = 5
KINDS = (
    "drawn evenly",
    "chosen by x, not weighted",
    "chosen by x, weighted",
    "rated by x, weighted",
)


def shares(each: Iterable[dict[str, bool]]) -> dict[str, float]:
    """Return the mean of every column."""
    found: dict[str, list[bool]] = {}
    for one in each:
        for name, hit in one.items():
            found.setdefault(name, []).append(hit)
    return {name: float(np.mean(hits)) for name, hits in found.items()}


def rows(title: str, found: dict[str, float]) -> list[str]:
    """Return a line of a table: a name and percentages."""
    return [
        f"| {title} | " + " | ".join(f"{v:.1%}".replace("%", "") for v in found.values()) + " |"
    ]


def head(first: str, names: Iterable[str]) -> list[str]:
    """Return the head of a table."""
    names = list(names)
    return [f"| {first} | " + " | ".join(names) + " |", "|---" + "|---:" * len(names) + "|"]


def tested(prompts: int, truth: dict[str, float], seed: int) -> dict[str, bool]:
    """Return which intervals of `evaluate` contain the truth."""
    p, r, group = worlds.table(seed, prompts)
    found = measure(p, r=r, group=group, seed=seed)
    return {k: e.low <= truth[k] <= e.high for k, e in found.items() if e.low is not None}


def evaluate_lines(each: Callable) -> list[str]:
    """Return the coverage on test tables; the truth is computed on 800,000 rows."""
    p, r, group = worlds.table(10**6, 200_000)
    truth = {k: e.value for k, e in measure(p, r=r, group=group, draws=0).items()}
    lines = head("test table", truth)
    for prompts in TESTS:
        found = shares(each(partial(tested, prompts, truth), WORLDS))
        lines += rows(f"{prompts} prompts of 4", found)
    return lines


def read_rates(n: int, features: int, seed: int) -> tuple[dict[str, bool], tuple[float, float]]:
    """Return which intervals of the noise rates contain .1 and .2, and the estimates."""
    train, val = worlds.anchored(seed, n=n, width=features).split(0.2)
    cfg = Train(seed=seed)
    data = CrossFitData(train, val, InputTransform.fit(train, cfg.dtype()), cfg)
    found = estimate_nuisances(make("causalrm", {"rates": "once"}), data).report["flip_rates"]
    known = {"rho_01": 0.1, "rho_10": 0.2}
    held = {k: found[k]["low"] <= v <= found[k]["high"] for k, v in known.items()}
    return held, (found["rho_01"]["value"], found["rho_10"]["value"])


def rates_lines(each: Callable) -> list[str]:
    """Return the coverage of the estimated noise rates, with anchors and an out-of-fold proxy."""
    lines = head("log", ("rho_01 = .1", "rho_10 = .2", "mean estimates, of 100"))
    for n, features in LOGS:
        found = list(each(partial(read_rates, n, features), FITTED))
        mean = np.mean([values for _, values in found], 0)
        (line,) = rows(
            f"{n} rows, half rated, {features} features", shares(held for held, _ in found)
        )
        lines.append(f"{line} {100 * mean[0]:.1f}, {100 * mean[1]:.1f} |")
    return lines


def decided(model: tw.RewardModel, seed: int) -> dict[str, float]:
    """Return the share of 1,000 new responses whose 95 % set contains the label."""
    even, picked = worlds.labelled(seed, by_x=False)[0], worlds.labelled(seed, by_x=True)[0]
    assert picked.o is not None
    picked = replace(picked, eta=signal_probabilities(picked, seed))
    said = torch.where(picked.o > 0, picked.y, torch.nan)
    made = (
        model.calibrated(even, seed=seed),
        model.calibrated(picked, seed=seed),
        calibrate(model, picked, chosen=True, seed=seed),
        calibrate(model, picked, feedback=True, seed=seed),
        model.calibrated(replace(picked, gold=said), seed=seed),
    )
    fresh, r = worlds.labelled(10_000 + seed, by_x=False)
    found = {}
    for name, m in zip((*KINDS, "rated by x, not weighted"), made, strict=True):
        assert m.calibration is not None
        sets = m.calibration.decide(m.score_features(fresh.x).preferred, 0.95)
        found[name] = float(((sets == -1) | (sets == r)).double().mean())
    return found


def sets_lines(each: Callable) -> list[str]:
    """Return the mean coverage of conformal sets and its standard deviation over simulations."""
    model = tw.fit("naive", *worlds.labelled(10**6, by_x=False)[0].split(0.2))
    found = list(each(partial(decided, model), FITTED))
    lines = ["| labels | has the label | sd over worlds |", "|---|---:|---:|"]
    for name in found[0]:
        v = np.array([one[name] for one in found])
        lines.append(f"| {name} | {100 * v.mean():.1f} | {100 * v.std():.1f} |")
    return lines


def banded(seed: int) -> dict[str, bool]:
    """Return whether the sensitivity band contains the mean of the truth."""
    b, r = worlds.selected(seed)
    low, high = tw.sensitivity(tw.fit("naive", *b.split(0.2), seed=seed), b).band
    return {"held": low <= float(r.mean()) <= high}


def band_lines(each: Callable) -> list[str]:
    """Return the share of simulations, odds ratios 1/5 to 5, with the mean of the truth in the band."""
    held = shares(each(banded, BANDS))["held"]
    return [
        f"{held:.0%} of {BANDS} logs of 12,000 rows with an odds ratio of reacting from 1/5 to 5."
    ]


def narrower(place: Path, mechanism: str, seed: int) -> tuple[float, float, float]:
    """Return the relative reduction of the Brier interval by the log, and both widths."""
    d = pl.read_parquet(place / "gptfuzz_human_labeled" / "data.parquet")
    answers = d.select("prompt", "response", pl.col("jailbroken").cast(pl.Float64).alias("rating"))
    made = tw.simulate(answers, mechanism=mechanism, rho_01=0.1, rho_10=0.2, gold=300, seed=seed)
    log = tw.encode(tw.read_log(made.log), progress=False)
    model = tw.fit("naive", *log.split(0.2, seed), seed=seed)
    found = tw.audit(model, log, seed=seed)
    return (
        found.narrower("brier") or 0.0,
        interval_width(found["brier"]),
        interval_width(found.gold_alone["brier"]),
    )


def width_lines(each: Callable, place: Path) -> list[str]:
    """Return the Brier intervals with the log and with the gold labels alone (gptfuzz, 300 labels)."""
    lines = ["| mechanism | narrower, mean of 5 | each | mean width | gold alone |"]
    lines += ["|---|---:|---|---:|---:|"]
    for mechanism in ("rating", "label"):
        found = np.array(list(each(partial(narrower, place, mechanism), SEEDS)))
        one = ", ".join(f"{v:.0%}" for v in found[:, 0])
        lines.append(
            f"| {mechanism} | {found[:, 0].mean():.0%} | {one} | {found[:, 1].mean():.3f} | "
            f"{found[:, 2].mean():.3f} |"
        )
    return lines


TITLES = {
    "evaluate": "Intervals of `evaluate`, coverage in %",
    "designs": "Intervals of `evaluate --log` over designs, coverage in % (share of draws with a figure)",
    "users": "Intervals of `evaluate` clustered by user and prompt, coverage in %",
    "likeness": "Gold rows that are a random draw and are said not to be like the others, %",
    "rates": "Intervals of estimated noise rates, coverage in %",
    "sets": "Conformal sets at 95 %: share of labels in the set, %",
    "bands": "Sensitivity bands",
    "refute": "Refutation: what is flagged",
    "draws": "Labelling next what is worth most, beside an even draw: what an interval would gain (from 5 to 95 % of worlds)",
    "width": "Width of the Brier interval, gptfuzz",
    "commands": "Seconds of every command on 100,000 responses",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder of the real sets"
    )
    parser.add_argument("--only", default="", help="parts to measure again: " + ", ".join(TITLES))
    parser.add_argument("--jobs", type=int, default=2, help="parallel simulations")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/doubt"), help="folder of the finished parts"
    )
    parser.add_argument(
        "--draws",
        type=int,
        default=DRAWS,
        help="designs, users: draws of each in all; more are added",
    )
    given = parser.parse_args()
    asked = [name for name in given.only.split(",") if name]
    if unknown := sorted(set(asked) - set(TITLES)):
        parser.error(f"--only takes {', '.join(TITLES)}, not {unknown[0]}")
    given.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    with ProcessPoolExecutor(given.jobs) as pool:
        each = partial(spread, pool)
        parts = {
            "evaluate": partial(evaluate_lines, each),
            "designs": partial(design_lines, each, given.out, given.draws),
            "users": partial(user_lines, each, given.out, given.draws),
            "likeness": partial(likeness_lines, each),
            "rates": partial(rates_lines, each),
            "sets": partial(sets_lines, each),
            "bands": partial(band_lines, each),
            "refute": partial(refute_lines, each),
            "draws": partial(draw_lines, each),
            "width": partial(width_lines, each, given.data),
            "commands": partial(command_lines, given.out),
        }
        for name, part in parts.items():
            kept = given.out / f"{name}.md"
            if name in asked or (not asked and not kept.exists()):
                print(f"measuring {name} ...", file=sys.stderr, flush=True)
                kept.write_text("\n".join([f"## {TITLES[name]}", "", *part(), ""]), "utf-8")
    there = [given.out / f"{name}.md" for name in TITLES]
    print("\n".join(path.read_text("utf-8") for path in there if path.exists()))


def spread(pool: ProcessPoolExecutor, one: Callable, count: int) -> Sequence:
    """Run ``count`` simulations in parallel; return the results in order."""
    return list(pool.map(one, range(count), chunksize=max(1, min(10, count // 8))))


if __name__ == "__main__":
    main()
