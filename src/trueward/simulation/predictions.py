"""Predictions that are wrong in a known way, made from the truth: nothing is trained.

The check is |L^ - L| / L: L = mean l(s, r*) of these predictions over all rows, L^ what a method
estimates of it from the log. The four matrices come from recommender systems with ratings from 1
to 5 (Schnabel et al., ICML 2016; Li et al., KDD 2024), written down here from memory; the constants
that CausalRM took for its reward data are not known. Ratings are rescaled to [1, 5] as in
`simulate`, changed as there, and read as a probability of r* = 1 by P = .1 + .2 (rating' - 1), that
is .1, .3, .5, .7, .9 on five levels. On two levels, as with labels, the second from the top is the
bottom: FOUR is ONE, and ROTATE predicts the opposite of the truth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trueward.core.errors import TruewardError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def one(rating: NDArray[Any], rng: np.random.Generator) -> Array:
    """Predict the truth, but the top level for as many rows of the lowest as there are top ones.

    So half of the predicted best are the worst; all of the lowest level if there are too few.
    """
    return _raised(_five(rating), 0, rng)


def four(rating: NDArray[Any], rng: np.random.Generator) -> Array:
    """Predict the truth, but the top level for as many rows of the second best as top ones."""
    return _raised(_five(rating), -2, rng)


def rotate(rating: NDArray[Any], rng: np.random.Generator) -> Array:
    """Predict each level one too low, and the lowest as the highest."""
    del rng
    levels, place = np.unique(_five(rating), return_inverse=True)
    return _chance(levels[place - 1])


def skew(rating: NDArray[Any], rng: np.random.Generator) -> Array:
    """Predict N(rating', ((6 - rating') / 2)^2), kept within [1, 5]: the worse, the vaguer."""
    r = _five(rating)
    return _chance(np.clip(rng.normal(r, (6 - r) / 2), 1, 5))


PREDICTIONS: dict[str, Callable[[NDArray[Any], np.random.Generator], Array]] = {
    "ONE": one,
    "FOUR": four,
    "ROTATE": rotate,
    "SKEW": skew,
}


def _five(rating: NDArray[Any]) -> Array:
    """Rescale (n,) ratings or labels to [1, 5]."""
    r = np.asarray(rating, dtype=np.float64)
    if r.ndim != 1 or len(r) == 0 or not np.isfinite(r).all() or r.min() == r.max():
        raise TruewardError(
            "predictions are made from a row of finite ratings on two levels at least; give the "
            "true rating or label of every row"
        )
    return np.asarray(1 + 4 * (r - r.min()) / (r.max() - r.min()), dtype=np.float64)


def _chance(rating: Array) -> Array:
    """Read a rating on [1, 5] as P(r* = 1), within [.1, .9]."""
    return 0.1 + 0.2 * (rating - 1)


def _raised(rating: Array, level: int, rng: np.random.Generator) -> Array:
    """Predict the top for random rows of one level, counted from the bottom or (-1) the top."""
    made, at = rating.copy(), np.flatnonzero(rating == np.unique(rating)[level])
    made[rng.permutation(at)[: int((rating == rating.max()).sum())]] = rating.max()
    return _chance(made)
