"""Size of the test that gold rows are like the others, where they are a random draw, for benchmarks/doubt_page.py.

The evidence is that of an audit: score, logits of predicted feedback, feedback up and down, and rare columns of context.
Every draw makes a new log of 4,000 rows.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, log_expit, logit

from trueward.evaluation.likeness import likeness

if TYPE_CHECKING:
    from collections.abc import Callable

DRAWS = 200
ROWS = 4000
LEVELS = (0.05, 1e-4)  # 1e-4: below it an audit warns
#: gold rows, rate of feedback, columns of context that are 1 in 5 % of rows
LOGS = (
    *((100, rate, 0) for rate in (0.005, 0.01, 0.03, 0.1, 0.3)),
    *((golds, 0.03, 0) for golds in (30, 300)),
    *((golds, 0.03, 12) for golds in (30, 100, 300)),
)


def evidence(rng: np.random.Generator, rate: float, rare: int) -> np.ndarray:
    """Return (4000, 6 + rare) columns."""
    v = rng.standard_normal(ROWS)
    o = rng.random(ROWS) < rate
    y = rng.random(ROWS) < expit(v)
    q = v + 0.2 * rng.standard_normal(ROWS)
    p = logit(rate) + 0.3 * rng.standard_normal(ROWS)
    columns = [v, q, p + log_expit(q), p + log_expit(-q), o & y, o & ~y]
    return np.hstack([np.stack(columns, 1).astype(float), rng.random((ROWS, rare)) < 0.05])


def p_value(golds: int, rate: float, rare: int, seed: int) -> float:
    """Return the p-value of gold rows that are a random draw."""
    rng = np.random.default_rng([golds, round(1e4 * rate), rare, seed])
    table = evidence(rng, rate, rare)
    drawn = np.isin(np.arange(ROWS), rng.choice(ROWS, golds, replace=False))
    return likeness(table[drawn], table[~drawn])


def likeness_lines(each: Callable) -> list[str]:
    """Return the share of random draws that the test rejects, in percent with its Monte Carlo error."""
    lines = [
        "| gold rows of 4,000 | feedback | rare columns | p < .05 | p < .0001 |",
        "|---:|---:|---:|---:|---:|",
    ]
    for golds, rate, rare in LOGS:
        p = np.array(each(partial(p_value, golds, rate, rare), DRAWS))
        shares = [float((p < level).mean()) for level in LEVELS]
        cells = [f"{100 * s:.1f} ± {100 * np.sqrt(s * (1 - s) / DRAWS):.1f}" for s in shares]
        lines.append(f"| {golds} | {100 * rate:g} % | {rare} | " + " | ".join(cells) + " |")
    return lines
