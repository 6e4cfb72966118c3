"""Statistics of weighted values: a row of weight 2 counts as two rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def weighted_quantile(
    values: Array, at: float | Sequence[float], weight: Array | None = None
) -> Array:
    """Compute quantiles of values that each count ``weight`` times, interpolated as by `numpy.quantile`.

    Parameters
    ----------
    values : (n,) array
        Values, at least one.
    at : float or sequence of float
        Levels in [0, 1].
    weight : (n,) array, optional
        Weights of 0 or more; 1 by default.

    Returns
    -------
    array
        One value for each level; a scalar array for a float.

    Examples
    --------
    >>> float(weighted_quantile(np.array([1.0, 5.0]), 0.5, np.array([3.0, 1.0])))
    1.0

    """
    if weight is None:
        return np.asarray(np.quantile(values, at))
    order = np.argsort(values, kind="stable")
    upto, last = np.cumsum(weight[order]), len(values) - 1
    place = np.maximum(np.asarray(at, dtype=np.float64) * (upto[-1] - 1), 0.0)
    below = np.floor(place)
    low, high = (
        values[order][np.minimum(np.searchsorted(upto, step, side="right"), last)]
        for step in (below, below + 1)
    )
    return np.asarray(low + (place - below) * (high - low))


def effective_size(weight: NDArray[np.floating[Any] | np.integer[Any]]) -> float:
    """Compute (sum w)^2 / sum w^2: how many equal weights the weights are worth; 0 without any.

    Parameters
    ----------
    weight : (n,) array
        Weights of 0 or more.

    Returns
    -------
    float
        At most n.

    Examples
    --------
    >>> effective_size(np.array([1.0, 1.0, 2.0, 0.0]))
    2.6666666666666665

    """
    square = float(np.square(weight).sum())
    return float(weight.sum()) ** 2 / square if square else 0.0
