"""What the reference expects of other rows: regressions with the influence of every reference row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import expit

from trueward.data.splits import fold_of
from trueward.estimation.ridge_logistic import logistic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

PRECISION = 10.0  # of a coefficient of a column with standard deviation 1
INTERCEPT_PRECISION = 1e-6
FOLDS = 5  # of prompts of the reference


@dataclass(frozen=True)
class Baseline:
    """A regression t ~ c m(b'w) fitted on the reference, with m the identity or the logistic function.

    c makes the out-of-fold predictions of the reference right on average: with few events, a logistic
    regression predicts too few for rows that it was not fitted on.

    w^ - w = H^-1 sum_i v_i b_i (t_i - m_i) to first order, so that the error of an expected mean of other
    rows is g'(w^ - w) with g the mean of m'(b'w) b over these rows. m_i is predicted out of fold, since
    residuals of fitted rows are too small.
    """

    w: Array
    #: (n, k) H^-1 v_i b_i (t_i - m_i) of every reference row.
    steps: Array
    is_logistic: bool
    #: (n,) t of every reference row as predicted out of fold.
    held_out: Array
    #: c of the class.
    factor: float = 1.0

    @classmethod
    def fit(
        cls, features: Array, t: Array, weight: Array, group: Index, *, is_logistic: bool
    ) -> Baseline:
        """Fit the regression of ``t``, (n,), on (n, d) features with weights; see the class."""
        b, v = with_ones(features), weight / weight.mean()
        w, hessian = _fitted(b, t, v, is_logistic=is_logistic)
        mean = np.empty(len(t))
        k = min(FOLDS, len(np.unique(group)))
        fold = (
            fold_of(len(t), max(k, 2), 0, torch.from_numpy(group)).numpy() if k > 1 else group * 0
        )
        for part in np.unique(fold):
            out = fold == part
            own = w if out.all() else _fitted(b[~out], t[~out], v[~out], is_logistic=is_logistic)[0]
            mean[out] = _mean(b[out] @ own, is_logistic=is_logistic)
        factor = float(v @ t / max(v @ mean, 1e-12)) if is_logistic else 1.0
        steps = (b * (v * (t - factor * mean))[:, None]) @ np.linalg.inv(hessian)
        return cls(w, steps, is_logistic, factor * mean, factor)

    def expected(self, features: Array) -> Array:
        """(n,) expected t of rows with these (n, d) features."""
        return self.factor * _mean(with_ones(features) @ self.w, is_logistic=self.is_logistic)

    def influence(self, features: Array, share: Array, mean: Array) -> Array:
        """(n_0,) influence of the reference rows on sum_i share_i m_i over other rows.

        Parameters
        ----------
        features : (n, d) array
            The other rows.
        share, mean : (n,) array
            Their shares, and `expected` of them.

        """
        p = mean / self.factor
        slope = self.factor * share * p * (1 - p) if self.is_logistic else share
        return np.asarray(self.steps @ (with_ones(features).T @ slope))


def _fitted(b: Array, t: Array, v: Array, *, is_logistic: bool) -> tuple[Array, Array]:
    """Coefficients, and the Hessian of the penalised loss."""
    precision = np.r_[INTERCEPT_PRECISION, np.full(b.shape[1] - 1, PRECISION)]
    if is_logistic:
        found = logistic(b, t, v, precision, np.zeros(b.shape[1]))
        return found.w, found.curvature
    hessian = (b.T * v) @ b + np.diag(precision)
    return np.linalg.solve(hessian, b.T @ (v * t)), hessian


def _mean(raw: Array, *, is_logistic: bool) -> Array:
    return np.asarray(expit(raw) if is_logistic else raw)


def with_ones(features: Array) -> Array:
    """Return the features behind a column of ones."""
    return np.hstack([np.ones((len(features), 1)), features])
