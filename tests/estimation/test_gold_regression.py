"""Regression on gold labels: prior, bootstrap, interval, report, refusals."""

import numpy as np
import pytest
import torch
from helpers.regressions import gold_rows

from trueward.core.errors import TruewardError
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.gold_regression import (
    DRAWS,
    GoldRegression,
    bootstrap_counts,
    predicted,
)
from trueward.estimation.ridge_logistic import CoefficientPrior, RegressionData
from trueward.estimators._registry import make
from trueward.fitting.fit import fit
from trueward.model.reward_model import load


@pytest.mark.parametrize(("of_features", "least", "most"), [(0.0, 0.0, 0.3), (2.0, 0.7, 2.0)])
def test_the_weight_of_the_features_follows_the_labels(of_features, least, most):
    sample, _ = gold_rows(1000, of_features=of_features)
    _, share = GoldRegression.fit(sample, CoefficientPrior(1.0, (1.0, 0.0), (0.0, 0.0)), 0)
    assert least <= sum(s * q for s, q in share.items()) <= most
    assert sum(share.values()) == pytest.approx(1)


@pytest.mark.parametrize(("scale", "usual"), [(0.1, 0.5), (3.0, 3.0)])
def test_the_prior_scale_of_the_features_is_that_of_the_evidence(scale, usual):
    """Rows that weigh nothing leave the prior: half-normal, of sd .5 or that of the log's own log-odds."""
    sample, _ = gold_rows()
    said = sample.design[:, 1] / sample.design[:, 1].std() * scale
    a = np.column_stack([sample.design[:, 0], said, sample.design[:, 2:]])
    nothing = RegressionData(a, sample.labels, np.zeros(400), sample.group)
    _, share = GoldRegression.fit(nothing, CoefficientPrior(1.0, (1.0, 0.0), (0.0, 0.0)), 0)
    assert share[1.0] / share[0.6] == pytest.approx(np.exp(-0.32 / usual**2), rel=0.02)


def test_the_draws_are_near_refits_on_resampled_prompts():
    """One Newton step for each of 200 bootstrap samples spreads as refitting on every one does."""
    sample, _ = gold_rows(300)
    prior = CoefficientPrior(1.0, (1.0, 0.0), (0.0, 0.0))
    times = bootstrap_counts(sample.group, 0)
    assert times.shape == (DRAWS, 300)
    assert (times.sum(1) == 300).all()
    refits = [
        RegressionData(sample.design, sample.labels, t, sample.group).map_estimate(prior, 0.0).w
        for t in times
    ]
    anchor, _ = GoldRegression.fit(sample, prior, 0)
    assert np.sqrt(np.diag(anchor.covariance))[:3] == pytest.approx(np.std(refits, 0)[:3], rel=0.2)


def test_prompts_are_resampled_whole():
    times = bootstrap_counts(np.repeat(np.arange(20), 3), 0)
    assert (times.reshape(DRAWS, 20, 3).std(2) == 0).all()


@pytest.mark.slow
def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """95 % nominal over 60 gold samples of 300 at 50 points; shrinkage costs a little coverage."""
    prior = CoefficientPrior(1.0, (1.0, 0.0), (0.0, 0.0))
    covered = []
    for seed in range(60):
        sample, _ = gold_rows(300, seed)
        fresh, truth = gold_rows(50, 1000 + seed)
        anchor, _ = GoldRegression.fit(sample, prior, seed)
        at = (torch.from_numpy(v) for v in (fresh.design, anchor.w, anchor.covariance))
        _, low, high = (v.numpy() for v in predicted(*at).values())
        covered.append(((low <= truth) & (truth <= high)).mean())
    assert 0.88 < np.mean(covered) < 0.99


def log(n=1200, seed=0, *, golds=200, d=6, o=None, label=None):
    """Ratings whose selection follows the label, and gold labels on some rows."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g)
    r = (x[:, 0] + 0.5 * torch.randn(n, generator=g) > 0).float()
    seen = (torch.rand(n, generator=g) < torch.where(r > 0, 0.4, 0.1)).float() if o is None else o
    known = torch.where(torch.arange(n) < golds, r if label is None else label, torch.nan)
    return Feedback(x, r * seen, seen, gold=known, group=torch.arange(n)), r


def test_scores_lie_in_their_interval_and_survive_a_save(tmp_path):
    (train, _), (val, _), (test, _) = log(), log(300, 1, golds=20), log(100, 2)
    model = fit("anchored", train, val)
    s = model.score_features(test.x)
    assert (s.low <= s.preferred + 1e-6).all()
    assert (s.preferred <= s.high + 1e-6).all()
    assert 0.01 < float((s.high - s.low).mean()) < 0.5
    model.save(tmp_path / "rm")
    again = load(tmp_path / "rm").score_features(test.x)
    assert torch.equal(s.low, again.low)
    assert torch.equal(s.preferred, again.preferred)


def test_the_report_has_the_labels_the_coefficients_and_naive_on_the_same_labels():
    (train, _), (val, _) = log(), log(300, 1, golds=20)
    about = fit("anchored", train, val).report["nuisances"]["anchor"]
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


def test_the_evidence_three_outcome_has_the_segment_of_the_method():
    """Both use the same out-of-fold probabilities."""
    (train, _), (val, _) = log(), log(300, 1, golds=20)
    ends = [
        fit(k, train, val).net.parameters("label_shift")["ends"]
        for k in ("anchored", "three_outcome")
    ]
    assert torch.equal(*ends)


def test_more_gold_labels_narrow_the_interval():
    (val, _), (test, _) = log(300, 1, golds=20), log(100, 2)
    few, many = (fit("anchored", log(golds=n)[0], val).score_features(test.x) for n in (60, 1000))
    assert (many.high - many.low).mean() < 0.7 * (few.high - few.low).mean()


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


@pytest.mark.slow
class TestRecovery:
    """Worlds of 8,000 rows, one in four rated by a rule; 300 gold labels.

    Margins: over eight other draws the mean difference lay at least two standard deviations beyond each.
    """

    def r2(self, name, select, *, golds=300, seed=0, **options):
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
        select = lambda _x, u: torch.sigmoid(2 * u - 1.5)  # noqa: E731
        assert self.r2("anchored", select) - self.r2("naive", select) > 0.02

    def test_where_reactions_say_nothing_it_is_no_worse_than_naive_on_the_same_labels(self):
        select = lambda x, _u: torch.sigmoid(2 * x[:, 5] - 1)  # noqa: E731
        assert self.r2("anchored", select) - self.r2("naive", select) > -0.015

    def test_it_is_never_below_the_gold_labels_alone(self):
        for select in (lambda _x, u: torch.sigmoid(2 * u - 1.5), lambda x, _u: 0.25 + 0 * x[:, 0]):
            alone = self.r2("anchored", select, signals="none")
            assert self.r2("anchored", select) > alone + 0.05
