"""Krippendorff's alpha: agreement of annotators beyond chance, with an interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trueward.core.estimate import Estimate
from trueward.core.random import numpy_stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

DRAWS = 2000  # of items, with replacement
BLOCK = 200  # draws at a time, which bounds the memory
FEWEST = 10  # items with two labels from which there is an interval
DEFINED = 0.95  # share of the draws that must define alpha


def krippendorff_alpha(items: Iterable[Sequence[float]], *, seed: int = 0) -> Estimate:
    """Compute Krippendorff's alpha of labels in [0, 1].

    alpha = 1 - D_o / D_e with D_o = 1/n sum_u 1/(m_u - 1) sum_{i != j} (v_ui - v_uj)^2 over the items with
    m_u >= 2 labels, and D_e = 1/(n (n - 1)) sum of the same over all pairs of the n labels. For labels 0
    and 1 it is the alpha of nominal data. 1 is agreement, 0 is what chance gives.

    Parameters
    ----------
    items : iterable of sequence of float
        The labels of each item; items with one label do not count.
    seed : int, default 0
        Seed of the interval.

    Returns
    -------
    Estimate
        With the 95 % percentile interval of 2,000 draws of items with replacement; without a value, and with
        the reason, where no item has two labels or all labels are alike.

    References
    ----------
    .. [1] Krippendorff, Computing Krippendorff's alpha-reliability, 2011.

    Examples
    --------
    >>> pairs = [(0, 1), (1, 1), (0, 1), (0, 0), (0, 0), (0, 1), (0, 0), (0, 0), (1, 0), (0, 0)]
    >>> round(krippendorff_alpha(pairs).value, 3)
    0.095

    """
    several = [np.asarray(labels, np.float64) for labels in items if len(labels) > 1]
    if not several:
        return Estimate(None, reason="no response has two labels")
    # per item: number, sum, sum of squares, disagreement
    table = np.array(
        [
            (m, v.sum(), v @ v, 2 * (m * (v @ v) - v.sum() ** 2) / (m - 1))
            for v in several
            for m in (len(v),)
        ]
    )
    value = float(_alpha(table.sum(0)[None])[0])
    if not np.isfinite(value):
        return Estimate(None, reason="all labels are alike, so chance alone gives agreement")
    if len(table) < FEWEST:
        return Estimate(
            value, reason=f"{len(table)} responses have two labels; {FEWEST} give an interval"
        )
    rng = numpy_stream(seed, "alpha")
    share = np.full(len(table), 1 / len(table))
    drawn = np.concatenate(
        [_alpha(rng.multinomial(len(table), share, BLOCK) @ table) for _ in range(DRAWS // BLOCK)]
    )
    defined = drawn[np.isfinite(drawn)]
    if len(defined) < DEFINED * DRAWS:
        return Estimate(value, reason="too few labels of one kind for an interval")
    low, high = np.quantile(defined, (0.025, 0.975)).tolist()
    return Estimate(value, low, high)


def _alpha(totals: Array) -> Array:
    """(k,) alpha of (k, 4) totals; NaN where all labels are alike."""
    n, first, second, apart = totals.T
    expected = 2 * (n * second - first**2) / (n - 1)
    return np.where(expected > 1e-12, 1 - apart / np.where(expected > 1e-12, expected, 1.0), np.nan)
