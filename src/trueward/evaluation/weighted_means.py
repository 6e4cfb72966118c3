"""A weighted sum of means over parts of a data set, with a 95 % interval clustered by prompt.

theta = sum over parts s of w_s m_s, with m_s the mean of the values of part s and [l_s, u_s] its interval:

low  = theta - sqrt(sum_st w_s w_t rho_st (m_s - l_s) (m_t - l_t)),
high = theta + sqrt(sum_st w_s w_t rho_st (u_s - m_s) (u_t - m_t)),

with rho_st the correlation of m_s and m_t over prompts, 0 where a mean does not vary (method of variance
estimates recovery, Zou and Donner 2008). A part where everything is right keeps its exact interval, where a
pooled standard error would be 0. A mean that is the same in every prompt has no interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trueward.core.estimate import Estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trueward.core.clustering import Clusters
    from trueward.core.intervals import Scale

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Values whose mean is one term of a score.

    Attributes
    ----------
    name : str
        Name of the part, for the reason of a missing interval.
    weight : float
        Weight w_s of the mean in the score.
    rows : (k,) array of int
        Row of every value; a row may have several values.
    values : (k,) array
        The values, at least one.
    scale : str, default "share"
        Scale of the interval of the mean; see `student_interval`.

    """

    name: str
    weight: float
    rows: Index
    values: Array
    scale: Scale = "share"


def weighted_mean(parts: Sequence[Part], units: Clusters) -> Estimate:
    """Compute theta of the module's docstring.

    Parameters
    ----------
    parts : sequence of Part
        The terms.
    units : Clusters
        Prompt of every row.

    Returns
    -------
    Estimate
        Without an interval, and with the reason, where a part has none.

    Examples
    --------
    >>> from trueward.core.clustering import clusters
    >>> rows = np.arange(4)
    >>> parts = [Part("a", 0.5, rows[:2], np.ones(2)), Part("b", 0.5, rows[2:], np.zeros(2))]
    >>> print(weighted_mean(parts, clusters(4)))  # .5 (1 - .025^(1/2)) to either side
    0.500 [0.079, 0.921]

    """
    n = len(units)
    means, influences = [], []
    for part in parts:
        size = len(part.values)
        mean = float(part.values.mean())
        influence = np.bincount(part.rows, part.values - mean, n) / size
        mass = np.bincount(part.rows, minlength=n) / size
        estimate = units.estimate(mean, influence, part.scale, mass)
        if part.scale == "share" and 0 < mean < 1 and not _varies(influence, units):
            estimate = Estimate(mean, reason="the same mean in every prompt, so no interval")
        means.append(estimate)
        influences.append(influence)
    if len(parts) == 1 and parts[0].weight == 1:
        return means[0]
    weights = np.array([part.weight for part in parts])
    ends = np.array([[m.value, m.low, m.high] for m in means], dtype=np.float64)
    value = float(weights @ ends[:, 0])
    for part, mean_of in zip(parts, means, strict=True):
        if mean_of.low is None:
            return Estimate(value, reason=f"{part.name}: {mean_of.reason}")
    rho = _correlations(np.stack(influences, 1), units)
    down, up = weights * (ends[:, 0] - ends[:, 1]), weights * (ends[:, 2] - ends[:, 0])
    low, high = (float(np.sqrt(np.clip(d @ rho @ d, 0, None))) for d in (down, up))
    return Estimate(value, value - low, value + high)


def _varies(influence: Array, units: Clusters) -> bool:
    """Whether a mean differs between units, beyond rounding."""
    totals = [np.bincount(unit, influence) for unit in units.units.values()]
    return any(bool(np.abs(total).max() > 1e-12) for total in totals)


def _correlations(influence: Array, units: Clusters) -> Array:
    """(k, k) correlations of k means; 0 with a mean that does not vary."""
    covariance = np.atleast_2d(units.variance(influence))
    sd = np.sqrt(np.diag(covariance))
    scale = np.outer(sd, sd)
    varies = scale > 1e-18
    rho = np.divide(covariance, scale, out=np.zeros_like(scale), where=varies)
    np.fill_diagonal(rho, 1.0)
    return np.asarray(rho, dtype=np.float64)
