"""Whether gold rows are like the other rows of a log, or like what their weights say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtrc

from trueward.core.random import numpy_stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .label_draw import LabelDraw

    Array = NDArray[np.float64]

UNLIKE = 1e-4  # p-value below which gold rows are not a random draw
DRAWS = 10_000  # of gold rows, under the hypothesis that they are a random draw


def likeness(gold: Array, rest: Array) -> float:
    """Test by Hotelling's statistic with pooled covariance whether gold rows are a random draw of all rows.

    Below .25 the chi-squared approximation, which rare columns spoil, gives way to 1,000 random draws, and
    below .01 to 10,000.

    Parameters
    ----------
    gold : (m, k) array
        Evidence of the gold rows.
    rest : (n, k) array
        Evidence of the other rows.

    Returns
    -------
    float
        p-value, at least 1 / 10,001 where random draws decide; with more than 2,000 gold rows they do not.

    """
    if len(rest) < 2:
        return 1.0
    table = np.concatenate([gold, rest])
    size, axes = np.linalg.eigh(np.atleast_2d(np.cov(table.T)))
    kept = size > 1e-9 * max(float(size.max()), 1e-300)
    z = (table - table.mean(0)) @ (axes[:, kept] / np.sqrt(size[kept]))
    n, count = len(table), len(gold)
    scale = n * count / (n - count)  # of |mean of the gold rows|^2, to chi-squared
    statistic = float(scale * np.square(z[:count].mean(0)).sum())
    p = float(chdtrc(int(kept.sum()), statistic))
    if p > 0.25 or count > 2000:
        return p
    draws = DRAWS if p < 0.01 else DRAWS // 10
    rng = numpy_stream(0, "likeness")
    drawn = (z[rng.choice(n, count, replace=False)].mean(0) for _ in range(draws))
    above = sum(scale * float(m @ m) >= statistic for m in drawn)
    return (1 + above) / (1 + draws)


def draw_warnings(rows: LabelDraw, evidence: Array, *, chosen: bool) -> Iterator[str]:
    """Warn of gold rows that are no random draw, or not the draw that their weights say.

    Parameters
    ----------
    rows : LabelDraw
        Logged rows, some with gold labels.
    evidence : (n, k) array
        What a draw at random does not depend on.
    chosen : bool
        Whether the gold rows are known to be chosen; their weights settle that, if they differ.

    Yields
    ------
    str
        One sentence for each reason.

    """
    gold = rows.known
    if rows.label_weight is not None and rows.represents is not None and not gold.all():
        each, of = rows.label_weight[gold], float(rows.represents.sum())
        missing = np.clip(1 - rows.represents[gold] / each, 0, 1)
        spread = float(
            np.sqrt(np.square(each) @ missing)
        )  # of the sum, where rows are drawn one by one
        given = bool((each != rows.represents[gold]).any())
        if given and abs(each.sum() - of) > 4 * spread + 0.05 * of:
            yield (
                f"gold_weight should be 1 / P(labelled), and by it the gold rows represent {each.sum():,.0f} "
                f"responses where the log has {of:,.0f}: the estimates use its ratios only; check it"
            )
    chance = rows.weight[gold]
    if np.ptp(chance) > 1e-3 * chance.mean():
        return
    p = likeness(evidence[gold], evidence[~gold])
    if chosen or p < UNLIKE:
        why = "were not drawn at random" if chosen else f"differ from the other rows (p = {p:.1g})"
        yield (
            f"the gold rows {why}: the estimates hold for the responses that they represent; for all "
            "responses that were shown, label a random draw, or give their gold_weight, 1 / P(labelled)"
        )
