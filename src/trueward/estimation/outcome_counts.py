"""Outcomes of rows with similar out-of-fold log-odds: the data of the models of who reacts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from trueward.core.weighted import effective_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

BINS = 60  # quantile bins of q and of p; fewer rows than cells are not binned
USER_BINS = 8  # of the intercepts of users
SMALLEST_SD = 0.02  # of q and of p


@dataclass(frozen=True)
class OutcomeCounts:
    """Rows in cells of similar q and p, with the number of thumbs up, thumbs down and unrated rows of each.

    Attributes
    ----------
    q, p : ndarray, shape (k,)
        Mean log-odds of P(up given rated, x) and of P(rated given x) in each cell.
    up, down, none : ndarray, shape (k,)
        Sums of weights of the rows with each outcome.
    lenient, reacting : ndarray, shape (k,), or (1,) zeros
        Mean intercepts of the users in the log-odds of a thumb up among the rated and of a rating.

    """

    q: Array
    p: Array
    up: Array
    down: Array
    none: Array
    lenient: Array = field(default_factory=lambda: np.zeros(1))
    reacting: Array = field(default_factory=lambda: np.zeros(1))

    @staticmethod
    def of(
        q: Array,
        p: Array,
        up: Array,
        rated: Array,
        weight: Array,
        fold: Array | None,
        *,
        lenient: Array | None = None,
        reacting: Array | None = None,
    ) -> OutcomeCounts:
        """Count the outcomes of rows.

        Out-of-fold log-odds have another mean in each fold, which is anti-correlated with the labels of the
        fold: each fold is first shifted to the common mean. Weights are scaled to sum to the effective
        number of rows, (sum w)^2 / sum w^2.

        Parameters
        ----------
        q, p : ndarray, shape (n,)
            Out-of-fold log-odds.
        up, rated : ndarray, shape (n,)
            1 for a thumb up, and 1 for a rated row.
        weight : ndarray, shape (n,)
            How many rows each row counts for.
        fold : ndarray, shape (n,), or None
            Fold of each row.
        lenient, reacting : ndarray, shape (n,), optional
            Intercepts of each row's user; 0 by default.

        Returns
        -------
        OutcomeCounts

        """
        if fold is not None:
            q, p = (centred(v, fold, weight) for v in (q, p))
        w = weight * effective_size(weight) / weight.sum()
        cell = np.arange(len(q))
        if len(q) > BINS**2:
            cell = bins(q, BINS) * BINS + bins(p, BINS)
            for v in (lenient, reacting):
                cell = cell if v is None else cell * USER_BINS + bins(v, USER_BINS)
        _, cell = np.unique(cell, return_inverse=True)

        def total(v: Array) -> Array:
            return np.asarray(np.bincount(cell, w * v), dtype=np.float64)

        n = total(np.ones(len(q)))
        outcomes = (total(up * rated), total((1 - up) * rated), total(1 - rated))
        users = (np.zeros(len(n)) if v is None else total(v) / n for v in (lenient, reacting))
        return OutcomeCounts(total(q) / n, total(p) / n, *outcomes, *users)

    @property
    def rated(self) -> Array:
        """(k,) weight of the rated rows."""
        return self.up + self.down

    @property
    def n(self) -> Array:
        """(k,) weight of all rows."""
        return self.rated + self.none

    def moments(self, v: Array) -> tuple[float, float]:
        """Return the mean and the standard deviation, at least 0.02, of a (k,) column over rows."""
        return moments(v, self.n)


def moments(v: Array, weight: Array) -> tuple[float, float]:
    """Return the weighted mean and the standard deviation, at least 0.02, of a column.

    Parameters
    ----------
    v, weight : ndarray, shape (k,)
        Values, and the weight of each.

    Returns
    -------
    (float, float)

    """
    mean = float(np.average(v, weights=weight))
    sd = float(np.sqrt(np.average(np.square(v - mean), weights=weight)))
    return mean, max(sd, SMALLEST_SD)


def centred(z: Array, fold: Array, weight: Array) -> Array:
    """Shift out-of-fold log-odds so that every fold has the common mean.

    Parameters
    ----------
    z, fold, weight : ndarray, shape (n,)
        Log-odds, number of the fold, and weight of each row.

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    >>> centred(np.array([0.0, 2.0, 4.0]), np.array([0, 0, 1]), np.ones(3)).tolist()
    [1.0, 3.0, 2.0]

    """
    _, k = np.unique(fold, return_inverse=True)
    means = np.bincount(k, weight * z) / np.bincount(k, weight)
    return np.asarray(z + np.average(z, weights=weight) - means[k])


def bins(v: Array, count: int) -> NDArray[np.int64]:
    """Return the quantile bin of every value.

    Parameters
    ----------
    v : ndarray, shape (n,)
        Values.
    count : int
        Number of bins.

    Returns
    -------
    ndarray of int, shape (n,)
        From 0 to count - 1.

    """
    edges = np.quantile(v, np.linspace(0, 1, count + 1)[1:-1])
    return np.asarray(np.searchsorted(edges, v), dtype=np.int64)
