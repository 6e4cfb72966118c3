"""Means and differences to naive over seeds."""

from __future__ import annotations

import json
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from rewards import ARMS
from scipy.stats import t

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

Run = dict[str, Any]  # result of one policy
Runs = dict[str, list[Run]]  # reward -> results


def results(out: Path, what: str) -> Runs:
    """Return the results of every reward by seed, including failed ones."""
    files = {arm: (out / what).glob(f"{arm.replace(' ', '-')}-*.json") for arm in ARMS}
    found = {arm: [json.loads(f.read_bytes()) for f in sorted(some)] for arm, some in files.items()}
    return {arm: runs for arm, runs in found.items() if runs}


def whole(found: Runs) -> Runs:
    """Return the results without the failed ones."""
    done = {arm: [r for r in runs if "failed" not in r] for arm, runs in found.items()}
    return {arm: runs for arm, runs in done.items() if runs}


def seeds_of(found: Runs) -> int:
    """Return the largest number of seeds of a reward."""
    return max(map(len, found.values()))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the half-width of its 95 % t-interval over seeds; NaN for one seed."""
    n = len(values)
    half = t.ppf(0.975, n - 1) * stdev(values) / n**0.5 if n > 1 else float("nan")
    return mean(values), float(half)


def shown(values: Sequence[float], signed: bool = False) -> str:
    """Return a mean with its interval as text."""
    m, half = interval(values)
    return f"{m:{'+' if signed else ''}.3f} ± {half:.3f}"


def gains(found: Runs, arm: str, value: Callable[[Run], float]) -> list[float]:
    """Return the paired differences to naive."""
    naive = {r["seed"]: value(r) for r in found.get("naive", [])}
    return [value(r) - naive[r["seed"]] for r in found[arm] if r["seed"] in naive]


def against_naive(found: Runs, arm: str, value: Callable[[Run], float]) -> str:
    """Return the mean difference to naive as a table cell."""
    more = [] if arm == "naive" else gains(found, arm, value)
    return shown(more, signed=True) if more else "-"


def clear(found: Runs, value: Callable[[Run], float]) -> str:
    """Return the learned rewards whose difference to naive is larger than its interval."""
    every = {arm: gains(found, arm, value) for arm in found if arm not in ("naive", "truth")}
    every = {arm: interval(more) for arm, more in every.items() if more}
    said = [f"`{arm}` ({m:+.3f})" for arm, (m, half) in every.items() if abs(m) > half]
    return f"{', '.join(said) or 'none'}, of {len(every)} compared"
