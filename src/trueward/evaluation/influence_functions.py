"""Influence functions of metrics: each metric as a value plus a mean over rows, linear in the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trueward.core.influence import InfluenceFunction, auroc_influence

from . import metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]


FOLDS = 5  # of drawn units: lambda of a unit is chosen on the others


def class_mass(r: Array, w: Array) -> Array:
    """Return how much each row carries of AUROC: half of it lies on the good rows, and half on the bad ones.

    Parameters
    ----------
    r, w : (n,) array
        Labels in [0, 1] and row weights.

    Returns
    -------
    (n,) array
        w (r / sum w r + (1 - r) / sum w (1 - r)) / 2; all 0 with one class only. The effective number of n_1
        good and n_0 bad rows of weight 1 is 4 n_1 n_0 / (n_1 + n_0).

    """
    good, bad = w * r, w * (1 - r)
    if not good.sum() or not bad.sum():
        return np.zeros(len(r))
    return np.asarray((good / good.sum() + bad / bad.sum()) / 2)


def cross_fitted_share(first: Array, change: Array, unit: Index, known: NDArray[np.bool_]) -> Array:
    """Compute the lambda in [0, 1] of every row: of least variance on the units of the other folds.

    Parameters
    ----------
    first, change : (n,) array
        Influence at lambda = 0, and what lambda = 1 adds to it.
    unit : (n,) array of int
        Unit of the random draw of every row.
    known : (n,) array of bool
        Rows with a gold label.

    Returns
    -------
    (n,) array
        0 where every row has a gold label.

    """
    if known.all():
        return np.zeros(len(first))
    place = np.unique(unit, return_inverse=True)[1]
    a, b = np.bincount(place, first), np.bincount(place, change)
    drawn = np.flatnonzero(np.bincount(place, known) > 0)
    fold = np.arange(len(a)) % FOLDS
    fold[drawn] = np.arange(len(drawn)) % FOLDS
    each = [-(a * b)[fold != k].sum() / max((b * b)[fold != k].sum(), 1e-300) for k in range(FOLDS)]
    return np.asarray(np.clip(each, 0, 1)[fold][place], dtype=np.float64)


def _mean(good: NDArray[Any], bad: NDArray[Any], curve: float = 0.0) -> InfluenceFunction:
    return InfluenceFunction(0.0, good, bad, curve)


def _r2(
    p: Array, _s: Array, r: Array, spread: Array | float = 0.0, w: Array | None = None
) -> InfluenceFunction:
    """1 - B / V with B the Brier score, V = m (1 - m) - mean r (1 - r) the variance of r, and m its mean."""
    share = float(np.average(r, weights=w))
    loss = r * (1 - p) ** 2 + (1 - r) * p**2 - spread
    brier = float(np.average(loss, weights=w))
    v = share * (1 - share) - float(np.average(np.broadcast_to(spread, r.shape), weights=w))
    good = -((1 - p) ** 2 - brier) / v + brier / v**2 * ((1 - share) ** 2 - v)
    bad = -(p**2 - brier) / v + brier / v**2 * (share**2 - v)
    return InfluenceFunction(1 - brier / v, good, bad, (brier / v - 1) / v)


def _nll(p: Array, r: float) -> Array:
    return np.asarray(metrics.nll(p, np.full(len(p), r)), dtype=np.float64)


#: Influence function of every metric of an audit but pair_accuracy. Arguments: p, s and labels r, each (n,),
#: then, optionally, r (1 - r) of graded labels and row weights.
INFLUENCE_FUNCTIONS: dict[str, Callable[..., InfluenceFunction]] = {
    "auroc": lambda _p, s, r, *more: auroc_influence(s, r, *more),
    "r2": _r2,
    "brier": lambda p, _s, _r, *_: _mean((1 - p) ** 2, p**2, 1.0),
    "nll": lambda p, _s, _r, *_: _mean(_nll(p, 1.0), _nll(p, 0.0)),
    "accuracy": lambda p, _s, _r, *_: _mean((p > 0.5) * 1.0, (p <= 0.5) * 1.0),
    "bias": lambda p, _s, _r, *_: _mean(p - 1, p),
    "good": lambda p, _s, _r, *_: _mean(np.ones(len(p)), np.zeros(len(p))),
}
