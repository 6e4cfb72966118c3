"""Regression on gold labels: prior, posterior covariance, interval of P, report, refusals."""

from functools import cache

import numpy as np
import pytest
import torch
from helpers.regressions import gold_rows

from trueward.core.errors import TruewardError
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.gold_regression import (
    GoldRegression,
    design_effect,
    gold_posterior,
    misfit_variance,
    predicted,
)
from trueward.estimation.gold_report import gold_report
from trueward.estimation.ridge_logistic import CoefficientPrior, RegressionData
from trueward.estimators._registry import make
from trueward.fitting.fit import fit
from trueward.model.reward_model import load


@pytest.mark.parametrize(("of_features", "least", "most"), [(0.0, 0.0, 0.3), (2.0, 0.7, 2.0)])
def test_the_weight_of_the_features_follows_the_labels(of_features, least, most):
    sample, _ = gold_rows(1000, of_features=of_features)
    found = gold_posterior(sample, CoefficientPrior(1.0, (1.0, 0.0), (0.0, 0.0)))
    share = {s: q for s, (q, _) in found.items()}
    assert least <= sum(s * q for s, q in share.items()) <= most
    assert sum(share.values()) == pytest.approx(1)


@pytest.mark.parametrize(("scale", "usual"), [(0.1, 0.5), (3.0, 3.0)])
def test_the_prior_scale_of_the_features_is_that_of_the_evidence(scale, usual):
    """Rows that weigh nothing leave the prior: half-normal, of sd .5 or that of the log's own log-odds."""
    sample, _ = gold_rows()
    said = sample.design[:, 1] / sample.design[:, 1].std() * scale
    a = np.column_stack([sample.design[:, 0], said, sample.design[:, 2:]])
    nothing = RegressionData(a, sample.labels, np.zeros(400), sample.group)
    share = gold_posterior(nothing, CoefficientPrior(1.0, (1.0, 0.0), (0.0, 0.0)))
    assert share[1.0][0] / share[0.6][0] == pytest.approx(np.exp(-0.32 / usual**2), rel=0.02)


def test_rows_that_weigh_nothing_leave_the_prior_covariance():
    """Var b_0 = 100, Var b = 1 / ridge, and Var w = E[s^2] in every direction of the features."""
    sample, _ = gold_rows(400)
    nothing = RegressionData(sample.design, sample.labels, np.full(400, 1e-12), sample.group)
    found, posterior = GoldRegression.fit(nothing, CoefficientPrior(2.0, (1.0, 0.0), (0.0, 0.0)))
    mean_square = sum(q * s**2 for s, (q, _) in posterior.items())
    wanted = np.diag([100, 0.5, 0.5, *[mean_square] * 5])
    assert found.covariance == pytest.approx(wanted, rel=1e-4, abs=1e-4)


def test_without_a_doubt_of_s_the_covariance_is_that_of_maximum_likelihood():
    """2,000 labels, hardly a prior: the inverse of the Fisher information, and the spread of refits."""
    prior = CoefficientPrior(1e-6, (0.0, 0.0), (0.0, 0.0))
    w = []
    for seed in range(40):
        sample, _ = gold_rows(2000, seed)
        a = RegressionData(sample.design[:, :3], sample.labels, sample.weight, sample.group)
        found, _ = GoldRegression.fit(a, prior)
        w.append(found.w)
    p = 1 / (1 + np.exp(-a.design @ found.w))
    fisher = (a.design.T * p * (1 - p)) @ a.design
    assert found.covariance[1:, 1:] == pytest.approx(
        np.linalg.inv(fisher)[1:, 1:], rel=0.02, abs=1e-5
    )
    # the standard error of a standard deviation over 40 draws is 11 %
    assert np.std(w, 0) == pytest.approx(np.sqrt(np.diag(found.covariance)), rel=0.35)


def test_the_design_effect_by_hand():
    """P = 1/2 everywhere, so residuals are 1/2 or -1/2.

    One label a prompt: 1. Two equal labels on each prompt: (1/2 + 1/2)^2 / (1/4 + 1/4) = 2. Unlike labels
    cancel: at least 1. Weights 1 and 3, one label a prompt: (1/4 + 9/4) / (1/4 + 3/4) = 2.5.
    """
    ones, w = np.ones((4, 1)), np.zeros(1)
    equal, two = np.array([1.0, 1.0, 0.0, 0.0]), np.array([0, 0, 1, 1])
    assert design_effect(RegressionData(ones, equal, np.ones(4), np.arange(4)), w) == 1
    assert design_effect(RegressionData(ones, equal, np.ones(4), two), w) == 2
    unlike = np.array([1.0, 0.0, 1.0, 0.0])
    assert design_effect(RegressionData(ones, unlike, np.ones(4), two), w) == 1
    weight = np.array([1.0, 3.0, 1.0, 3.0])
    assert design_effect(RegressionData(ones, equal, weight, np.arange(4)), w) == 2.5


def test_the_variance_that_a_fit_leaves_by_hand():
    """Log-odds of variance 1 leave pi^2 / 3 - 1, those of variance 9 leave 3, constant ones pi^2 / 3."""
    ones = np.ones(2)
    assert misfit_variance(np.array([-1.0, 1.0]), ones) == pytest.approx(np.pi**2 / 3 - 1)
    assert misfit_variance(np.array([-3.0, 3.0]), ones) == pytest.approx(3)
    assert misfit_variance(np.array([2.0, 2.0]), ones) == pytest.approx(np.pi**2 / 3)
    # a row of weight 3 is three rows
    thrice = misfit_variance(np.array([0.0, 1.0, 1.0, 1.0]), np.ones(4))
    assert misfit_variance(np.array([0.0, 1.0]), np.array([1.0, 3.0])) == pytest.approx(thrice)


def test_the_interval_of_p_by_hand():
    """a w = 1, a' C a = .25, misfit 8 / pi: centre sqrt(2), sd sqrt(.25 + 8 / pi)."""
    rows = torch.tensor([[1.0, 0.5]], dtype=torch.float64)
    w, covariance = torch.tensor([0.5, 1.0]).double(), torch.diag(torch.tensor([0.0, 1.0]).double())
    found = predicted(rows, w, covariance, 8 / np.pi)
    reach = 1.96 * np.sqrt(0.25 + 8 / np.pi)
    ends = [1.0, 2**0.5 - reach, 2**0.5 + reach]
    assert [float(torch.logit(v)) for v in found.values()] == pytest.approx(ends)
    alone = predicted(rows, w, covariance)
    assert [float(torch.logit(v)) for v in alone.values()] == pytest.approx([1.0, 0.02, 1.98])


@pytest.mark.parametrize("golds", [30, 100, 300])
def test_the_interval_holds_the_true_p_of_most_responses(golds):
    """Log-odds 1.2 e + 1.2 times the sign of a product of features, which no regression on these explains.

    20 draws of gold labels, 400 responses each; the share of a draw has sd .03.
    """
    rng, covered, width = np.random.default_rng(golds), [], []
    for _ in range(20):
        e, x = rng.standard_normal((1000, 1)), rng.standard_normal((1000, 6)) / np.sqrt(6)
        truth = 1 / (1 + np.exp(-(1.2 * e[:, 0] + 1.2 * np.sign(x[:, 0] * x[:, 1]) - 0.2)))
        rows = np.hstack([np.ones((1000, 1)), e, x])
        label = (rng.random(1000) < truth).astype(float)
        gold = RegressionData(rows[:golds], label[:golds], np.ones(golds), np.arange(golds))
        found, _ = GoldRegression.fit(gold, CoefficientPrior(1.0, (1.0,), (0.0,)))
        misfit = misfit_variance(rows @ found.w, np.ones(1000))
        at = (torch.from_numpy(v) for v in (rows[600:], found.w, found.covariance))
        _, low, high = (v.numpy() for v in predicted(*at, misfit).values())
        covered.append(((low <= truth[600:]) & (truth[600:] <= high)).mean())
        width.append((high - low).mean())
    assert np.mean(covered) >= 0.9
    assert np.mean(width) < 0.85


def warned(a, label, prior, group=None):
    rows = RegressionData(a, label, np.ones(len(a)), np.arange(len(a)) if group is None else group)
    found, posterior = GoldRegression.fit(rows, prior)
    return gold_report(rows, prior, found.w, posterior, 0).get("warning", "")


def test_estimates_at_a_bound_and_checks_that_are_left_out_are_named():
    rng, one = np.random.default_rng(0), np.ones((300, 1))
    a = np.hstack([one, 3 * rng.standard_normal((300, 1)), rng.standard_normal((300, 2)) / 1.4])
    prior, up = CoefficientPrior(1.0, (1.0,), (0.0,)), CoefficientPrior(1.0, (0.0,), (1.0,))
    by_features, by_evidence = (
        (a[:, 2] > 0) * 1.0,
        (rng.random(300) < 1 / (1 + np.exp(a[:, 1]))) * 1.0,
    )
    assert "at the end of its grid" in warned(a, by_features, prior)
    assert "at the end of its grid" not in warned(a, by_evidence, prior)
    assert "evidence at 0 (numbers 1 of 1)" in warned(a, by_evidence, up)
    assert "evidence at 0" not in warned(a, 1 - by_evidence, up)
    few = warned(a[:12], by_evidence[:12], prior, np.arange(12) // 4)
    assert "not compared with naive on held-out labels: gold labels are on 3 prompts" in few


def log(n=1200, seed=0, *, golds=200, d=6, o=None, label=None):
    """Ratings whose selection follows the label, and gold labels on some rows."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g)
    r = (x[:, 0] + 0.5 * torch.randn(n, generator=g) > 0).float()
    seen = (torch.rand(n, generator=g) < torch.where(r > 0, 0.4, 0.1)).float() if o is None else o
    known = torch.where(torch.arange(n) < golds, r if label is None else label, torch.nan)
    return Feedback(x, r * seen, seen, gold=known, group=torch.arange(n)), r


@pytest.fixture(scope="module")
def anchored():
    return fit("anchored", log()[0], log(300, 1, golds=20)[0])


def test_scores_lie_in_their_interval_and_survive_a_save(anchored, tmp_path):
    model, (test, _) = anchored, log(100, 2)
    s = model.score_features(test.x)
    assert (s.low <= s.preferred + 1e-6).all()
    assert (s.preferred <= s.high + 1e-6).all()
    assert 0.3 < float((s.high - s.low).mean()) < 0.9
    model.save(tmp_path / "rm")
    again = load(tmp_path / "rm").score_features(test.x)
    assert torch.equal(s.low, again.low)
    assert torch.equal(s.preferred, again.preferred)


def test_the_report_has_the_labels_the_coefficients_and_naive_on_the_same_labels(anchored):
    about = anchored.report["nuisances"]["anchor"]
    assert about["gold"] == 220
    assert len(about["coefficients"]) == 5  # intercept, naive, up, down, three_outcome
    assert set(about["held_out_brier"]) == {"anchored", "naive"}


def test_the_prior_is_three_outcome_or_naive_without_reactions():
    centres = {
        (): (0.0, 0.0, 0.0, 1.0),
        ("ratings",): (1.0,),
        ("clicks", "channel.copy"): (1.0, 0.0),
        ("reactions",): (0.0,),
    }
    for signals, centre in centres.items():
        method = make("anchored", {"signals": signals} if signals else {})
        assert method.coefficient_prior.centre == centre, signals


def test_the_evidence_three_outcome_has_the_segment_of_the_method(anchored):
    """Both use the same out-of-fold probabilities."""
    (train, _), (val, _) = log(), log(300, 1, golds=20)
    method = fit("three_outcome", train, val, form="two_step")
    ends = [model.net.parameters("label_shift")["ends"] for model in (anchored, method)]
    assert torch.equal(*ends)


def test_more_gold_labels_narrow_the_interval():
    """Only by the part that gold labels decide: what evidence and features do not explain stays."""
    (val, _), (test, _) = log(300, 1, golds=20), log(100, 2)
    few, many = (fit("anchored", log(golds=n)[0], val).score_features(test.x) for n in (60, 1000))
    assert (many.high - many.low).mean() < 0.9 * (few.high - few.low).mean()


@pytest.mark.parametrize(
    ("golds", "label", "words"),
    [
        (4, None, "at least 5 gold labels, and found 4"),
        (9, None, "at least 10 gold labels, and found 9"),
        (50, torch.ones(1200), "all 50 gold labels say good"),
        (50, torch.zeros(1200), "all 50 gold labels say bad"),
    ],
)
def test_too_few_gold_labels_or_one_class_are_refused(golds, label, words):
    (train, _), (val, _) = log(golds=golds, label=label), log(300, 1, golds=0)
    with pytest.raises(TruewardError) as e:
        fit("anchored", train, val)
    assert words in str(e.value)
    assert "\n" not in str(e.value)


def test_signals_follow_the_columns_of_the_log():
    n = 40
    facts_of = {
        "rated in part": ({"o": torch.arange(n) % 2.0}, ("ratings", "reactions")),
        "rated in full": ({"o": torch.ones(n)}, ("ratings",)),
        "clicks": ({}, ("clicks",)),
        "clicks and a channel": (
            {"channels": Columns(copy=torch.ones(n))},
            ("clicks", "channel.copy"),
        ),
    }
    from trueward.data.capabilities import LogCapabilities

    for name, (columns, signals) in facts_of.items():
        b = Feedback(torch.zeros(n, 1), torch.arange(n) % 2.0, gold=torch.ones(n), **columns)
        assert make("anchored").resolve(LogCapabilities.from_feedback(b))[0].signals == signals, (
            name
        )


def test_evidence_is_the_log_odds_of_three_classes_and_of_three_outcome():
    chances = Columns(
        noisy=torch.tensor([0.8]), responds=torch.tensor([0.3]), three_outcome=torch.tensor([0.7])
    )
    b = Feedback(torch.zeros(1, 1), torch.zeros(1), eta=chances)
    naive, up, down, three = (float(v) for v in make("anchored").evidence(b))
    assert three == pytest.approx(np.log(0.7 / 0.3))
    assert naive == pytest.approx(np.log(0.8 / 0.2))
    assert up == pytest.approx(np.log(0.3 * 0.8 / 0.7))
    assert down == pytest.approx(np.log(0.3 * 0.2 / 0.7))


def by_grade(_x, u):
    return torch.sigmoid(2 * u - 1.5)


@pytest.mark.slow
class TestRecovery:
    """Worlds of 8,000 rows, one in four rated by a rule; 300 gold labels.

    Margins: over eight other draws the mean difference lay at least two standard deviations beyond each.
    """

    @staticmethod
    @cache
    def r2(name, select, *, golds=300, seed=0, **options):
        g = torch.Generator().manual_seed(100 + seed)
        parts = []
        for n, labels in ((8000, golds), (2000, golds // 8), (4000, 0)):
            x = torch.randn(n, 24, generator=g)
            u = (
                x[:, 0]
                + 0.7 * x[:, 1] * x[:, 2]
                + 0.5 * x[:, 3]
                + 0.5 * torch.randn(n, generator=g)
            )
            r = (u > 0).float()
            o = (torch.rand(n, generator=g) < select(x, u)).float()
            known = torch.where(torch.arange(n) < labels, r, torch.nan)
            parts.append((Feedback(x, r * o, o, gold=known, group=torch.arange(n)), r))
        (train, _), (val, _), (test, r) = parts
        model = fit(name, train, val, **options)
        s = model.score_features(test.x).reward
        if name == "naive":
            from trueward.estimation.nuisances import platt

            rows = torch.arange(golds)
            slope, offset = platt(model.score_features(train.x[rows]).reward, train.gold[rows])
            s = slope * s + offset
        return float(1 - (torch.sigmoid(s) - r).square().mean() / r.var())

    def test_where_the_grade_decides_who_reacts_it_beats_naive_on_the_same_labels(self):
        """Among the good the best react most: no constant rate, no propensity in x describes it."""
        assert self.r2("anchored", by_grade) - self.r2("naive", by_grade) > 0.02

    def test_where_reactions_say_nothing_it_is_no_worse_than_naive_on_the_same_labels(self):
        select = lambda x, _u: torch.sigmoid(2 * x[:, 5] - 1)  # noqa: E731
        assert self.r2("anchored", select) - self.r2("naive", select) > -0.015

    def test_it_is_never_below_the_gold_labels_alone(self):
        for select in (by_grade, lambda x, _u: 0.25 + 0 * x[:, 0]):
            alone = self.r2("anchored", select, signals="none")
            assert self.r2("anchored", select) > alone + 0.05
