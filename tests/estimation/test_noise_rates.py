"""Noise rates: from gold labels on rated rows, from the levels of P(thumb up), and what is said of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import betaincinv, expit

from trueward.core.errors import TruewardError, UsageError
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.lapse_rates import LapseRates
from trueward.estimation.noise_rates import flip_rates, given_rates
from trueward.estimators._registry import make
from trueward.fitting.fit import fit


def wrong_ratings(gold_good=(40, 4), gold_bad=(50, 10), silent=30):
    """Rated rows with gold labels, (number, wrong ones) of either class, then gold rows nobody rated."""
    gold = [1.0] * gold_good[0] + [0.0] * gold_bad[0] + [1.0] * silent
    up = [0.0] * gold_good[1] + [1.0] * (gold_good[0] - gold_good[1])
    up += [1.0] * gold_bad[1] + [0.0] * (gold_bad[0] - gold_bad[1]) + [0.0] * silent
    n = len(gold)
    o = torch.ones(n)
    o[n - silent :] = 0
    eta = Columns(noisy=torch.linspace(0.2, 0.8, n))
    return Feedback(torch.zeros(n, 1), torch.tensor(up), o, gold=torch.tensor(gold), eta=eta)


def curve(rho_01, rho_10, *, slope=4.0, n=6000, seed=0, sharper=2.0):
    """Ratings with P(up) = rho_10 + (1 - rho_01 - rho_10) sigmoid(slope v), a proxy with sharper tails."""
    rng = np.random.default_rng(seed)
    v = rng.standard_normal(n)
    up = rng.random(n) < rho_10 + (1 - rho_01 - rho_10) * expit(slope * v)
    eta = Columns(noisy=torch.from_numpy(expit(sharper * v)).float())
    return Feedback(torch.zeros(n, 1), torch.from_numpy(up).float(), torch.ones(n), eta=eta)


def test_gold_labels_on_rated_rows_give_the_rates():
    """Jeffreys: 4 of 40 good ones rated bad, 10 of 50 bad ones rated good.

    The variance within 40 rows has 39 degrees of freedom, so these are Beta(3.9 + .5, 35.1 + .5) and
    Beta(9.8 + .5, 39.2 + .5).
    """
    values, report = flip_rates(source="gold").compute(wrong_ratings(), 0)
    assert values == pytest.approx({"rho_01": 4.4 / 40, "rho_10": 10.3 / 50}, abs=1e-6)
    assert report["rho_01"]["source"] == "gold"
    low, high = (betaincinv(4.4, 35.6, u) for u in (0.025, 0.975))
    assert report["rho_01"]["low"] == pytest.approx(low)
    assert report["rho_01"]["high"] == pytest.approx(high)
    assert report["gold_on_rated"] == {"rho_01": 40, "rho_10": 50}


def test_unrated_gold_rows_do_not_count():
    few, many = (flip_rates(source="gold").compute(wrong_ratings(silent=k), 0)[0] for k in (0, 90))
    assert few == many


def test_gold_labels_count_one_over_their_chance():
    """The wrong ones of the good stand for 9 rows each, the others for 1: 9 x 4 of 9 x 4 + 36, one half."""
    b = wrong_ratings()
    weight = torch.ones(len(b))
    weight[:4] = 9
    values, report = flip_rates(source="gold").compute(replace(b, gold_weight=weight), 0)
    assert values["rho_01"] == pytest.approx(0.5, abs=1e-6)
    assert report["rho_01"]["high"] - report["rho_01"]["low"] > 0.3, "few rows carry it"


def test_auto_takes_gold_where_there_are_20_of_either_class():
    source = {k: v["source"] for k, v in sources(flip_rates(), wrong_ratings()).items()}
    assert source == {"rho_01": "gold", "rho_10": "gold"}
    few = sources(flip_rates(), wrong_ratings(gold_good=(19, 2)))
    assert {v["source"] for v in few.values()} == {"levels"}
    published = sources(flip_rates(0.97), wrong_ratings())
    assert {v["source"] for v in published.values()} == {"extremes"}


def sources(nuisance, b):
    report = nuisance.compute(b, 0)[1]
    return {k: report[k] for k in ("rho_01", "rho_10")}


def test_too_few_gold_labels_on_rated_rows_are_refused_with_their_number():
    with pytest.raises(TruewardError, match="found 3 good and 50 bad"):
        flip_rates(source="gold").compute(wrong_ratings(gold_good=(3, 0)), 0)


@pytest.mark.parametrize("rates", [(0.1, 0.2), (0.0, 0.0), (0.25, 0.05)])
def test_the_levels_at_both_ends_are_the_rates(rates):
    """6,000 ratings with both levels in the log; the standard error of a level is about .01."""
    values, report = flip_rates().compute(curve(*rates), 0)
    assert (values["rho_01"], values["rho_10"]) == pytest.approx(rates, abs=0.035)
    assert report["rho_01"]["low"] <= rates[0] <= report["rho_01"]["high"]
    assert report["rho_10"]["low"] <= rates[1] <= report["rho_10"]["high"]


def test_a_proxy_that_predicts_little_shows_no_rate_and_its_extremes_are_none():
    """P(up) from .3 to .7: the published rates are near .3, and nothing shows whether there are any."""
    b = curve(0.0, 0.0, slope=0.4, sharper=0.4)
    published, _ = flip_rates(0.99).compute(b, 0)
    values, report = flip_rates().compute(b, 0)
    assert min(published.values()) > 0.25
    assert max(values.values()) < min(published.values()) / 2
    assert report["rho_10"]["high"] > 0.2
    assert (
        "the ratings do not show rho_10: it is taken as 0 and may be from 0.00 to"
        in report["warning"]
    )


def test_a_rate_of_0_that_the_ratings_confirm_is_no_warning():
    assert "warning" not in flip_rates().compute(curve(0.0, 0.0, slope=8, sharper=8), 0)[1]


def test_ratings_that_repeat_within_a_prompt_count_less():
    b = curve(0.1, 0.2, n=500)
    rows = torch.arange(500).repeat_interleave(8)
    eight = replace(b[rows], group=rows)
    alone, together = (sources(flip_rates(), d)["rho_10"] for d in (b, eight))
    assert together["high"] - together["low"] > 0.7 * (alone["high"] - alone["low"])


def test_folds_with_another_mean_do_not_move_the_levels():
    b = curve(0.1, 0.2)
    fold = torch.arange(len(b)) % 2
    shifted = torch.sigmoid(torch.logit(b.eta.noisy) + 2.0 * fold)
    moved = replace(b, eta=Columns(noisy=shifted, fold=fold))
    assert flip_rates().compute(moved, 0)[0] == pytest.approx(
        flip_rates().compute(b, 0)[0], abs=0.015
    )


def test_the_posterior_holds_a_given_rate():
    """Given rho_01 = .3 of a curve that levels off at .7: the other rate is still found."""
    b = curve(0.3, 0.1)
    z, up = torch.logit(b.eta.noisy).numpy(), b.y.numpy()
    levels = LapseRates.fit(z, up, np.arange(len(z)), rho_01=0.3)
    assert levels.share.shape[0] == 1
    assert levels.estimate[1] == pytest.approx(0.1, abs=0.03)


def test_a_given_rate_that_gold_labels_contradict_is_kept_and_warned_of():
    values, report = flip_rates(rho_01=0.4).compute(wrong_ratings(), 0)
    assert values["rho_01"] == 0.4
    assert report["rho_01"]["source"] == "given"
    assert "the given rate rho_01 (0.40) disagrees with 40 gold labels" in report["warning"]
    _values, both = given_rates(0.4, 0.2).compute(wrong_ratings(), 0)
    assert "rho_01 (0.40) disagrees" in both["warning"]
    assert "warning" not in given_rates(0.1, 0.2).compute(wrong_ratings(), 0)[1]


def test_the_report_says_that_rates_were_given():
    b = curve(0.1, 0.2, n=200)
    o = (torch.arange(200) % 2).float()
    x = torch.logit(b.eta.noisy)[:, None]
    b = replace(b, x=x, y=b.y * o, o=o, eta=Columns(), group=torch.arange(200))
    train, val = b.split(0.3)
    report = fit("causalrm", train, val, rho_01=0.1, rho_10=0.2, epochs=1).report
    about = report["nuisances"]["given_rates"]
    assert (about["source"], about["rho_01"], about["rho_10"]) == ("given", 0.1, 0.2)
    batch = fit("causalrm", train, val, preset="paper", epochs=1).report
    assert any("in every batch" in w for w in batch["warnings"])


def test_a_quantile_that_the_source_would_ignore_is_refused():
    with pytest.raises(UsageError, match="rates=gold would ignore quantile"):
        make("causalrm", {"rates": "gold", "quantile": 0.97})
