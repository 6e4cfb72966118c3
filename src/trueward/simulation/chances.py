"""From scores to chances with a given mean, and the directions in feature space that scores use."""

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
    """Give p = min(1, k w) with the one k that makes mean p = rate.

    weights: (n,), finite and not negative; rate in (0, 1]. Where the weights are so uneven that
    many rows would pass 1, those rows saturate and the rest share what is left.
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
            f"a rate of {rate} needs {target:.0f} rows that can react, but only {positive} of "
            f"{len(w)} have a weight above 0; ask for a lower rate or a larger alpha"
        )
    w = w / w.max()
    falling = np.sort(w)[::-1]
    left = np.cumsum(falling[::-1])[::-1]  # sum of the weights from row j on
    with np.errstate(divide="ignore", invalid="ignore"):
        k = (target - np.arange(len(w))) / left
        fits = k * falling <= 1 + 1e-9
    return np.asarray(np.minimum(1.0, k[int(np.argmax(fits))] * w), dtype=np.float64)


def logistic_fill(score: Array, rate: float) -> Array:
    """Give p = sigma(a + score) with the one a that makes mean p = rate; rate 1 is p = 1.

    score: (n,), finite: the log-odds of a row up to the constant a. rate in (0, 1].
    """
    if rate == 1:
        return np.ones(len(score))
    centre = float(logit(rate))
    low, high = centre - score.max() - 1, centre - score.min() + 1  # mean p under and over the rate
    a = brentq(lambda a: float(expit(a + score).mean()) - rate, low, high, xtol=1e-12)
    return np.asarray(expit(a + score), dtype=np.float64)


def power(alpha: float, exponent: Array) -> Array:
    """Take alpha^exponent up to a factor, with the largest weight 1."""
    return np.asarray(alpha ** (exponent - exponent.min()), dtype=np.float64)


def standardised(u: Array) -> Array:
    """Shift and scale to mean 0 and standard deviation 1; a constant becomes 0."""
    spread = u.std()
    return np.asarray((u - u.mean()) / spread if spread > 0 else u - u.mean(), dtype=np.float64)


def direction(x: Array, rng: np.random.Generator) -> Array:
    """Project x onto one random v, both sides standardised; constant columns are left out."""
    x = _columns(x)
    return standardised(x @ rng.standard_normal(x.shape[1]))


def quality(x: Array, rating: Array) -> Array:
    """Project x onto v = (X'X + n I)^-1 X' rating, both sides standardised: how good x looks.

    The ridge n, as large as the sum of squares of a column, keeps more columns than rows harmless.
    """
    x = _columns(x)
    gram = x.T @ x + len(x) * np.eye(x.shape[1])
    return standardised(x @ np.linalg.solve(gram, x.T @ standardised(rating)))


def _columns(x: Array) -> Array:
    """Standardise the columns; constant ones are left out."""
    x = x[:, x.std(axis=0) > 0]
    if x.shape[1] == 0:
        raise UsageError("this mechanism needs features that differ between rows, and none does")
    return np.asarray((x - x.mean(axis=0)) / x.std(axis=0), dtype=np.float64)
