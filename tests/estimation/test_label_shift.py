"""Three outcomes on a segment: found, cut, tested and left, all against exact numbers."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from trueward.core.errors import UsageError
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.label_shift import Line, label_shift
from trueward.estimation.mixture_segment import Segment
from trueward.estimation.requirements import lacking
from trueward.estimators._registry import make
from trueward.fitting.fit import fit

M_1, M_0, RHO_01, RHO_10 = 0.5, 0.2, 0.1, 0.2
GOOD = np.array([(1 - RHO_01) * M_1, RHO_01 * M_1])
BAD = np.array([RHO_10 * M_0, (1 - RHO_10) * M_0])


def test_a_point_of_the_segment_is_placed_at_its_own_log_odds():
    gamma = np.array([0.03, 0.2, 0.5, 0.9, 0.97])
    up, down = (gamma[:, None] * GOOD + (1 - gamma[:, None]) * BAD).T
    place = Segment(BAD, GOOD).place(up, down)
    assert place[:4] == pytest.approx(logit(gamma[:4]), abs=0.01)
    best = [
        minimize_scalar(
            lambda s, p=p, q=q: -_likelihood(s, p, q), bounds=(-12, 12), options={"xatol": 1e-9}
        ).x
        for p, q in zip(up, down, strict=True)
    ]  # at .97 the 1e-5 of an answer that is known to be either takes .014 from the log-odds
    assert place == pytest.approx(best, abs=1e-4)


def _likelihood(s, up, down):
    g = expit(s)
    p = g * GOOD + (1 - g) * BAD
    chances, seen = np.append(p, 1 - p.sum()), np.array([up, down, 1 - up - down])
    return float(seen @ np.log(chances) + 1e-5 * np.log(g * (1 - g)))


def test_points_beyond_the_ends_keep_their_order():
    """Twice as far beyond an end is as good as certain, and still the better of the two."""
    beyond = GOOD + np.array([[0.0], [0.1], [0.2]]) * (GOOD - BAD)
    place = Segment(BAD, GOOD).place(*beyond.T)
    assert (np.diff(place) > 0).all()
    before = BAD - np.array([[0.0], [0.1], [0.2]]) * (GOOD - BAD)
    assert (np.diff(Segment(BAD, GOOD).place(*before.T)) < 0).all()


def rows(gamma, up, down, each=2000):
    """Outcomes in exact proportion, with the chances they came from."""
    outcome, predicted = [], []
    for p, q in zip(up, down, strict=True):
        a, b = round(each * p), round(each * q)
        outcome += [(1, 0)] * a + [(0, 1)] * b + [(0, 0)] * (each - a - b)
        predicted += [(p, q)] * each
    return np.array(outcome, float), np.array(predicted), np.repeat(gamma, each)


GAMMA = np.array([0.0, 0.2, 0.4, 0.7, 1.0])


def test_selection_by_the_label_gives_the_line_and_the_rates_cut_it():
    up, down = (GAMMA[:, None] * GOOD + (1 - GAMMA[:, None]) * BAD).T
    outcome, predicted, _ = rows(GAMMA, up, down)
    line = Line.of(outcome, predicted, np.ones(len(outcome)))
    assert line.second < 1e-6
    assert line.first > 100
    segment, by = line.segment(RHO_01, RHO_10, predicted)
    assert segment.good == pytest.approx(GOOD, abs=1e-6)
    assert segment.bad == pytest.approx(BAD, abs=1e-6)
    assert by == "rates"


def test_noise_in_the_predictions_does_not_bias_the_line():
    """Least squares of 1 on predicted (u, v) would: it attenuates. Canonical directions do not."""
    up, down = (GAMMA[:, None] * GOOD + (1 - GAMMA[:, None]) * BAD).T
    outcome, predicted, _ = rows(GAMMA, up, down, each=20_000)
    noise = np.random.default_rng(0).normal(0, 0.05, predicted.shape)
    line = Line.of(outcome, predicted + noise, np.ones(len(outcome)))
    segment, _ = line.segment(RHO_01, RHO_10, predicted)
    assert segment.good.sum() == pytest.approx(M_1, abs=0.03)
    assert segment.bad.sum() == pytest.approx(M_0, abs=0.02)


def test_selection_by_the_features_is_rejected_by_the_rank_test():
    seen = np.array([0.1, 0.5, 0.2, 0.6, 0.3])
    outcome, predicted, _ = rows(GAMMA, seen * GAMMA, seen * (1 - GAMMA))
    assert Line.of(outcome, predicted, np.ones(len(outcome))).second > 100


def test_rates_that_do_not_fit_take_the_top_of_the_log_as_good():
    """Flips that are not given: the good end has thumbs down, and no line leads to none."""
    steep = np.array([0.9, 0.1])
    up, down = (GAMMA[:, None] * 0.4 * steep + (1 - GAMMA[:, None]) * np.array([0.002, 0.002])).T
    outcome, predicted, _ = rows(GAMMA, up, down, each=10_000)
    line = Line.of(outcome, predicted, np.ones(len(outcome)))
    segment, by = line.segment(0.0, 0.0, predicted)
    assert by == "the top of the log"
    assert segment.good == pytest.approx(0.4 * steep, abs=0.005)


def feedback(outcome, predicted):
    seen, y = outcome.sum(1), outcome[:, 0]
    p, q = predicted.sum(1), predicted[:, 0] / predicted.sum(1)
    o, y, p, q = (torch.from_numpy(v) for v in (seen, y, p, q))
    return Feedback(torch.zeros(len(o), 1), y, o, eta=Columns(noisy=q, responds=p))


def test_the_target_is_gamma_under_selection_by_the_label():
    up, down = (GAMMA[:, None] * GOOD + (1 - GAMMA[:, None]) * BAD).T
    outcome, predicted, gamma = rows(GAMMA, up, down)
    b = feedback(outcome, predicted)
    shift = label_shift(RHO_01, RHO_10)
    at, report = shift.fit(b, b, 0)
    assert shift.apply(at, b)["target"].numpy() == pytest.approx(gamma, abs=0.005)
    assert report["selection"] == "label"
    assert (report["m_1"], report["m_0"]) == pytest.approx((M_1, M_0), abs=1e-3)


def test_the_target_is_that_of_mar_if_the_segment_is_rejected_with_a_warning():
    seen = np.array([0.1, 0.5, 0.2, 0.6, 0.3])
    noisy = RHO_10 + (1 - RHO_01 - RHO_10) * GAMMA
    outcome, predicted, gamma = rows(GAMMA, seen * noisy, seen * (1 - noisy))
    b = feedback(outcome, predicted)
    shift = label_shift(RHO_01, RHO_10)
    at, report = shift.fit(b, b, 0)
    assert shift.apply(at, b)["target"].numpy() == pytest.approx(gamma, abs=3e-3)
    assert report["selection"] == "at random given x"
    assert "more than how good the answer is" in report["warning"]


def test_a_log_where_every_row_is_rated_is_refused():
    b = Feedback(torch.zeros(40, 1), torch.arange(40) % 2.0, torch.ones(40), group=torch.arange(40))
    assert "nobody rated" in lacking(make("three_outcome"), LogCapabilities.from_feedback(b))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rho_01": 0.6, "rho_10": 0.5}, "below 1"),
        ({"selection": "reward"}, "needs form=joint"),
        ({"rho_01": None}, "a number"),
    ],
)
def test_contradictory_options_are_refused(given, words):
    with pytest.raises(UsageError, match=words):
        make("three_outcome", given)


@pytest.mark.slow
class TestRecovery:
    """Margins: over eight other draws the mean difference in AUROC lay two standard deviations beyond."""

    def auroc(self, name, select, **options):
        from sklearn.metrics import roc_auc_score

        g = torch.Generator().manual_seed(7)
        parts = []
        for n in (8000, 2000, 4000):
            x = torch.randn(n, 24, generator=g)
            r = (x[:, 0] + 0.7 * x[:, 1] * x[:, 2] + 0.5 * torch.randn(n, generator=g) > 0).float()
            o = (torch.rand(n, generator=g) < select(x, r)).float()
            flip = (torch.rand(n, generator=g) < torch.where(r > 0, 0.1, 0.2)).float()
            parts.append((Feedback(x, (r - flip).abs() * o, o, group=torch.arange(n)), r))
        (train, _), (val, _), (test, r) = parts
        return roc_auc_score(r, fit(name, train, val, **options).score_features(test.x).reward)

    @pytest.mark.parametrize("form", ["two_step", "joint"])
    def test_where_the_label_decides_who_reacts_it_ranks_better_than_naive(self, form):
        by_label = lambda _x, r: torch.where(r > 0, 0.4, 0.05)  # noqa: E731
        assert (
            self.auroc("three_outcome", by_label, form=form) - self.auroc("naive", by_label) > 0.03
        )

    def test_where_the_features_decide_the_joint_likelihood_fails_and_two_steps_do_not(self):
        by_feature = lambda x, _r: torch.sigmoid(3 * x[:, 5] - 1.5)  # noqa: E731
        naive = self.auroc("naive", by_feature)
        assert self.auroc("three_outcome", by_feature, form="joint") < naive - 0.03
        assert self.auroc("three_outcome", by_feature) > naive - 0.02
