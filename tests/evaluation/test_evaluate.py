"""Metrics: by hand, against scikit-learn and SciPy, and their intervals."""

from __future__ import annotations

import doctest
import importlib
import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import expit
from sklearn import metrics as sk

from trueward.core.clustering import clusters
from trueward.core.errors import TruewardError, UsageError
from trueward.core.estimate import Estimate
from trueward.core.intervals import student_interval
from trueward.data.feedback import Labelled
from trueward.data.truth import read_test
from trueward.evaluation import metrics
from trueward.evaluation.evaluate import evaluate
from trueward.evaluation.influence_functions import INFLUENCE_FUNCTIONS
from trueward.evaluation.measure import measure

LABEL = ["auroc", "r2", "brier", "nll", "ece", "bias", "mae", "rmse"]
ORDER = ["pearson", "spearman", "pair_accuracy", "best_of_n_lift"]


def value(name, p, **truth):
    return measure(np.array(p, dtype=float), draws=0, **truth)[name].value


def arrays(n=400, seed=0, prompts=60):
    rng = np.random.default_rng(seed)
    p = np.round(rng.random(n), 2)  # with ties
    r = (rng.random(n) < p) * 1.0
    rating = np.round(4 * p + rng.normal(size=n))
    return p, r, rating, rng.integers(prompts, size=n)


# --- by hand -------------------------------------------------------------------------------------


def test_auroc_counts_ties_half():
    # Good .8 beats .5 and .2; good .5 ties .5 and beats .2: 3.5 of 4.
    assert value("auroc", [0.8, 0.5, 0.5, 0.2], r=np.array([1, 1, 0, 0])) == 3.5 / 4


def test_auroc_of_a_graded_label_is_that_of_its_shares():
    # .75 good at .9, .25 good at .1: wins .75*.75 and half of the ties .75*.25 + .25*.75.
    found = value("auroc", [0.9, 0.1], r=np.array([0.75, 0.25]))
    assert found == pytest.approx(0.75 * 0.75 + 0.75 * 0.25 / 2 + 0.25 * 0.75 / 2)


def test_errors_of_probabilities():
    p, r = [0.8, 0.4], np.array([1, 0])
    assert value("brier", p, r=r) == pytest.approx((0.04 + 0.16) / 2)
    assert value("r2", p, r=r) == pytest.approx(1 - 0.1 / 0.25)
    assert value("mae", p, r=r) == pytest.approx(0.3)
    assert value("rmse", p, r=r) == pytest.approx(0.1**0.5)
    assert value("bias", p, r=r) == pytest.approx(0.1)
    assert value("nll", p, r=r) == pytest.approx(-(np.log(0.8) + np.log(0.6)) / 2)


def test_a_sure_and_wrong_prediction_costs_much_but_not_infinitely():
    assert value("nll", [0.0, 1.0], r=np.array([1, 0])) == pytest.approx(-np.log(1e-7))
    assert value("nll", [1.0, 0.0], r=np.array([1, 0])) == pytest.approx(0, abs=1e-6)


def test_ece_by_hand():
    # 30 rows, two in each of 15 bins, one of them good: |.5 - p| on average.
    p = np.repeat(np.arange(1, 16) / 16, 2)
    r = np.tile([0.0, 1.0], 15)
    assert value("ece", p, r=r) == pytest.approx(np.mean(np.abs(p - 0.5)))


def test_ece_does_not_depend_on_the_order_of_tied_rows():
    # One value of p: every bin holds the same mixture, and ECE is |.6 - .5|.
    assert value("ece", [0.6] * 8, r=np.array([1, 1, 1, 1, 0, 0, 0, 0])) == pytest.approx(0.1)
    assert value("ece", [0.6] * 8, r=np.array([0, 1, 0, 1, 0, 1, 0, 1])) == pytest.approx(0.1)


def test_correlations_by_hand():
    p, rating = [0.1, 0.2, 0.9], np.array([1, 2, 3])
    assert value("spearman", p, rating=rating) == pytest.approx(1)
    # Centred: (-.3, -.2, .5) and (-1, 0, 1): .8 / sqrt(.38 * 2).
    assert value("pearson", p, rating=rating) == pytest.approx(0.8 / 0.76**0.5)
    # Mid-ranks (1.5, 1.5, 3) and (1, 2, 3).
    assert value("spearman", [0.1, 0.1, 0.9], rating=rating) == pytest.approx(0.75**0.5)


def test_pairs_are_counted_inside_a_prompt_only():
    p = [0.9, 0.5, 0.5, 0.1, 0.3]
    rating, group = np.array([3, 3, 1, 5, 4]), np.array([7, 7, 7, 2, 2])
    # Prompt 7: .9 over .5 right, .5 ties .5, the two threes are no pair. Prompt 2: wrong.
    assert value("pair_accuracy", p, rating=rating, group=group) == (1 + 0.5 + 0) / 3


def test_best_of_n_lift_by_hand():
    p = [0.9, 0.5, 0.4, 0.4, 0.4, 0.8]
    rating, group = np.array([4, 2, 3, 1, 0, 9]), np.array([0, 0, 1, 1, 2, 2])
    # 4 - 3; the tie gives 2 - 2; 9 - 4.5.
    assert value("best_of_n_lift", p, rating=rating, group=group) == pytest.approx(5.5 / 3)
    alone = value("best_of_n_lift", [*p, 0.1], rating=[*rating, 7], group=[*group, 3])
    assert alone == pytest.approx(5.5 / 3)  # a prompt of one answer has no choice


def test_labels_are_the_quality_when_there_are_no_ratings():
    r, group = np.array([1, 0, 1, 0]), np.array([0, 0, 1, 1])
    found = measure(np.array([0.9, 0.1, 0.2, 0.6]), r=r, group=group, draws=0)
    assert found["pair_accuracy"].value == 0.5
    assert found["best_of_n_lift"].value == 0  # + .5 and - .5


def test_the_score_ranks_and_p_is_compared_with_the_label():
    p, r = np.array([0.6, 0.6, 0.6]), np.array([1, 0, 1])
    found = measure(p, score=np.array([2.0, -1.0, 3.0]), r=r, draws=0)
    assert found["auroc"].value == 1
    assert found["pearson"].value is None
    assert found["spearman"].value == pytest.approx(3**0.5 / 2)
    assert found["brier"].value == pytest.approx((0.16 + 0.36 + 0.16) / 3)


# --- against others ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_agreement_with_scikit_learn_and_scipy(seed):
    p, r, rating, _ = arrays(seed=seed)
    found = measure(p, r=r, rating=rating, draws=0)
    expected = {
        "auroc": sk.roc_auc_score(r, p),
        "r2": sk.r2_score(r, p),
        "brier": sk.brier_score_loss(r, p),
        "nll": sk.log_loss(r, np.clip(p, 1e-7, 1 - 1e-7)),
        "mae": sk.mean_absolute_error(r, p),
        "rmse": sk.mean_squared_error(r, p) ** 0.5,
        "pearson": stats.pearsonr(p, rating).statistic,
        "spearman": stats.spearmanr(p, rating).statistic,
    }
    for name, want in expected.items():
        assert found[name].value == pytest.approx(want), name


def test_ece_is_the_usual_one_when_the_bins_divide_the_rows():
    rng = np.random.default_rng(0)
    p = rng.permutation(np.linspace(0.01, 0.99, 300))
    r = (rng.random(300) < p) * 1.0
    bins = np.array_split(np.argsort(p), 15)
    expected = sum(abs(p[b].mean() - r[b].mean()) * len(b) / 300 for b in bins)
    assert value("ece", p, r=r) == pytest.approx(expected)


def test_pair_accuracy_against_counting_every_pair():
    p, _, rating, group = arrays(n=120, prompts=10)
    right = total = 0.0
    for i in range(120):
        for j in range(i):
            if group[i] == group[j] and rating[i] != rating[j]:
                total += 1
                agree = np.sign(p[i] - p[j]) * np.sign(rating[i] - rating[j])
                right += (1 + agree) / 2
    assert value("pair_accuracy", p, rating=rating, group=group) == pytest.approx(right / total)


# --- intervals -----------------------------------------------------------------------------------


def test_a_weight_of_two_counts_as_two_rows():
    p, r, rating, group = arrays(n=150, prompts=20)
    times = np.random.default_rng(1).integers(1, 4, size=150)
    twice = np.repeat(np.arange(150), times)
    one_prompt = {"r": r, "rating": rating}
    weighted = measure(p, **one_prompt, weight=times, draws=0)
    repeated = measure(p[twice], **{k: v[twice] for k, v in one_prompt.items()}, draws=0)
    for name in ("auroc", "r2", "brier", "nll", "bias", "mae", "rmse", "pearson", "spearman"):
        assert weighted[name].value == pytest.approx(repeated[name].value), name
    # A pair has the product of both weights, as many as there are pairs of repeated rows.
    pairs = measure(p, rating=rating, group=group, weight=times, draws=0)["pair_accuracy"].value
    again = measure(p[twice], rating=rating[twice], group=group[twice], draws=0)
    assert pairs == pytest.approx(again["pair_accuracy"].value)


def derivative(f, w, i, step=1e-6):
    up, down = w.copy(), w.copy()
    up[i] += step
    down[i] -= step
    return (f(up) - f(down)) / (2 * step)


@pytest.mark.parametrize("graded", [False, True])
def test_the_influence_of_a_row_is_its_weight_times_the_derivative_by_it(graded):
    p, r, rating, group = arrays(n=40, prompts=8)
    r = np.round(0.5 * r + 0.5 * np.random.default_rng(3).random(40), 1) if graded else r
    w = np.random.default_rng(2).uniform(0.5, 2, 40)
    linear = {
        name: lambda v, name=name: (
            (f := INFLUENCE_FUNCTIONS[name](p, p, r, r * (1 - r), v)).theta
            + metrics.mean(f.at(r, r * (1 - r)), v)[0],
            metrics.mean(f.at(r, r * (1 - r)), v)[1],
        )
        for name in INFLUENCE_FUNCTIONS
    }
    ranks = {
        "mean": lambda v: metrics.mean(rating, v),
        "pearson": lambda v: metrics.pearson(p, rating, v),
        "spearman": lambda v: metrics.spearman(p, rating, v),
        "pairs": lambda v: metrics.pair_accuracy(p, rating, group, v),
        "best of n": lambda v: metrics.best_of_n_lift(p, rating, group, v),
    }
    for name, f in (linear | ranks).items():
        half = 0.5 if name == "pairs" else 1.0
        influence = f(w)[1]
        assert influence.sum() == pytest.approx(0, abs=1e-9), name
        for i in range(0, 40, 7):
            slope = derivative(lambda v, f=f: f(v)[0], w, i)
            assert influence[i] == pytest.approx(half * w[i] * slope, abs=1e-7), name


def test_the_interval_of_a_mean_is_the_textbook_one_and_covers():
    covered, n = 0, 400
    for seed in range(100):
        r = (np.random.default_rng(seed).random(n) < 0.3) * 1.0
        e = measure(np.full(n, 0.5), r=r, draws=20)["bias"]  # .5 - mean r, truly .2
        covered += e.low <= 0.2 <= e.high
        assert e.high - e.low == pytest.approx(2 * 1.96 * (0.21 / n) ** 0.5, rel=0.35)
    assert 88 <= covered <= 100


def test_few_units_widen_the_interval_to_students_t():
    """10 units: t = 2.262 at 9 degrees; and of 10 right out of 10 the least share is .025^(1/10) = .692."""
    e = student_interval(3.0, 0.1, 9, "difference")
    assert (e.low, e.high) == pytest.approx((3 - 0.2262, 3 + 0.2262), abs=1e-4)
    e = student_interval(1.0, 0.0, 9, "share")
    assert (e.low, e.high) == pytest.approx((0.6915, 1), abs=1e-4)


def test_a_variance_by_user_and_prompt_by_hand():
    """Users 0 0 1 1 with sums .2 and -.2: 1/2 (.4^2 + .4^2) = .16. Prompts 0 1 0 1, sums .1 and -.1: .04.

    Four pairs of user and prompt: 3/4 sum (f / (3/4))^2. V = max(.16 + .04 - that, .16, .04).
    """
    f = np.array([0.15, 0.05, -0.05, -0.15])
    user, prompt = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    rows = 0.75 * (f**2).sum() * (4 / 3) ** 2
    both = clusters(4, group=prompt, user=user)
    assert clusters(4, group=prompt).variance(f) == pytest.approx(0.04)
    assert clusters(4, user=user, cluster="user").variance(f) == pytest.approx(0.16)
    assert both.variance(f) == pytest.approx(max(0.16 + 0.04 - rows, 0.16))
    assert both.effective() == {"prompt": 2.0, "user": 2.0}
    assert both.effective(np.array([3.0, 1, 0, 0])) == {"prompt": 16 / 10, "user": 1.0}


def test_gaps_by_hand():
    """15 bins of two rows; r - p is .5, -.5 in the first, .2, .2 in the second, else 0: 0 and .4 / 30.

    With weight 2 on the first row a bin holds a weight of 31 / 15: that row, and 1 / 15 of the second.
    """
    p = np.arange(30) / 30
    r = p.copy()
    r[:4] += [0.5, -0.5, 0.2, 0.2]
    gaps, _ = metrics.calibration_gaps(p, r, np.ones(30))
    assert gaps == pytest.approx(np.r_[0, 0.4 / 30, np.zeros(13)])
    twice = np.ones(30)
    twice[0] = 2
    assert metrics.calibration_gaps(p, r, twice)[0][0] == pytest.approx((2 * 0.5 - 0.5 / 15) / 31)


KNOWN = {  # P(good) = .75 or .35 as forecast, and .2 more or less by the prompt: 55 % are good
    "auroc": 0.5 + (0.375 / 0.55 - 0.125 / 0.45) / 2,
    "brier": (0.75 * 0.25 + 0.35 * 0.65) / 2,
    "bias": 0.0,
    "r2": 1 - 0.2075 / (0.55 * 0.45),
    "pair_accuracy": (0.575 + 0.655)
    / (0.75 + 0.91),  # pairs ordered, a tie half; pairs that differ
    "ece": 0.0,
}


@pytest.mark.battery
@pytest.mark.parametrize("prompts", [50, 200])
def test_intervals_cover_the_truth_as_often_as_they_say(prompts):
    """500 worlds, nominal 95 %, asked 93 to 97; a standard error of chance is .01."""
    held = []
    for seed in range(500):
        rng = np.random.default_rng(seed)
        group = np.repeat(np.arange(prompts), 4)
        p = np.where(rng.random(4 * prompts) < 0.5, 0.75, 0.35)
        kind = np.where(rng.random(prompts) < 0.5, 0.2, -0.2)[group]
        r = (rng.random(4 * prompts) < p + kind) * 1.0
        found = measure(p, r=r, group=group, seed=seed)
        held.append([found[k].low <= v <= found[k].high for k, v in KNOWN.items()])
    *rates, ece = np.mean(held, 0)
    assert all(0.925 < rate < 0.975 for rate in rates), rates
    assert ece > 0.95, "an ECE of 0 is the least there is, and only the lower end can miss it"


@pytest.mark.battery
def test_the_interval_of_an_ece_covers_though_noise_counts_as_error():
    """500 worlds: low forecasts are .1 too low, high ones too high, the middle one of 15 bins has both."""
    truth, held, values = 0.1 * 14 / 15, [], []
    for seed in range(500):
        rng = np.random.default_rng(seed)
        p = rng.uniform(0.1, 0.9, 300)
        r = (rng.random(300) < np.where(p > 0.5, p - 0.1, p + 0.1)) * 1.0
        e = measure(p, r=r, seed=seed)["ece"]
        held.append(e.low <= truth <= e.high)
        values.append(e.value)
    assert np.mean(values) > truth + 0.02
    assert 0.925 < np.mean(held) < 0.975


def test_copies_inside_a_prompt_do_not_narrow_the_interval():
    p, r, _, _ = arrays(n=100, seed=3)
    p4, r4, prompt = np.repeat(p, 4), np.repeat(r, 4), np.repeat(np.arange(100), 4)
    once = measure(p, r=r, draws=400)
    clustered, naive = measure(p4, r=r4, group=prompt, draws=400), measure(p4, r=r4, draws=400)
    for name in ("auroc", "brier", "r2", "spearman"):
        width = [m[name].high - m[name].low for m in (once, clustered, naive)]
        assert width[1] == pytest.approx(width[0], rel=0.25), name
        assert width[2] < 0.7 * width[1], name
        assert clustered[name].value == pytest.approx(once[name].value)


def test_every_interval_holds_its_value_and_the_seed_decides_that_of_ece():
    p, r, rating, group = arrays()
    one = measure(p, r=r, rating=rating, group=group, seed=1)
    assert list(one) == LABEL + ORDER
    for name, e in one.items():
        assert e.low <= e.value <= e.high, name
        assert e.low < e.high, name
    assert one == measure(p, r=r, rating=rating, group=group, seed=1)
    one, two = (measure(p, r=r**2 * (p > 0.5), group=group, seed=seed) for seed in (1, 2))
    assert one["ece"].low != two["ece"].low
    assert one["auroc"] == two["auroc"]


def test_the_names_of_the_prompts_do_not_matter():
    p, r, rating, group = arrays()
    named = np.array([f"q{g:03d}" for g in group])
    assert measure(p, r=r, rating=rating, group=named) == measure(
        p, r=r, rating=rating, group=group * 10
    )


def users_of_prompts(seed, *, users=20, prompts=10, answers=2):
    """Users with their own level and slope of quality; prompts of one user."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(users), prompts * answers)
    group = np.repeat(np.arange(users * prompts), answers)
    level, slope = rng.standard_normal((2, users))
    s = rng.standard_normal(len(user))
    own = level[user] + 0.3 * rng.standard_normal(users * prompts)[group]
    r = (rng.random(len(user)) < expit(own + s * (1 + slope[user]))) * 1.0
    return expit(s), r, group, user


def test_intervals_of_twenty_users_cover_the_truth_of_all_users():
    """200 worlds, nominal 95 %: standard error 1.5 %. By prompt alone about 75 % are covered."""
    p, r, group, _ = users_of_prompts(10**6, users=20_000)
    known = measure(p, r=r, group=group, draws=0)
    names = ("auroc", "brier", "bias", "pair_accuracy", "spearman")
    held = {"both": [], "prompt": []}
    for seed in range(200):
        p, r, group, user = users_of_prompts(seed)
        for cluster, found in held.items():
            m = measure(p, r=r, group=group, user=user, cluster=cluster, draws=2)
            found.append([m[k].low <= known[k].value <= m[k].high for k in names])
    rates = np.mean(held["both"], 0)
    assert (np.abs(rates - 0.95) < 0.045).all(), rates
    assert 0.93 < rates.mean() < 0.98
    assert np.mean(held["prompt"], 0)[1] < 0.85


def test_few_users_are_warned_of_and_named():
    p, r, group, user = users_of_prompts(0, users=6)
    found = measure(p, r=r, group=group, user=user)
    assert "effective number of 6.0 users" in found.warnings[0]
    assert "6 users" in str(found)
    assert measure(p, r=r, group=group, user=user, cluster="prompt").warnings == ()
    with pytest.raises(UsageError, match="cluster by prompt"):
        measure(p, r=r, group=group, cluster="user")


def test_no_draws_give_no_intervals():
    p, r, _, _ = arrays()
    assert measure(p, r=r, draws=0)["auroc"] == Estimate(value("auroc", p, r=r))
    with pytest.raises(UsageError, match="draws"):
        measure(p, r=r, draws=-1)


# --- undefined -----------------------------------------------------------------------------------


def test_one_class_leaves_ranking_undefined_and_errors_defined():
    found = measure(np.array([0.2, 0.7, 0.4]), r=np.ones(3), group=np.array([0, 1, 1]))
    for name in ("auroc", "r2"):
        assert found[name] == Estimate(None, reason="all labels are equal")
    assert found["pearson"].value is found["spearman"].value is None
    assert found["pair_accuracy"].reason == "no prompt has two answers of different quality"
    assert found["brier"].value is not None
    assert found["best_of_n_lift"].value == pytest.approx(0)


def test_one_prompt_has_values_without_intervals():
    e = measure(np.array([0.2, 0.7]), r=np.array([0, 1]), group=np.array([5, 5]))["auroc"]
    assert e == Estimate(1.0, None, None, "one prompt, so no interval")


def test_without_prompts_nothing_inside_a_prompt_is_defined():
    p, r, _, _ = arrays()
    found = measure(p, r=r)
    assert found["pair_accuracy"].value is None
    assert found["best_of_n_lift"] == Estimate(None, reason="no prompt has two answers")


def test_a_constant_score_has_no_correlation():
    found = measure(np.full(50, 0.3), rating=np.arange(50.0))
    assert found["pearson"].value is found["spearman"].value is None
    assert value("auroc", [0.3] * 4, r=np.array([0, 1, 0, 1])) == 0.5


def test_of_rare_labels_the_interval_is_wide():
    r = np.r_[1.0, np.zeros(3)]
    e = measure(np.array([0.9, 0.1, 0.2, 0.3]), r=r, group=np.arange(4))["auroc"]
    # One good and three bad rows carry 4 * 1 * 3 / 4 = 3 rows: the least share of 3 of 3 is .025^(1/3).
    assert (e.value, e.low, e.high) == (1, pytest.approx(0.025 ** (1 / 3)), 1)


def test_no_rows_leave_everything_undefined():
    none = np.zeros(0)
    found = measure(none, r=none, group=none)
    assert list(found) == LABEL + ORDER
    assert all(e == Estimate(None, reason="there are no rows") for e in found.values())
    assert str(found).endswith("0 rows, 0 prompts")


def test_ratings_alone_leave_out_what_needs_labels():
    p, r, rating, group = arrays()
    assert list(measure(p, rating=rating, group=group, draws=0)) == ORDER
    both = measure(p, r=r, rating=rating, group=group, draws=0)
    assert list(both) == LABEL + ORDER
    assert both["spearman"] == measure(p, rating=rating, group=group, draws=0)["spearman"]


def test_rows_of_unknown_truth_are_left_out():
    p, r, rating, group = arrays()
    some, graded = np.where(np.arange(400) < 300, r, np.nan), np.where(p > 0.2, rating, np.nan)
    found = measure(p, r=some, rating=graded, group=group, draws=20)
    k = p > 0.2
    labelled = measure(p[:300], r=r[:300], draws=0)
    ranked = measure(p[k], rating=rating[k], group=group[k], draws=0)
    for name in LABEL:
        assert found[name].value == pytest.approx(labelled[name].value), name
    for name in ORDER:
        assert found[name].value == pytest.approx(ranked[name].value), name
    assert found["auroc"].low < found["auroc"].high


def test_json_has_null_and_never_nan():
    found = measure(np.array([0.2, 0.7]), r=np.ones(2)).to_json()
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text)["auroc"] == {
        "value": None, "low": None, "high": None, "reason": "all labels are equal",
    }  # fmt: skip
    p, r, _, _ = arrays()
    assert set(measure(p, r=r).to_json()["auroc"]) == {"value", "low", "high"}


def test_the_table_lines_up():
    p, r, rating, group = arrays()
    lines = str(measure(p, r=r, rating=rating, group=group)).splitlines()
    assert lines[0].split() == ["metric", "value", "95", "%", "interval"]
    assert {line[:15].strip() for line in lines[1:-1]} == set(LABEL + ORDER)
    assert all(len(line.split()[1]) >= 6 and line[24:26] == "  " for line in lines[1:-1])
    assert lines[-1].startswith("400 rows, 60 prompts; intervals clustered by 5")
    assert lines[-1].endswith("effective prompts")


@pytest.mark.parametrize(
    ("truth", "words"),
    [
        ({}, "labels r or ratings"),
        ({"r": [0, 1, 2]}, "r must hold numbers from 0 to 1, and row 3 is 2"),
        ({"r": [0, 1]}, "r must hold one number for each of 3 rows"),
        ({"rating": [0, float("inf"), 2]}, "rating must hold finite numbers, and row 2 is inf"),
        ({"r": [float("nan")] * 3}, "r must hold numbers from 0 to 1, and row 1 is nan"),
        ({"r": [0, 1, 1], "group": [1, 2]}, "group must name the prompt"),
        ({"r": [0, 1, 1], "score": [0, float("inf"), 1]}, "score must hold finite numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(truth, words):
    with pytest.raises(TruewardError, match=words):
        measure(np.array([0.1, 0.2, 0.3]), **{k: np.array(v) for k, v in truth.items()})


# --- a model -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    reward: torch.Tensor | None
    preferred: torch.Tensor | None


@dataclass(frozen=True)
class FirstFeature:
    """A model whose logit is the first feature."""

    backbone: str | None = None
    knows: bool = True

    def score_features(self, x):
        if not self.knows:
            return Said(None, None)
        return Said(x[:, 0], torch.sigmoid(x[:, 0]))


def test_a_model_is_measured_on_labels():
    x = torch.tensor([[2.0], [-1.0], [0.5], [-3.0]])
    r, group = torch.tensor([1.0, 0.0, 1.0, 0.0]), torch.tensor([0, 0, 1, 1])
    found = evaluate(FirstFeature(), Labelled(x, r, group=group))
    assert found["auroc"].value == found["pair_accuracy"].value == 1
    assert found["brier"].value == pytest.approx(
        float(((torch.sigmoid(x[:, 0]) - r) ** 2).mean()), rel=1e-5
    )
    assert (found.rows, found.prompts) == (4, 2)
    graded = evaluate(FirstFeature(), Labelled(x, rating=torch.tensor([4.0, 1, 3, 0])), draws=0)
    assert graded["spearman"].value == pytest.approx(1)


def test_features_of_another_backbone_are_refused():
    test = Labelled(torch.zeros(2, 1), torch.tensor([0.0, 1.0]), backbone='{"name": "a"}')
    with pytest.raises(TruewardError, match="encode the test with the model's backbone"):
        evaluate(FirstFeature('{"name": "b"}'), test)
    assert evaluate(FirstFeature(), test)["auroc"].value == 0.5
    assert evaluate(FirstFeature('{"name": "a"}'), test)["auroc"].value == 0.5


def test_a_model_that_knows_only_an_interval_is_refused():
    test = Labelled(torch.zeros(2, 1), torch.tensor([0.0, 1.0]))
    with pytest.raises(TruewardError, match="only an interval"):
        evaluate(FirstFeature(knows=False), test)


def test_text_needs_a_model_that_reads_text():
    with pytest.raises(TruewardError, match="cannot read text"):
        evaluate(FirstFeature(None), object())


def test_text_is_encoded_with_the_backbone_of_the_model(monkeypatch):
    asked = []

    def encode(test, *, backbone):
        asked.append(backbone)
        return Labelled(torch.tensor([[1.0], [-1.0]]), torch.tensor([1.0, 0.0]), backbone=backbone)

    monkeypatch.setattr("trueward.features.encode", encode, raising=False)
    texts = read_test({"prompt": ["a", "a"], "response": ["b", "c"], "label": [1, 0]})
    assert evaluate(FirstFeature('{"name": "a"}'), texts)["auroc"].value == 1
    assert asked == ['{"name": "a"}']


def test_the_ends_of_a_skewed_interval_solve_the_equation_of_the_transformation():
    """T + a T^2 / 3 + a^2 T^3 / 27 + a / 6 = -+t at T = (value - end) / error; t = 2.0423 at 30 degrees."""
    found = student_interval(0.8, 0.04, 30, "error", skew=0.3)
    for end, t in ((found.low, 2.0423), (found.high, -2.0423)):
        T = (0.8 - end) / 0.04
        assert pytest.approx(t, abs=1e-4) == T + 0.1 * T**2 + 0.09 * T**3 / 27 + 0.05
    plain = student_interval(0.8, 0.04, 30, "error")
    assert student_interval(0.8, 0.04, 30, "error", skew=1e-5).high == pytest.approx(
        plain.high, abs=1e-6
    )


def test_few_rows_that_hold_the_large_errors_do_not_make_intervals_miss():
    """Means of 30 of an exponential error, 600 draws: 95 % with a standard error of .9 %."""
    errors = np.random.default_rng(0).exponential(size=(600, 30))
    held = []
    for e in errors:
        found = clusters(30).estimate(e.mean(), (e - e.mean()) / 30, "error")
        held.append(found.low <= 1 <= found.high)
    assert 0.93 < np.mean(held) < 0.97
    wide = stats.t.ppf(0.975, 29) * errors.std(1, ddof=1) / np.sqrt(30)
    assert np.mean(np.abs(errors.mean(1) - 1) < wide) < 0.935, "a symmetric interval misses more"


@pytest.mark.parametrize(
    "module",
    [
        "audit",
        "evaluate",
        "measure",
        "metrics",
        "sample_size",
        "sensitivity",
    ],
)
def test_examples_in_docstrings_hold(module):
    name = f"trueward.evaluation.{module}"
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted
    assert not result.failed
