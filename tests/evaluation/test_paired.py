"""Differences of two models on the same rows: paired intervals, by hand and by a bootstrap of prompts."""

import numpy as np
import pytest
from scipy.special import stdtrit

from trueward.core.estimate import Estimate
from trueward.evaluation.measure import measure
from trueward.evaluation.paired import Statistics, difference_line


def compared(first, second, **how):
    """The differences of two vectors of probabilities."""
    sides = []
    for p in (first, second):
        sides.append(Statistics())
        measure(np.asarray(p, dtype=float), **how, draws=20, kept=sides[-1])
    return sides[0].minus(sides[1])


def world(seed, prompts=150, each=4, noise=(0.3, 0.9)):
    """Labels of answers to prompts of their own level, and two predictions that share most of their error."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(prompts), each)
    hard = rng.normal(size=prompts)[group]
    quality = rng.normal(size=len(group)) + hard
    r = (quality + rng.normal(size=len(group)) > 0).astype(float)
    shared = rng.normal(size=len(group)) + 0.7 * rng.normal(size=prompts)[group]
    p = [1 / (1 + np.exp(-(quality + shared + s * rng.normal(size=len(r))))) for s in noise]
    return p, r, group


def test_the_interval_of_a_brier_score_by_hand():
    # squared errors .01, .04, .09, .16 and .04, .04, .04, .04: differences -.03, 0, .05, .12, mean .035
    first, second, r = [0.9, 0.8, 0.7, 0.6], [0.8] * 4, np.ones(4)
    r[1] = 0  # so that both classes are there: .64 - .64
    e = compared(first, second, r=r)["brier"]
    d = np.array([-0.03, 0.0, 0.05, 0.12])
    assert e.value == pytest.approx(d.mean())
    # each row a prompt: variance 3/4 sum [(d_i - mean) / 4 / (1 - 1/4)]^2
    error = np.sqrt(0.75 * (((d - d.mean()) / 4 / 0.75) ** 2).sum())
    # the correction for skewness moves both ends alike
    assert e.high - e.low == pytest.approx(2 * stdtrit(3, 0.975) * error, rel=0.2)
    assert e.low < 0.035 < e.high


def test_two_models_with_the_same_scores_differ_by_nothing():
    p, r, group = world(0)
    found = compared(p[0], p[0], r=r, group=group)
    assert set(found) == {
        *("auroc", "r2", "brier", "nll", "bias", "mae", "rmse"),
        *("pearson", "spearman", "pair_accuracy", "best_of_n_lift"),
    }
    assert all((e.value, e.low, e.high) == (0, 0, 0) for e in found.values())


def test_the_widths_are_those_of_a_bootstrap_of_prompts():
    p, r, group = world(1)
    found = compared(*p, r=r, group=group)
    rng = np.random.default_rng(0)
    drawn = {name: [] for name in ("auroc", "r2", "brier", "pair_accuracy")}
    for _ in range(100):  # the standard error of a width: 1 / sqrt(200) = 7 %
        picked = rng.integers(150, size=150)
        rows = (4 * picked[:, None] + np.arange(4)).ravel()
        where = {"r": r[rows], "group": np.repeat(np.arange(150), 4), "draws": 0}
        first, second = (measure(q[rows], **where) for q in p)
        for name, values in drawn.items():
            values.append(first[name].value - second[name].value)
    for name, values in drawn.items():
        error = (found[name].high - found[name].low) / (2 * 1.96)
        assert error == pytest.approx(np.std(values), rel=0.25), name  # 3.5 standard errors


def test_it_is_narrower_than_that_of_separate_tests_and_shows_what_these_hide():
    p, r, group = world(2, noise=(0.3, 1.5))
    both = [measure(q, r=r, group=group, draws=20)["auroc"] for q in p]
    e = compared(*p, r=r, group=group)["auroc"]
    assert both[0].low < both[1].high  # the intervals overlap
    assert e.low > 0
    separate = np.hypot(*(b.high - b.low for b in both))
    assert e.high - e.low < 0.7 * separate  # more than half of the variance is shared


def test_a_metric_that_the_labels_do_not_define_has_no_difference():
    found = compared([0.9, 0.2], [0.8, 0.1], r=np.ones(2))
    assert "auroc" not in found
    assert "brier" in found


@pytest.mark.parametrize(
    ("estimates", "said"),
    [
        ({"auroc": Estimate(0.02, 0.01, 0.03)}, "It ranks better than b: AUROC +0.020"),
        ({"auroc": Estimate(-0.02, -0.03, -0.01)}, "It ranks worse than b"),
        ({"auroc": Estimate(0.02, -0.01, 0.03)}, "It ranks about as well as b"),
        ({"brier": Estimate(-0.02, -0.03, -0.01)}, "It predicts the labels better than b: Brier"),
        ({"auroc": Estimate(0.1, reason="one prompt, so no interval")}, ""),
        ({}, ""),
    ],
)
def test_a_sentence_says_only_what_the_interval_shows(estimates, said):
    assert difference_line(estimates, "b").startswith(said)
    assert bool(difference_line(estimates, "b")) == bool(said)
