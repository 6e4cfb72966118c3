"""Synthetic predictions with a known error, to measure the bias of an estimated loss.

The bias is |L^ - L| / L. L = mean l(s, r*) is the true loss of the predictions s over all rows, and L^
is a method's estimate of L from the log. No model is trained.

The ratings are rescaled to [1, 5] (rating') and changed by one of four rules. The changed rating gives
P(r* = 1) = .1 + .2 (rating' - 1), which is .1, .3, .5, .7, .9 on five levels. On two levels (labels)
the second level from the top is the bottom: FOUR equals ONE, and ROTATE predicts the opposite of r*.

Notes
-----
The rules are those of recommender systems with ratings 1 to 5 (Schnabel et al., ICML 2016; Li et al.,
KDD 2024), as we know them. The constants of the reward data of CausalRM are not published.

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
    """ONE: the true rating, but the top for m random rows of the lowest level; m rows are at the top.

    If the lowest level has fewer than m rows, all of them are changed.

    Parameters
    ----------
    rating : array, shape (n,)
        Ratings or labels, finite, on at least two levels.
    rng : numpy.random.Generator
        Source of random numbers.

    Returns
    -------
    array of float, shape (n,)
        P(r* = 1), in [0.1, 0.9]. The same holds for the other three rules.

    """
    return _raised(_five(rating), 0, rng)


def four(rating: NDArray[Any], rng: np.random.Generator) -> Array:
    """FOUR: as ONE, with rows of the second level from the top in place of the lowest.

    Parameters
    ----------
    rating : array, shape (n,)
        Ratings or labels, finite, on at least two levels.
    rng : numpy.random.Generator
        Source of random numbers.

    Returns
    -------
    array of float, shape (n,)
        P(r* = 1), in [0.1, 0.9].

    Raises
    ------
    TruewardError
        If the ratings are not finite, are all equal or have another shape.

    """
    return _raised(_five(rating), -2, rng)


def rotate(rating: NDArray[Any], rng: np.random.Generator) -> Array:
    """ROTATE: each level is predicted one too low, the lowest as the highest.

    Parameters
    ----------
    rating : array, shape (n,)
        Ratings or labels, finite, on at least two levels.
    rng : numpy.random.Generator
        Not used; the rule is deterministic.

    Returns
    -------
    array of float, shape (n,)
        P(r* = 1), in [0.1, 0.9].

    Raises
    ------
    TruewardError
        If the ratings are not finite, are all equal or have another shape.

    """
    del rng
    levels, place = np.unique(_five(rating), return_inverse=True)
    return _probability(levels[place - 1])


def skew(rating: NDArray[Any], rng: np.random.Generator) -> Array:
    """SKEW: N(rating', ((6 - rating') / 2)^2), clipped to [1, 5].

    Parameters
    ----------
    rating : array, shape (n,)
        Ratings or labels, finite, on at least two levels.
    rng : numpy.random.Generator
        Source of random numbers.

    Returns
    -------
    array of float, shape (n,)
        P(r* = 1), in [0.1, 0.9].

    Raises
    ------
    TruewardError
        If the ratings are not finite, are all equal or have another shape.

    """
    r = _five(rating)
    return _probability(np.clip(rng.normal(r, (6 - r) / 2), 1, 5))


#: Name -> rule.
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
            "synthetic predictions need finite ratings on at least two levels, shape (n,); pass the "
            "true rating or label of every row"
        )
    return np.asarray(1 + 4 * (r - r.min()) / (r.max() - r.min()), dtype=np.float64)


def _probability(rating: Array) -> Array:
    """Return P(r* = 1) in [.1, .9] of a rating in [1, 5]."""
    return 0.1 + 0.2 * (rating - 1)


def _raised(rating: Array, level: int, rng: np.random.Generator) -> Array:
    """Raise random rows of one level to the top; negative levels count from the top."""
    changed, rows = rating.copy(), np.flatnonzero(rating == np.unique(rating)[level])
    changed[rng.permutation(rows)[: int((rating == rating.max()).sum())]] = rating.max()
    return _probability(changed)
