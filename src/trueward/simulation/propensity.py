"""Propensities with a given mean, from weights or from log-odds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from trueward.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def water_fill(weights: NDArray[Any], rate: float) -> Array:
    """Return p = min(1, k w), with the k that makes mean p = rate.

    If the weights are so uneven that k w exceeds 1 on some rows, those rows saturate at 1 and the
    other rows share the remainder in proportion to their weights.

    Parameters
    ----------
    weights : array of float, shape (n,)
        Finite and at least 0.
    rate : float
        Mean of the propensities, in (0, 1].

    Returns
    -------
    array of float, shape (n,)
        Propensities in [0, 1].

    Raises
    ------
    UsageError
        If the rate or a weight is out of range, or if fewer than ``rate * n`` weights are positive.

    Examples
    --------
    >>> water_fill(np.array([1.0, 2.0, 5.0]), 0.2).round(3).tolist()
    [0.075, 0.15, 0.375]

    """
    w = np.asarray(weights, dtype=np.float64)
    if not 0 < rate <= 1:
        raise UsageError(f"the rate of feedback must lie in (0, 1], not {rate}; try rate=0.2")
    if w.ndim != 1 or len(w) == 0 or not np.isfinite(w).all() or (w < 0).any():
        raise UsageError("the weights of a selection must be a row of finite numbers >= 0")
    target = rate * len(w)
    positive = int((w > 0).sum())
    if positive < target - 1e-9 * len(w):
        raise UsageError(
            f"a rate of {rate} needs {target:.0f} rows with a positive weight; only {positive} of "
            f"{len(w)} have one. Use a lower rate or a larger alpha"
        )
    w = w / w.max()
    falling = np.sort(w)[::-1]
    left = np.cumsum(falling[::-1])[::-1]  # sum of the weights from row j on
    with np.errstate(divide="ignore", invalid="ignore"):
        k = (target - np.arange(len(w))) / left
        fits = k * falling <= 1 + 1e-9
    return np.asarray(np.minimum(1.0, k[int(np.argmax(fits))] * w), dtype=np.float64)


def logistic_fill(score: Array, rate: float) -> Array:
    """Return p = sigma(a + score), with the a that makes mean p = rate.

    Parameters
    ----------
    score : array of float, shape (n,)
        Finite log-odds, up to the constant a.
    rate : float
        Mean of the propensities, in (0, 1]. A rate of 1 gives p = 1.

    Returns
    -------
    array of float, shape (n,)
        Propensities in (0, 1].

    """
    if rate == 1:
        return np.ones(len(score))
    centre = float(logit(rate))
    # Bracket of a: mean p is below the rate at `low` and above it at `high`.
    low, high = centre - score.max() - 1, centre - score.min() + 1
    a = brentq(lambda a: float(expit(a + score).mean()) - rate, low, high, xtol=1e-12)
    return np.asarray(expit(a + score), dtype=np.float64)


def power(alpha: float, exponent: Array) -> Array:
    """Return the weights alpha^(exponent - min exponent); the largest weight is 1.

    Parameters
    ----------
    alpha : float
        In (0, 1].
    exponent : array of float, shape (n,)
        Finite.

    Returns
    -------
    array of float, shape (n,)

    """
    return np.asarray(alpha ** (exponent - exponent.min()), dtype=np.float64)
