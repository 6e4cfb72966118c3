"""Logistic regression with a normal prior: MAP estimate, Laplace evidence, out-of-fold predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

#: grid of s, the prior standard deviation of what the features add to the log-odds
FEATURE_SDS = (0.0, 0.1, 0.2, 0.35, 0.6, 1.0, 2.0, 4.0)
INTERCEPT_PRECISION = 1e-2
HELD_AT_ZERO = 1e12  # precision of a coefficient that would have the wrong sign
STEPS = 100  # of Newton's method, at most
NOT_CONVERGED = f"the logistic regression did not converge in {STEPS} steps"
NEGLIGIBLE = 1e-3  # posterior share below which a value of s is left out


@dataclass(frozen=True)
class MapEstimate:
    """Maximum a posteriori estimate of the coefficients, with Laplace's approximation around it.

    Attributes
    ----------
    w : ndarray, shape (p,)
        Coefficients, intercept first.
    precision, centre : ndarray, shape (p,)
        Precision and mean of the normal prior.
    curvature : ndarray, shape (p, p)
        Hessian of the negative log posterior at ``w``.
    log_evidence : float
        Laplace's approximation of the log marginal likelihood, up to a constant.
    converged : bool
        Whether Newton's method ended before its last step.

    """

    w: Array
    precision: Array
    centre: Array
    curvature: Array
    log_evidence: float
    converged: bool = True


@dataclass(frozen=True)
class CoefficientPrior:
    """w ~ N(centre, 1 / precision) over the intercept, k pieces of evidence and the features.

    Attributes
    ----------
    ridge : float
        Precision of the coefficients of the evidence.
    centre : tuple of float
        Prior mean of the k coefficients of the evidence.
    sign : tuple of float
        Sign that each of them may have: 1, -1, or 0 for either.

    """

    ridge: float
    centre: tuple[float, ...]
    sign: tuple[float, ...]

    def arrays(self, feature_sd: float, columns: int) -> tuple[Array, Array, Array]:
        """Return the prior of every column of a design.

        Parameters
        ----------
        feature_sd : float
            Prior standard deviation s of the coefficients of the features; at 0 these are left out.
        columns : int
            Number of columns of the design, 1 + k + d.

        Returns
        -------
        precision, centre, sign : ndarray, shape (1 + k + d,), or (1 + k,) at s = 0

        """
        k = len(self.centre)
        d = columns - 1 - k if feature_sd else 0
        features = np.full(d, feature_sd**-2 if feature_sd else 1.0)
        precision = np.r_[INTERCEPT_PRECISION, np.full(k, self.ridge), features]
        return precision, np.r_[0.0, self.centre, np.zeros(d)], np.r_[0.0, self.sign, np.zeros(d)]


@dataclass(frozen=True)
class RegressionData:
    """Rows of a logistic regression.

    Attributes
    ----------
    design : ndarray, shape (n, 1 + k + d)
        Ones, k pieces of evidence, d features.
    labels : ndarray, shape (n,)
        Labels in [0, 1].
    weight : ndarray, shape (n,)
        How many rows each row counts for.
    group : ndarray, shape (n,)
        Number of the prompt of each row.

    """

    design: Array
    labels: Array
    weight: Array
    group: Index

    def map_estimate(self, prior: CoefficientPrior, feature_sd: float) -> MapEstimate:
        """Return the MAP estimate that keeps the signs of the prior.

        As long as a coefficient has the wrong sign, the worst one is held at 0 and the rest are fitted
        again.

        Parameters
        ----------
        prior : CoefficientPrior
            Prior of the coefficients.
        feature_sd : float
            Prior standard deviation of the coefficients of the features.

        Returns
        -------
        MapEstimate

        """
        precision, centre, sign = prior.arrays(feature_sd, self.design.shape[1])
        design = self.design[:, : len(centre)]
        while True:
            estimate = logistic(design, self.labels, self.weight, precision, centre)
            worst = int((sign * estimate.w).argmin())
            if sign[worst] * estimate.w[worst] >= -1e-6:
                return estimate
            precision[worst], centre[worst] = HELD_AT_ZERO, 0.0

    def subset(self, rows: NDArray[np.bool_]) -> RegressionData:
        """Return the rows where ``rows``, (n,) bool, is true."""
        return RegressionData(
            self.design[rows], self.labels[rows], self.weight[rows], self.group[rows]
        )


def logistic(
    design: Array, labels: Array, weight: Array, precision: Array, centre: Array
) -> MapEstimate:
    """Minimise sum_i weight_i l(a_i w, y_i) + sum_j precision_j (w_j - centre_j)^2 / 2 by Newton's method.

    Parameters
    ----------
    design : ndarray, shape (n, p)
        Rows a_i.
    labels, weight : ndarray, shape (n,)
        Labels y_i in [0, 1], and how many rows each counts for.
    precision, centre : ndarray, shape (p,)
        Normal prior of the coefficients.

    Returns
    -------
    MapEstimate

    """

    def objective(w: Array) -> float:
        v = design @ w
        loss = weight @ (np.logaddexp(0, v) - labels * v)
        return float(loss + 0.5 * precision @ np.square(w - centre))

    w, value, converged = centre.copy(), objective(centre), False
    for _ in range(STEPS):
        p = expit(design @ w)
        gradient = design.T @ (weight * (p - labels)) + precision * (w - centre)
        curvature = (design.T * (weight * p * (1 - p))) @ design + np.diag(precision)
        step, length = np.linalg.solve(curvature, gradient), 1.0
        while (new_value := objective(w - length * step)) > value and length > 1e-6:
            length /= 2
        if new_value > value - 1e-10 * (1 + abs(value)):
            converged = True
            break
        w, value = w - length * step, new_value
    volume = np.log(precision).sum() - np.linalg.slogdet(curvature)[1]
    evidence = float(0.5 * volume - value)
    return MapEstimate(w, precision, centre, curvature, evidence, converged)


def feature_sd_posterior(
    data: RegressionData, prior: CoefficientPrior, scale: float, smallest: float = 0.0
) -> dict[float, tuple[float, MapEstimate]]:
    """Return the posterior of s over `FEATURE_SDS`: marginal likelihood times a half-normal prior.

    Parameters
    ----------
    data : RegressionData
        Rows to fit.
    prior : CoefficientPrior
        Prior of intercept and evidence.
    scale : float
        Scale of the half-normal prior of s.
    smallest : float
        Smallest s to try.

    Returns
    -------
    dict of float to (float, MapEstimate)
        s -> its posterior share and the MAP estimate given s. Shares below 0.001 are left out.

    """
    estimates = {s: data.map_estimate(prior, s) for s in FEATURE_SDS if s >= smallest}
    log_share = np.array([m.log_evidence - (s / scale) ** 2 / 2 for s, m in estimates.items()])
    share = np.exp(log_share - log_share.max())
    share = np.where(share > NEGLIGIBLE * share.sum(), share, 0.0)
    share /= share.sum()
    return {s: (float(q), m) for q, (s, m) in zip(share, estimates.items(), strict=True) if q}


def average_coefficients(weighted: Iterable[tuple[float, MapEstimate]], columns: int) -> Array:
    """Return the mean of MAP estimates, weighted by their posterior shares.

    Parameters
    ----------
    weighted : iterable of (float, MapEstimate)
        Shares that sum to 1, and estimates. A column that an estimate leaves out is 0 in it.
    columns : int
        Number of coefficients p.

    Returns
    -------
    ndarray, shape (p,)

    """
    w = np.zeros(columns)
    for share, estimate in weighted:
        w[: len(estimate.w)] += share * estimate.w
    return w


def out_of_fold(
    data: RegressionData,
    fold: Index,
    coefficients: Callable[[RegressionData], Array],
    design: Array | None = None,
    design_fold: Index | None = None,
) -> Array:
    """Return P(y=1) of every row from coefficients fitted without the fold of that row.

    Parameters
    ----------
    data : RegressionData
        Rows with labels.
    fold : ndarray of int, shape (n,)
        Fold of every row of ``data``, 0 to K - 1.
    coefficients : callable
        Fits rows; returns the first p coefficients, the others are 0.
    design, design_fold : ndarray, optional
        Rows (m, columns) to predict and their folds (m,); those of ``data`` by default. A row of fold -1
        is in no fold and gets the mean of all K predictions.

    Returns
    -------
    ndarray, shape (m,)

    Examples
    --------
    >>> a, y = np.ones((4, 1)), np.array([0.0, 0.0, 1.0, 1.0])
    >>> rows = RegressionData(a, y, np.ones(4), np.arange(4))
    >>> def log_odds_of_mean(r):
    ...     return np.array([np.log(r.labels.mean() / (1 - r.labels.mean()))])
    >>> out_of_fold(rows, np.array([0, 1, 0, 1]), log_odds_of_mean).round(2).tolist()
    [0.5, 0.5, 0.5, 0.5]

    """
    design = data.design if design is None else design
    design_fold = fold if design_fold is None else design_fold
    count = int(fold.max()) + 1
    predicted = np.zeros(len(design))
    for k in range(count):
        w = coefficients(data.subset(fold != k))
        for rows, share in ((design_fold == k, 1.0), (design_fold == -1, 1 / count)):
            predicted[rows] += share * expit(design[rows][:, : len(w)] @ w)
    return predicted
