"""Models of who reacts: recovered from exact frequencies, weighed by evidence, naive without evidence."""

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from trueward.data.feedback import Feedback
from trueward.estimation import selection_average, selection_models
from trueward.estimation.outcome_counts import BINS, OutcomeCounts, centred
from trueward.estimation.selection_average import SelectionAverage, gold_labels
from trueward.estimation.selection_models import fit_selection_models
from trueward.fitting.fit import fit
from trueward.fitting.held_out import beside_naive

GAMMA = np.repeat(expit(np.linspace(-2.5, 2.5, 41)), 500)  # P(good) of every row
LOOKS = np.tile(np.linspace(-1.5, 1.5, 500), 41)  # a feature that says nothing of the quality


def world(m_1, m_0, rho_01=0.0, rho_10=0.0):
    """Outcomes in their exact proportion: q, p and the counts, with m_r the chance that r is rated."""
    good, bad = m_1 * GAMMA, m_0 * (1 - GAMMA)
    up = (1 - rho_01) * good + rho_10 * bad
    down = rho_01 * good + (1 - rho_10) * bad
    q, p = logit(up / (up + down)), logit(up + down)
    return OutcomeCounts(q, p, up, down, 1 - up - down)


def fitted(counts, *rates):
    rates = rates or (0.0, 0.0)
    return {m.name: m for m in fit_selection_models(counts, *rates, [0.1])}


def share(counts, model):
    a, b, c = model.log_odds(counts)
    return expit(a + b * counts.q + c * counts.p)


def test_selection_by_the_label_is_found_with_its_strength_and_its_rewards():
    """m_1 = .3, m_0 = .05: d = log odds ratio. 20,500 rows fix it to a tenth, less what the prior takes."""
    counts = world(0.3, 0.05)
    models, average = fitted(counts), SelectionAverage.fit(counts, 0.0, 0.0)
    d = logit(0.3) - logit(0.05)
    assert models["by_label"].strength()[0] == pytest.approx(d, abs=0.1)
    assert share(counts, models["by_label"]) == pytest.approx(GAMMA, abs=0.03)
    assert average.uses_unrated
    assert average.by_label > 0.99
    low, high = average.share_range(0)
    assert low < GAMMA.mean() < high


def test_unknown_noise_is_found_beside_selection_by_the_label():
    average = SelectionAverage.fit(world(0.3, 0.05, 0.2, 0.2), 0.0, 0.0)
    weights = average.report(0)["weights"]
    assert list(weights) == ["at_random", "stacked", "by_label", "by_label_noisy"]
    assert weights["by_label_noisy"] > 0.99


def test_rates_that_are_tried_share_one_prior(monkeypatch):
    """Nine models of one kind count as one where the log does not tell them apart."""
    full = world(0.2, 0.2)
    few = OutcomeCounts(full.q, full.p, *(v / 2000 for v in (full.up, full.down, full.none)))
    nine = SelectionAverage.fit(few, 0.0, 0.0).report(0)["weights"]
    monkeypatch.setattr(selection_average, "TRIED_RATES", (0.1,))
    one = SelectionAverage.fit(few, 0.0, 0.0).report(0)["weights"]
    assert nine["by_label_noisy"] == pytest.approx(one["by_label_noisy"], abs=0.02)


@pytest.mark.parametrize("rate", [0.01, 0.2])
def test_selection_by_features_beside_the_quality_is_taken_for_missing_at_random(rate):
    react = rate * np.exp(LOOKS) / np.exp(LOOKS).mean()
    counts = world(react, react)
    average = SelectionAverage.fit(counts, 0.0, 0.0)
    assert not average.uses_unrated
    (weight,), ((shift, *rest),) = average.coefficients
    assert weight == 1
    assert rest == [0, 0, 1]  # the network of naive
    assert shift == pytest.approx(0.0, abs=0.05)


def test_known_noise_rates_are_corrected_under_missing_at_random():
    counts = world(0.2, 0.2, 0.1, 0.2)
    models = fitted(counts, 0.1, 0.2)
    assert set(models) == {
        "at_random",
        "stacked",
        "by_label",
    }  # no rates are tried beside known ones
    # a linear map of q is near the exact correction, except at the ends
    assert share(counts, models["at_random"]) == pytest.approx(GAMMA, abs=0.05)


def test_with_few_ratings_the_log_says_nothing_and_the_range_says_so():
    """The same selection as in the first test, with 1/1000 of the rows."""
    full = world(0.3, 0.05)
    k = 1000
    counts = OutcomeCounts(full.q, full.p, full.up / k, full.down / k, full.none / k)
    average = SelectionAverage.fit(counts, 0.0, 0.0)
    report = average.report(0)
    assert not average.uses_unrated
    low, high = report["share_good_range"]
    assert low < GAMMA.mean() < high
    assert "may lie between" in report["warning"]
    assert f"about {report['gold_labels']} random gold labels" in report["warning"]


def test_gradients_agree_with_differences():
    counts = world(0.3, 0.05)
    rng = np.random.default_rng(0)
    (mean_q, _), (mean_p, sd_p) = counts.moments(counts.q), counts.moments(counts.p)
    design = np.stack([np.ones_like(counts.q), counts.q - mean_q, (counts.p - mean_p) / sd_p], 1)
    sd, centre = np.ones(5), np.full(5, 0.1)
    ratings = selection_models._ratings(counts, design, centre[:3], sd[:3], 0.1, 0.2)
    outcomes = selection_models._outcomes(counts, design, centre, sd, 0.1, 0.2)
    for objective, size in ((ratings, 3), (outcomes, 5)):
        v = rng.normal(0, 0.5, size)
        step = 1e-5 * np.eye(size)
        by_difference = [(objective(v + e)[0] - objective(v - e)[0]) / 2e-5 for e in step]
        assert objective(v)[1] == pytest.approx(by_difference, rel=1e-4, abs=1e-2)


def test_every_fold_is_shifted_to_the_common_mean():
    z = centred(np.array([0.0, 2.0, 5.0, 7.0]), np.array([3, 3, 1, 1]), np.array([1.0, 1, 1, 1]))
    assert z.tolist() == [2.5, 4.5, 2.5, 4.5]
    weighted = centred(np.array([0.0, 4.0, 2.0]), np.array([0, 0, 1]), np.array([3.0, 1.0, 4.0]))
    assert weighted.tolist() == [0.5, 4.5, 1.5]  # means 1 and 2, common mean 1.5


def test_rows_are_counted_by_weight_up_to_the_effective_number():
    one = np.ones(4)
    up, rated = np.array([1.0, 0, 0, 0]), np.array([1.0, 1, 0, 0])
    q = np.arange(4.0)
    plain = OutcomeCounts.of(q, q, up, rated, one, None)
    assert [v.sum() for v in (plain.up, plain.down, plain.none)] == [1, 1, 2]
    tenfold = OutcomeCounts.of(q, q, up, rated, 10 * one, None)
    assert tenfold.none.sum() == pytest.approx(2)  # equal weights are none
    uneven = OutcomeCounts.of(q, q, up, rated, np.array([1.0, 1, 3, 3]), None)
    assert uneven.n.sum() == pytest.approx(64 / 20)
    assert uneven.none.sum() / uneven.n.sum() == pytest.approx(6 / 8)


def test_many_rows_are_binned_without_losing_any():
    rng = np.random.default_rng(0)
    n = 2 * BINS**2
    q, p = rng.standard_normal((2, n))
    rated, up = (rng.random((2, n)) < 0.3).astype(float)
    counts = OutcomeCounts.of(q, p, up, rated, np.ones(n), None)
    assert len(counts.q) < BINS**2 + 1
    assert counts.n.sum() == pytest.approx(n)
    assert counts.up.sum() == pytest.approx(up @ rated)


def test_the_gold_labels_of_a_range_follow_from_the_binomial_interval():
    """Half as wide as .3 to .7: 1.96 sqrt(.25 / n) = .1."""
    assert gold_labels(0.3, 0.7) == int(np.ceil(0.25 * 19.6**2))
    assert gold_labels(0.0, 1.0) == 30  # 16 would do, and anchored needs 30


def log(n, seed, rate=0.3, d=8):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g)
    good = (torch.rand(n, generator=g) < torch.sigmoid(x[:, 0])).float()
    rated = (torch.rand(n, generator=g) < rate).float()
    return Feedback(x, good * rated, rated, group=torch.arange(n) // 2)


def test_without_evidence_the_reward_is_naives_own_up_to_a_constant():
    train, val, test = log(600, 0), log(200, 1), log(100, 2)
    ours, naive = (
        fit(k, train, val, epochs=3, precision="fp32").score_features(test.x).reward
        for k in ("three_outcome", "naive")
    )
    gap = (ours - naive).numpy()
    assert gap == pytest.approx(gap.mean(), abs=1e-5)


def test_the_ranking_is_compared_with_that_of_naive_on_held_out_ratings():
    """Good: scores 3 and 1, bad: 2 and 0. Ours orders 3 of 4 pairs, naive 1 of 4; one row is not rated."""
    y = torch.tensor([1.0, 1, 0, 0, 0])
    val = Feedback(torch.zeros(5, 1), y, torch.tensor([1.0, 1, 1, 1, 0]), group=torch.arange(5))
    ours, naive = torch.tensor([3.0, 1, 2, 0, 9]), torch.tensor([0.0, 2, 1, 3, 9])
    found = beside_naive(ours, naive, val)
    assert (found["rated"], found["auroc"], found["naive_auroc"]) == (4, 0.75, 0.25)
    assert found["difference"] == 0.5
    assert found["low"] < 0.5 < found["high"]
    assert beside_naive(ours, naive, val[torch.tensor([0, 1, 4])]) is None  # one class
