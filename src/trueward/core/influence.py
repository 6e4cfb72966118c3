"""Influence functions: a statistic as a value plus a mean over rows, which gives its standard error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]


@dataclass(frozen=True)
class InfluenceFunction:
    """A metric as theta + mean over rows of psi(r).

    psi(r) = r psi(1) + (1 - r) psi(0) - curve r (1 - r): linear for labels 0 and 1. A graded label in between
    counts by its share in metrics of ranking and log-loss, and as a number in Brier score and R2.
    """

    #: Value that the metric is expanded at.
    theta: float
    #: (n,) psi(1): psi of each row if it is good.
    good: Array
    #: (n,) psi(0): psi of each row if it is bad.
    bad: Array
    #: Coefficient of r (1 - r), which is 0 for labels 0 and 1.
    curve: float = 0.0

    def at(self, r: Array, spread: Array | float = 0.0) -> Array:
        """(n,) psi of labels ``r`` with ``spread`` r (1 - r); 0 where r is P(good) of labels 0 and 1."""
        return r * self.good + (1 - r) * self.bad - self.curve * spread


def clustered_error(influence: Array, unit: Index, count: int) -> float:
    """Compute the standard error of a sum of influence values, clustered by unit.

    Parameters
    ----------
    influence : (n,) array
        Influence of every row on the sum.
    unit : (n,) array of int
        Independent unit of every row, such as its prompt.
    count : int
        Number of independent units.

    Returns
    -------
    float
        sqrt(count / (count - 1) sum_units (sum_rows influence)^2).

    """
    total = np.bincount(unit, influence)
    return float(np.sqrt(np.square(total).sum() * count / max(count - 1, 1)))


def auroc_influence(
    s: Array, r: Array, _spread: Array | float = 0.0, w: Array | None = None
) -> InfluenceFunction:
    """Compute the influence function of AUROC.

    psi(1) = (P(bad scores lower) - theta) / P(good), psi(0) = (P(good scores higher) - theta) / P(bad).

    Parameters
    ----------
    s : (n,) array
        Scores.
    r : (n,) array
        Labels, or probabilities of being good, in [0, 1].
    w : (n,) array, optional
        Row weights.

    Returns
    -------
    InfluenceFunction
        ``theta`` is the AUROC, a tie counting half.

    """
    w = np.ones(len(s)) if w is None else w
    order = np.argsort(s, kind="stable")
    place = np.empty(len(s), dtype=np.int64)
    place[order] = np.cumsum(np.r_[True, np.diff(s[order]) > 0]) - 1
    good, bad = np.bincount(place, w * r), np.bincount(place, w * (1 - r))
    below = ((np.cumsum(bad) - bad / 2) / bad.sum())[place]
    above = (1 - (np.cumsum(good) - good / 2) / good.sum())[place]
    theta = float((w * r) @ below / good.sum())
    share = good.sum() / w.sum()
    return InfluenceFunction(theta, (below - theta) / share, (above - theta) / (1 - share))
