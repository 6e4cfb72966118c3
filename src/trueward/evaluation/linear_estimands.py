"""Bounds of means and differences of means of labels, for every odds ratio of reacting."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

from .partial_labels import TAIL, IdentifiedSet, clustered_sum_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueward.core.clustering import Clusters

    from .partial_labels import PartialLabels

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]


@dataclass(frozen=True)
class LinearEstimand:
    """sum_i c_i label_i, with the influence of every row on it: a mean, or a difference of means.

    The c_i are those of a weighted regression of the label on ``treated``, with an intercept for every
    stratum and with covariates; of a mean, weight / sum of weights.
    """

    #: (n,) coefficients; 0 on rows that do not count.
    c: Array
    #: (n,) 1 for the model that is compared, 0 for the other; all 1 for a mean.
    treated: Array
    #: (n,) weights of the regression.
    weight: Array
    #: (n,) number of the stratum.
    stratum: Index
    #: (n, k) covariates; k may be 0.
    covariates: Array

    @staticmethod
    def mean(weight: Array) -> LinearEstimand:
        """Return the weighted mean of all rows, from (n,) weights."""
        n = len(weight)
        c = weight / weight.sum()
        return LinearEstimand(c, np.ones(n), weight, np.zeros(n, dtype=np.int64), np.ones((n, 0)))

    @staticmethod
    def contrast(
        treated: Array, weight: Array, stratum: Index | None = None, covariates: Array | None = None
    ) -> LinearEstimand | None:
        """Return the difference of treated minus other rows, within strata and given covariates.

        Parameters
        ----------
        treated : (n,) array
            1 for the model that is compared, 0 for the other.
        weight : (n,) array
            Weight of every row; 0 leaves it out.
        stratum : (n,) array of int, optional
            Stratum of every row, such as its user; by default all rows are one stratum.
        covariates : (n, k) array, optional
            Columns that the regression adjusts for.

        Returns
        -------
        LinearEstimand or None
            None if no stratum has rows of both kinds, or the covariates determine the kind.

        """
        n = len(treated)
        ids = np.zeros(n, dtype=np.int64) if stratum is None else stratum
        ids = np.unique(ids, return_inverse=True)[1]
        v = np.ones((n, 0)) if covariates is None else covariates
        d = _residual(treated, weight, ids, v)
        square = float(weight @ np.square(d))
        if square <= 1e-9 * float(weight.sum()):
            return None
        c = np.where(np.abs(d) > 1e-12, weight * d / square, 0.0)
        return LinearEstimand(c, treated, weight, ids, v)

    def influence(self, value: Array) -> Array:
        """(n,) influence of every row on sum c value: c times its residual."""
        gap = value - float(self.c @ value) * self.treated
        if not self.covariates.shape[1] and bool((self.treated == 1).all()):
            return self.c * gap
        return self.c * _residual(gap, self.weight, self.stratum, self.covariates)

    def bounds(self, rows: PartialLabels, gamma: float, span: tuple[float, float]) -> IdentifiedSet:
        """Bound the sum where the odds ratio of every row lies between 1 / gamma and gamma.

        The lowest value takes the odds ratio gamma on rows with c > 0 and 1 / gamma on the others; the
        highest value takes the inverse. Both are attained, as odds ratios may differ between rows.

        Parameters
        ----------
        rows : PartialLabels
            The n rows.
        gamma : float
            Largest odds ratio, 1 or more; ``inf`` for the worst case.
        span : tuple of float
            Smallest and largest value that the sum can have.

        Returns
        -------
        IdentifiedSet

        """
        delta = math.log(gamma)
        some, none = rows.pseudo_labels(delta), rows.pseudo_labels(-delta)
        add = self.c > 0
        low, high = np.where(add, some, none), np.where(add, none, some)
        return self._between(gamma, (low, high), rows.clusters, span)

    def shared(self, rows: PartialLabels, gamma: float, span: tuple[float, float]) -> IdentifiedSet:
        """Bound the sum where all rows have one odds ratio between 1 / gamma and gamma.

        Parameters
        ----------
        rows : PartialLabels
            The n rows.
        gamma : float
            Largest odds ratio, finite and 1 or more.
        span : tuple of float
            Smallest and largest value that the sum can have.

        Returns
        -------
        IdentifiedSet
            Over 21 odds ratios, evenly spaced in logs.

        """
        grid = np.unique(np.linspace(-math.log(gamma), math.log(gamma), 21))
        values = [rows.pseudo_labels(float(d)) for d in grid]
        sums = np.array([self.c @ v for v in values])
        ends = values[int(sums.argmin())], values[int(sums.argmax())]
        return self._between(gamma, ends, rows.clusters, span)

    def _between(
        self, gamma: float, ends: tuple[Array, Array], clusters: Clusters, span: tuple[float, float]
    ) -> IdentifiedSet:
        """Set between two sums, with one-sided intervals around its ends."""
        counted = self.c != 0
        own, carried = clusters.rows(counted), np.abs(self.c[counted])
        limits: list[float] = []
        for value, side in zip(ends, (-1, 1), strict=True):
            error, freedom = clustered_sum_error(own, self.influence(value)[counted], carried)
            limits.append(float(self.c @ value) + side * float(stdtrit(freedom, TAIL)) * error)
        low, high = (float(np.clip(self.c @ v, *span)) for v in ends)
        return IdentifiedSet(
            gamma, low, high, float(np.clip(limits[0], *span)), float(np.clip(limits[1], *span))
        )


def _residual(value: Array, weight: Array, stratum: Index, covariates: Array) -> Array:
    """Residual of a weighted regression on an intercept for every stratum and on covariates."""
    total = np.maximum(np.bincount(stratum, weight), 1e-300)

    def centred(v: NDArray[Any]) -> Array:
        return np.asarray(v - (np.bincount(stratum, weight * v) / total)[stratum])

    rest = centred(value)
    if covariates.shape[1]:
        inner = np.stack([centred(v) for v in covariates.T], 1)
        root = np.sqrt(weight)
        slope = np.linalg.lstsq(inner * root[:, None], rest * root, rcond=None)[0]
        rest = rest - inner @ slope
    return rest
