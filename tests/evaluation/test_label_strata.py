"""A stratified draw of the responses to label: every kind of row gets labels, at known chances."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import trueward as tw
from trueward.core.errors import UsageError
from trueward.evaluation.label_strata import strata, stratified_draw


def log(n=600):
    """1 in 20 rated, one in three of these bad; features that say something."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, 3, generator=g)
    o = (torch.arange(n) % 20 == 0).float()
    y = o * (torch.arange(n) % 60 != 0).float()
    return tw.Feedback(x, y, o, group=torch.arange(n) // 3)


@pytest.fixture(scope="module")
def model():
    return tw.fit("naive", *log().split(0.2), epochs=1, nuisance_epochs=1)


def test_strata_are_thirds_by_score_within_no_feedback_bad_and_good():
    p = np.arange(600) / 600
    found = strata(p, log())
    counts = np.bincount(found, minlength=9)
    assert counts.tolist() == [190, 190, 190, 4, 3, 3, 7, 7, 6]
    silent = found < 3
    assert (np.diff(found[silent]) >= 0).all()


def test_the_share_of_every_stratum_is_that_of_its_rows_and_small_ones_have_five():
    stratum = np.repeat([0, 1, 2, 3], [400, 180, 17, 3])
    rows, weight = stratified_draw(stratum, 60, seed=1)
    drawn = np.bincount(stratum[rows])
    assert drawn.tolist() == [40, 18, 5, 3]
    assert sorted({*weight.round(6).tolist()}) == [1.0, 3.4, 10.0]
    assert np.bincount(stratum[rows], weight).tolist() == pytest.approx([400, 180, 17, 3])


def test_a_larger_draw_with_the_same_seed_contains_the_smaller_one():
    stratum = np.arange(300) % 4
    few, more = (set(stratified_draw(stratum, n, seed=3)[0].tolist()) for n in (40, 90))
    assert few < more


def test_the_weighted_mean_of_the_labels_is_unbiased():
    """400 draws of 60 of 600 rows, whose label depends on the stratum: within 3 standard errors."""
    stratum = np.repeat([0, 1, 2], [500, 70, 30])
    r = (np.random.default_rng(0).random(600) < np.array([0.8, 0.4, 0.1])[stratum]) * 1.0
    means = []
    for seed in range(400):
        rows, weight = stratified_draw(stratum, 60, seed)
        means.append(weight @ r[rows] / 600)
    assert np.mean(means) == pytest.approx(r.mean(), abs=3 * np.std(means) / 20)


def test_a_stratified_plan_labels_every_kind_of_feedback_and_states_its_weights(model):
    b = log()
    plan = tw.plan(model, b, "good", 0.15, draw="stratified")
    represented = plan.gold_weight.double()
    assert float(represented.sum()) == pytest.approx(600)
    kind = b.o[plan.rows] + b.y[plan.rows]
    assert (torch.bincount(kind.long()) >= 10).all()


def test_a_stratified_plan_beside_gold_labels_is_refused(model):
    gold = torch.full((600,), torch.nan)
    gold[:30] = (torch.arange(30) % 2).float()
    with pytest.raises(UsageError, match="unequal chances"):
        tw.plan(model, replace(log(), gold=gold), "good", 0.1, draw="stratified")
