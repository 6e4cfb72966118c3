"""Rows of a logistic regression with known coefficients."""

import numpy as np
from scipy.special import expit

from trueward.estimation.ridge_logistic import RegressionData


def gold_rows(n=400, seed=0, k=2, d=5, *, of_evidence=1.0, of_features=0.0):
    """Return a design of 1, ``k`` pieces of evidence and ``d`` features with labels, and their P(good)."""
    rng = np.random.default_rng(seed)
    a = np.hstack(
        [np.ones((n, 1)), rng.standard_normal((n, k)), rng.standard_normal((n, d)) / np.sqrt(d)]
    )
    v = -0.3 + of_evidence * a[:, 1] + of_features * a[:, 1 + k :].sum(1)
    return RegressionData(
        a, (rng.random(n) < expit(v)).astype(float), np.ones(n), np.arange(n)
    ), expit(v)
