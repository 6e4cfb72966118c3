"""The logistic regression with a prior: against scikit-learn, weights, signs, folds."""

import numpy as np
import pytest
from helpers.regressions import gold_rows
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from trueward.estimation.ridge_logistic import (
    CoefficientPrior,
    RegressionData,
    logistic,
    out_of_fold,
)


def test_the_regression_is_that_of_scikit_learn():
    sample, _ = gold_rows()
    a = sample.design[:, 1:]
    theirs = LogisticRegression(C=1 / 3, tol=1e-10, max_iter=1000).fit(a, sample.labels)
    precision = np.r_[1e-9, np.full(a.shape[1], 3.0)]
    ours = logistic(sample.design, sample.labels, sample.weight, precision, np.zeros(8))
    assert ours.w == pytest.approx(np.r_[theirs.intercept_, theirs.coef_[0]], abs=1e-5)


def test_without_labels_the_mode_is_the_prior():
    sample, _ = gold_rows(2)
    mode = logistic(sample.design, sample.labels, np.zeros(2), np.ones(8), np.arange(8.0))
    assert mode.w == pytest.approx(np.arange(8.0))


def test_two_labels_of_weight_one_count_as_one_of_weight_two():
    sample, _ = gold_rows(50)
    twice = RegressionData(
        *(
            np.concatenate([v, v])
            for v in (sample.design, sample.labels, sample.weight, sample.group)
        )
    )
    prior = CoefficientPrior(1.0, (1.0, 0.0), (0.0, 0.0))
    heavy = RegressionData(sample.design, sample.labels, 2 * sample.weight, sample.group)
    assert twice.map_estimate(prior, 0.5).w == pytest.approx(
        heavy.map_estimate(prior, 0.5).w, abs=1e-6
    )


def test_a_coefficient_of_the_wrong_sign_is_held_at_zero_and_the_rest_fitted_without_it():
    sample, _ = gold_rows(of_evidence=-1.0)
    free = sample.map_estimate(CoefficientPrior(1.0, (0.0, 0.0), (0.0, 0.0)), 0.0).w
    held = sample.map_estimate(CoefficientPrior(1.0, (0.0, 0.0), (1.0, 0.0)), 0.0).w
    assert free[1] < -0.5
    assert abs(held[1]) < 1e-6
    alone = RegressionData(sample.design[:, [0, 2]], sample.labels, sample.weight, sample.group)
    assert held[[0, 2]] == pytest.approx(
        alone.map_estimate(CoefficientPrior(1.0, (0.0,), (0.0,)), 0.0).w, abs=1e-5
    )


def test_a_row_is_predicted_by_the_fits_that_did_not_see_its_fold():
    sample, _ = gold_rows(60)
    prior = CoefficientPrior(1.0, (0.0, 0.0), (0.0, 0.0))
    fold = np.arange(60) % 3

    def coefficients(rows):
        return rows.map_estimate(prior, 0.0).w

    p = out_of_fold(sample, fold, coefficients)
    fits = [coefficients(sample.subset(fold != k)) for k in range(3)]
    for k in range(3):
        expected = expit(sample.design[fold == k][:, :3] @ fits[k])
        assert p[fold == k] == pytest.approx(expected)


def test_a_row_of_no_fold_gets_the_mean_of_all_fits():
    sample, _ = gold_rows(60)
    prior = CoefficientPrior(1.0, (0.0, 0.0), (0.0, 0.0))
    fold = np.arange(60) % 3

    def coefficients(rows):
        return rows.map_estimate(prior, 0.0).w

    design = sample.design[:2]
    p = out_of_fold(sample, fold, coefficients, design, np.array([-1, 1]))
    fits = [coefficients(sample.subset(fold != k)) for k in range(3)]
    assert p[0] == pytest.approx(np.mean([expit(design[0, :3] @ w) for w in fits]))
    assert p[1] == pytest.approx(expit(design[1, :3] @ fits[1]))
