"""Gain of active labelling in interval width, for benchmarks/doubt_page.py.

The log has 100 gold labels, drawn uniformly. 200 more are drawn: uniformly, or with pi half uniform and half
proportional to |psi(1) - psi(0)| sqrt(g (1 - g)), where psi is the influence function of the metric and g the predicted
label. The estimate is the mean of psi^ + 1[drawn]/pi (psi - psi^) (methods, 4.6). Its conditional standard error is
computed exactly from the simulated truth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import doubt_worlds as worlds
import numpy as np

from trueward.evaluation.influence_functions import INFLUENCE_FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

LOGS = 200
THERE, MORE = 100, 200
METRICS = ("brier", "nll", "accuracy", "good")


def narrower(seed: int) -> dict[str, float]:
    """Return the relative reduction of the standard error against a uniform draw."""
    rows, r = worlds.audited(seed, by_prompt=False, golds=THERE)
    n, rest = len(r), ~rows.known
    even = MORE / rest.sum()
    found = {}
    for name in METRICS:
        f = INFLUENCE_FUNCTIONS[name](rows.p, rows.s, rows.g)
        worth = np.abs(f.good - f.bad) * np.sqrt(rows.g * (1 - rows.g))
        pi = np.minimum(1, 0.5 * even + 0.5 * MORE * worth / worth[rest].sum())
        off = np.square(f.at(r) - f.at(rows.g))[rest]
        errors = [
            float(np.sqrt((off * (1 - chance) / chance).sum())) / n
            for chance in (np.full(rest.sum(), even), pi[rest])
        ]
        found[name] = 1 - errors[1] / errors[0]
    return found


def draw_lines(each: Callable) -> list[str]:
    """Return the table of the mean reduction at the same number of labels."""
    found = list(each(narrower, LOGS))
    lines = ["| metric | narrower | from | to |", "|---|---:|---:|---:|"]
    for name in METRICS:
        v = np.array([one[name] for one in found])
        low, high = np.quantile(v, [0.05, 0.95])
        lines.append(f"| {name} | {v.mean():.0%} | {low:.0%} | {high:.0%} |")
    return lines
