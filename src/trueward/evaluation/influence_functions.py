"""Influence functions of metrics: each metric as a value plus a mean over rows, linear in the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]


@dataclass(frozen=True)
class InfluenceFunction:
    """A metric as theta + mean over rows of psi(r), psi linear in the label r."""

    #: Value that the metric is expanded at.
    theta: float
    #: (n,) psi(1): psi of each row if it is good.
    good: Array
    #: (n,) psi(0): psi of each row if it is bad.
    bad: Array

    def at(self, r: Array) -> Array:
        """(n,) psi of rows that are good with probability ``r``."""
        return r * self.good + (1 - r) * self.bad


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


def _mean(good: NDArray[Any], bad: NDArray[Any]) -> InfluenceFunction:
    return InfluenceFunction(0.0, good, bad)


def auroc_influence(s: Array, r: Array) -> InfluenceFunction:
    """Compute the influence function of AUROC.

    psi(1) = (P(bad scores lower) - theta) / P(good), psi(0) = (P(good scores higher) - theta) / P(bad).

    Parameters
    ----------
    s : (n,) array
        Scores.
    r : (n,) array
        Labels, or probabilities of being good, in [0, 1].

    Returns
    -------
    InfluenceFunction
        ``theta`` is the AUROC, a tie counting half.

    """
    order = np.argsort(s, kind="stable")
    place = np.empty(len(s), dtype=np.int64)
    place[order] = np.cumsum(np.r_[True, np.diff(s[order]) > 0]) - 1
    good, bad = np.bincount(place, r), np.bincount(place, 1 - r)
    below = ((np.cumsum(bad) - bad / 2) / bad.sum())[place]
    above = (1 - (np.cumsum(good) - good / 2) / good.sum())[place]
    theta = float(r @ below / r.sum())
    share = r.mean()
    return InfluenceFunction(theta, (below - theta) / share, (above - theta) / (1 - share))


def _r2(p: Array, _s: Array, r: Array) -> InfluenceFunction:
    """1 - B / V with B the Brier score and V = P(good) P(bad)."""
    brier = float((r * (1 - p) ** 2 + (1 - r) * p**2).mean())
    share = float(r.mean())
    v = share * (1 - share)
    slope = brier * (1 - 2 * share) / v**2
    good = -((1 - p) ** 2 - brier) / v + slope * (1 - share)
    bad = -(p**2 - brier) / v - slope * share
    return InfluenceFunction(1 - brier / v, good, bad)


def _nll(p: Array, r: float) -> Array:
    return np.asarray(metrics.nll(p, np.full(len(p), r)), dtype=np.float64)


#: Influence function of every metric of an audit but pair_accuracy, from p, s and labels r, each (n,).
INFLUENCE_FUNCTIONS: dict[str, Callable[[Array, Array, Array], InfluenceFunction]] = {
    "auroc": lambda _p, s, r: auroc_influence(s, r),
    "r2": _r2,
    "brier": lambda p, _s, _r: _mean((1 - p) ** 2, p**2),
    "nll": lambda p, _s, _r: _mean(_nll(p, 1.0), _nll(p, 0.0)),
    "accuracy": lambda p, _s, _r: _mean((p > 0.5) * 1.0, (p <= 0.5) * 1.0),
    "bias": lambda p, _s, _r: _mean(p - 1, p),
    "good": lambda p, _s, _r: _mean(np.ones(len(p)), np.zeros(len(p))),
}
