"""Means, and differences from naive, over seeds."""

from __future__ import annotations

import json
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from rewards import ARMS
from scipy.stats import t

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

Run = dict[str, Any]  # what is kept of one policy
Runs = dict[str, list[Run]]  # by reward


def results(out: Path, what: str) -> Runs:
    """What is kept of every reward, by seed, also of what failed."""
    files = {arm: (out / what).glob(f"{arm.replace(' ', '-')}-*.json") for arm in ARMS}
    found = {arm: [json.loads(f.read_bytes()) for f in sorted(some)] for arm, some in files.items()}
    return {arm: runs for arm, runs in found.items() if runs}


def whole(found: Runs) -> Runs:
    """The same without what failed."""
    done = {arm: [r for r in runs if "failed" not in r] for arm, runs in found.items()}
    return {arm: runs for arm, runs in done.items() if runs}


def seeds_of(found: Runs) -> int:
    """How many seeds there are, of the reward that has the most."""
    return max(map(len, found.values()))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval over seeds by Student's t; NaN for one seed."""
    n = len(values)
    half = t.ppf(0.975, n - 1) * stdev(values) / n**0.5 if n > 1 else float("nan")
    return mean(values), float(half)


def shown(values: Sequence[float], signed: bool = False) -> str:
    """A mean with its interval."""
    m, half = interval(values)
    return f"{m:{'+' if signed else ''}.3f} ± {half:.3f}"


def gains(found: Runs, arm: str, value: Callable[[Run], float]) -> list[float]:
    """By how much a reward's runs exceed those of naive of the same seed."""
    naive = {r["seed"]: value(r) for r in found.get("naive", [])}
    return [value(r) - naive[r["seed"]] for r in found[arm] if r["seed"] in naive]


def against_naive(found: Runs, arm: str, value: Callable[[Run], float]) -> str:
    """The same as a cell of a table."""
    more = [] if arm == "naive" else gains(found, arm, value)
    return shown(more, signed=True) if more else "-"


def clear(found: Runs, value: Callable[[Run], float]) -> str:
    """Name the learned rewards whose difference from naive is larger than its interval."""
    every = {arm: gains(found, arm, value) for arm in found if arm not in ("naive", "truth")}
    every = {arm: interval(more) for arm, more in every.items() if more}
    said = [f"`{arm}` ({m:+.3f})" for arm, (m, half) in every.items() if abs(m) > half]
    return f"{', '.join(said) or 'none'}, of {len(every)} compared"
