"""Whether gold rows are like the other rows of a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtrc

from trueward.core.random import numpy_stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

DRAWS = 10_000  # of gold rows, under the hypothesis that they are a random draw


def likeness(gold: Array, rest: Array) -> float:
    """Test by Hotelling's statistic with pooled covariance whether gold rows are a random draw of all rows.

    Below .01 the chi-squared approximation, which rare columns spoil, gives way to 10,000 random draws.

    Parameters
    ----------
    gold : (m, k) array
        Evidence of the gold rows.
    rest : (n, k) array
        Evidence of the other rows.

    Returns
    -------
    float
        p-value, at least 1 / 10,001 where random draws decide.

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
    if p > 0.01 or count > 2000:
        return p
    rng = numpy_stream(0, "likeness")
    drawn = (z[rng.choice(n, count, replace=False)].mean(0) for _ in range(DRAWS))
    above = sum(scale * float(m @ m) >= statistic for m in drawn)
    return (1 + above) / (1 + DRAWS)
