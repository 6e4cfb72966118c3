"""Sensitivity: the tilt by hand, a band that holds the truth, what turns a decision over."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from trueward.core.errors import TruewardError
from trueward.data.feedback import Feedback
from trueward.evaluation.noise_corners import noise_corners
from trueward.evaluation.sensitivity import WIDEST, sensitivity, tilted
from trueward.fitting.fit import fit


def log(n=1500, seed=0, *, ratio=3.0, golds=0):
    """Ratings without noise; the good react with odds ``ratio`` times those of the bad. Answers in fours."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=g)
    r = (torch.rand(n, generator=g) < torch.sigmoid(1.5 * x[:, 0])).float()
    o = (torch.rand(n, generator=g) < torch.sigmoid(-1.5 + math.log(ratio) * r)).float()
    gold = torch.where(torch.randperm(n, generator=g) < golds, r, torch.nan)
    group = torch.arange(n) // 4
    return Feedback(x, r * o, o, gold=gold if golds else None, group=group), r


@pytest.fixture(scope="module")
def model():
    return fit("naive", *log()[0].split(0.2))


@pytest.fixture(scope="module")
def of_the_model(model):
    return sensitivity(model, log()[0])


def test_the_tilt_by_hand():
    """f = .6, p = .25, odds ratio 3: unrated odds 1.5 / 3 = .5, so P = .25 * .6 + .75 / 3 = .4."""
    assert tilted(np.array([0.6]), np.array([0.25]), math.log(3))[0] == pytest.approx(0.4)


def test_without_a_departure_the_conclusions_are_the_models(model, of_the_model):
    b, found = log()[0], of_the_model
    middle = found.odds[len(found.odds) // 2]
    assert middle.at == pytest.approx(1.0)
    assert middle.mean == pytest.approx(float(model.score_features(b.x).preferred.mean()), abs=1e-4)
    assert (middle.rank, middle.kept) == (pytest.approx(1.0), 1.0)


def test_the_more_the_good_react_the_fewer_of_the_others_are_good(of_the_model):
    means = [m.mean for m in of_the_model.odds]
    assert means == sorted(means, reverse=True)
    low, high = of_the_model.worst
    assert low < means[-1] < means[0] < high


@pytest.mark.parametrize("ratio", [0.25, 1.0, 4.0])
def test_the_band_holds_the_truth_and_gold_labels_find_the_ratio(ratio):
    """Without noise P(good given rated) is what naive learns, and the true odds ratio lies in the range."""
    b, r = log(4000, ratio=ratio, golds=600)
    found = sensitivity(fit("naive", *b.split(0.2)), b)
    low, high = found.band
    assert low < float(r.mean()) < high
    value, least, most = found.gold
    assert least < ratio < most
    assert least < value < most
    at = np.interp(
        math.log(ratio), [math.log(m.at) for m in found.odds], [m.mean for m in found.odds]
    )
    assert at == pytest.approx(float(r.mean()), abs=0.03)  # 4,000 labels: a standard error of .008


def test_no_odds_ratio_turns_over_what_all_react_to_alike(model):
    """With one p for all rows the tilt is monotone in f: no pair of answers changes places."""
    g = torch.Generator().manual_seed(1)
    b = Feedback(
        torch.randn(800, 4, generator=g),
        torch.zeros(800),
        torch.zeros(800),
        group=torch.arange(800) // 4,
    )
    b = Feedback(b.x, b.y, (torch.arange(800) % 5 == 0).float(), group=b.group)
    b = Feedback(b.x, b.o * (torch.arange(800) % 2), b.o, group=b.group)
    kept = [m.kept for m in sensitivity(model, b).odds]
    assert min(kept) > 0.97  # p is estimated, and nearly one number


def test_the_smallest_departure_is_where_the_share_is_reached(of_the_model):
    found = of_the_model
    ratio = found.flips["1%"]
    assert ratio is None or 1 < ratio <= WIDEST
    if ratio is not None:
        beyond = [m.kept for m in found.odds if max(m.at, 1 / m.at) > ratio + 0.2]
        assert min(beyond) <= 0.99


def test_noise_rates_move_the_scale(model, of_the_model):
    means = [mean for _, _, mean in of_the_model.noise]
    assert means[0] == pytest.approx(
        float(model.score_features(log()[0].x).preferred.mean()), abs=1e-4
    )
    assert max(means) > means[0] > min(means)


def test_clicks_say_what_a_prior_makes_of_the_scale():
    """P(satisfied) lies anywhere from the share of clicks to 1; the order stays."""
    b, r = log()
    clicks = Feedback(b.x, r * b.o, group=b.group)
    model = fit("naive", *clicks.split(0.2))
    found = sensitivity(model, clicks)
    assert found.odds == ()
    share = float(clicks.y.mean())
    assert found.priors[0].at == pytest.approx(share, abs=0.02)
    assert [m.at for m in found.priors] == sorted(m.at for m in found.priors)
    assert "same ranking" in str(found)


def test_a_model_that_knows_only_an_interval_is_refused():
    b, _ = log()
    clicks = Feedback(b.x, b.y, group=b.group)
    options = {"identify": "none", "allow_unidentified": True}
    with pytest.raises(TruewardError, match="only an interval"):
        sensitivity(fit("implicitrm", *clicks.split(0.2), **options), clicks)


@pytest.mark.battery
def test_the_band_holds_the_truth_in_ten_worlds():
    """Odds ratios drawn evenly, in logs, from the range: the true mean lies in every band."""
    rng = np.random.default_rng(0)
    held = []
    for seed in range(10):
        b, r = log(12_000, seed, ratio=float(np.exp(rng.uniform(-1, 1) * math.log(WIDEST))))
        low, high = sensitivity(fit("naive", *b.split(0.2)), b).band
        held.append(low <= float(r.mean()) <= high)
    assert all(
        held
    )  # on a third of the responses naive itself is off by .06, and some bands with it


def test_gold_labels_that_give_no_odds_ratio_are_said(model):
    b, r = log()
    assert sensitivity(model, b).warnings == ()
    rated = torch.where(b.o > 0, r, torch.nan)
    assert "0 gold labels are on unrated responses" in str(
        sensitivity(model, replace(b, gold=rated))
    )
    bad = torch.full((len(b),), torch.nan)
    bad[(b.o == 0).nonzero()[:40, 0]] = 0
    assert "40 gold labels are on unrated responses, and are all of one class" in str(
        sensitivity(model, replace(b, gold=bad))
    )


def test_an_odds_ratio_outside_the_range_of_the_table_is_said():
    b, _ = log(3000, ratio=20.0, golds=600)
    (warning,) = (w for w in sensitivity(fit("naive", *b.split(0.2)), b).warnings if "odds" in w)
    assert "leaves the range of the table, 0.2 to 5" in warning


def fixed(rates=None, **given):
    """A model whose report has these rates."""
    nuisances = {} if rates is None else {"flip_rates": rates}
    return SimpleNamespace(report={"nuisances": nuisances}, estimator=SimpleNamespace(**given))


def test_rates_that_the_log_does_not_exclude_and_that_are_left_out_are_said():
    """Ends 0 and .5 of each rate: the pair .5, .5 leaves nothing to correct."""
    ends = {"value": 0.1, "low": 0.0, "high": 0.5}
    f, q = np.full(10, 0.5), torch.full((10,), 0.5)
    corners, warnings = noise_corners(f, fixed({"rho_01": ends, "rho_10": ends}), q, None)
    assert len(corners) == 3
    assert "1 of 4 pairs of noise rates are left out" in warnings[0]


def test_probabilities_held_at_0_and_1_by_other_rates_are_said():
    """Rates 0 of a model, .3 at most: P(up) = .1 in half of the rows gives P below 0 there."""
    f = np.array([0.1, 0.9] * 5)
    some = {"value": 0.0, "low": 0.0, "high": 0.3}
    _, warnings = noise_corners(f, fixed({"rho_01": some, "rho_10": some}), torch.rand(10), None)
    assert "held at 0 or 1 for up to 100% of the responses" in warnings[0]


def test_given_rates_are_those_of_the_model():
    """f = .5 under rho_01 = .2, rho_10 = .1: P(up) = .45. Without noise that is P."""
    q = torch.linspace(0.2, 0.7, 101)
    corners, _ = noise_corners(np.full(9, 0.5), fixed(rho_01=0.2, rho_10=0.1), q, None)
    assert corners[0] == pytest.approx((0, 0, 0.45))
