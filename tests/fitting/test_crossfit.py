"""Nuisances: out of fold by prompt, calibrated on the rows that carry the target, clipped and counted."""

from dataclasses import replace

import pytest
import torch

from trueward.core.errors import TruewardError
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.noise_rates import flip_rates
from trueward.estimation.nuisances import Clip, activity_rate, noisy, platt
from trueward.estimators._registry import make
from trueward.fitting.crossfit import CrossFitData, fit_nuisance
from trueward.fitting.fit import fit
from trueward.fitting.out_of_fold import estimate_nuisances
from trueward.training.config import Train
from trueward.training.preprocessing import InputTransform, principal_directions, project


def memorable(n=300, seed=0):
    """Every prompt has four equal rows; which prompts are rated good is pure chance."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n // 4, 64, generator=g)
    y = (torch.rand(n // 4, generator=g) < 0.5).float()
    o = (torch.rand(n, generator=g) < 0.8).float()
    group = torch.arange(n // 4).repeat_interleave(4)
    return Feedback(x[group], y[group] * o, o, group=group)


def run(method, b, val, **given):
    cfg = Train(precision="fp32", **given)
    return estimate_nuisances(
        method, CrossFitData(b, val, InputTransform.fit(b, torch.float32), cfg)
    )


def test_an_imputation_never_remembers_its_own_prompt():
    b = memorable()
    many = {"epochs": 40, "patience": 40, "lr": 0.003, "batch_size": 64}
    m = run(make("dr"), b, b, **many).train.imputation  # val = train: stopping cannot save it
    seen = b.o > 0
    # 75 prompts of pure chance: a correlation of .3 would be 2.6 standard errors
    assert float(torch.corrcoef(torch.stack([m[seen], b.y[seen]]))[0, 1]) < 0.3


def test_probabilities_are_calibrated_on_the_rows_that_carry_the_target():
    g = torch.Generator().manual_seed(1)
    x = torch.randn(3000, 4, generator=g)
    o = (torch.rand(3000, generator=g) < 0.3).float()
    y = (torch.rand(3000, generator=g) < torch.sigmoid(x[:, 0] + 1)).float() * o
    b = Feedback(x, y, o, group=torch.arange(3000))
    eta = run(make("dr"), b, b, epochs=2).train
    assert float(eta.imputation[o > 0].mean()) == pytest.approx(float(y[o > 0].mean()), abs=0.01)
    assert float(eta.propensity.mean()) == pytest.approx(float(o.mean()), abs=0.01)


def test_a_propensity_sees_the_context_and_an_imputation_does_not():
    g = torch.Generator().manual_seed(2)
    x, z = torch.randn(2000, 4, generator=g), torch.randn(2000, 1, generator=g)
    o = (torch.rand(2000, generator=g) < torch.sigmoid(2 * z[:, 0])).float()
    y = (torch.rand(2000, generator=g) < torch.sigmoid(2 * z[:, 0])).float() * o
    b = Feedback(x, y, o, z=z, group=torch.arange(2000))
    eta = run(make("dr"), b, b, epochs=10).train
    assert (
        float(torch.corrcoef(torch.stack([eta.propensity, torch.sigmoid(2 * z[:, 0])]))[0, 1]) > 0.9
    )
    assert abs(float(torch.corrcoef(torch.stack([eta.imputation, z[:, 0]]))[0, 1])) < 0.2


def test_a_logged_propensity_is_raised_to_the_clip_on_both_sides():
    b = replace(memorable(), eta=Columns(propensity=torch.full((300,), 0.001)))
    ready = run(make("ips", {"clip": 0.2}), b, b, epochs=1)
    assert ready.train.propensity.unique().tolist() == pytest.approx([0.2])
    assert ready.val.propensity.unique().tolist() == pytest.approx([0.2])
    assert ready.report["propensity"]["clipped"] == 300


def test_logged_rates_are_used_and_not_estimated():
    b = memorable()
    known = Columns(rho_01=torch.full((300,), 0.1), rho_10=torch.full((300,), 0.05))
    ready = run(make("causalrm"), replace(b, eta=known), replace(b, eta=known), epochs=1)
    assert ready.report["flip_rates"] == {"logged": True}
    assert ready.train.rho_01.unique().tolist() == pytest.approx([0.1])


def test_a_clip_counts_and_gives_the_effective_sample_size():
    p, o = torch.tensor([0.05, 0.5, 0.25, 0.01]), torch.tensor([1.0, 1.0, 1.0, 0.0])
    about = Clip(0.1).report(p, o)  # weights 10, 2, 4: 16^2 / 120
    assert (about["clipped"], about["clipped_rated"]) == (2, 1)
    assert about["effective_sample_size"] == pytest.approx(256 / 120, abs=0.05)
    assert about["largest_weight"] == pytest.approx(10)


def test_weights_that_rest_on_few_rows_are_warned_of():
    p = torch.cat([torch.tensor([0.01]), torch.ones(99)])
    assert "effective sample" in Clip(0.01).report(p, torch.ones(100))["warning"]
    assert "warning" not in Clip(0.5).report(p, torch.ones(100))


def spread_proxy(low=0.2, high=0.9):
    return replace(memorable(), eta=Columns(noisy=torch.linspace(low, high, 300)))


def anchored(n=400, group=None):
    """eta rises by row; of the lowest 100 a fifth is rated good, of the highest 100 a tenth bad."""
    i = torch.arange(n)
    y = (i > n // 2).float()
    y[:100] = (i[:100] % 5 == 0).float()
    y[-100:] = (i[-100:] % 10 != 0).float()
    eta = Columns(noisy=0.01 + 0.98 * i / n)  # an overconfident proxy: its own ends are no rates
    return Feedback(torch.zeros(n, 1), y, torch.ones(n), group=group, eta=eta)


def test_flip_rates_are_read_from_the_right_tails():
    values, _report = flip_rates(0.99).compute(spread_proxy(), 0)
    assert values["rho_10"] == pytest.approx(0.207, abs=1e-3)  # 0.2 + .01 * .7
    assert values["rho_01"] == pytest.approx(0.107, abs=1e-3)  # 1 - (0.9 - .01 * .7)


def test_the_interval_of_a_rate_is_what_users_said_of_the_surest_answers():
    """Jeffreys' interval of 20 in 100: Beta(20.5, 80.5) has its ends at .130 and .286."""
    values, report = flip_rates(0.99).compute(anchored(), 0)
    assert report["rho_10"]["low"] == pytest.approx(0.130, abs=0.01)
    assert report["rho_10"]["high"] == pytest.approx(0.286, abs=0.01)
    assert values["rho_10"] < 0.03, "the published estimate is the proxy's own extreme"
    assert "rho_10 (0.02) disagrees with the ratings" in report["warning"]
    assert "-o rho_10=0.2" in report["warning"]
    wide = flip_rates(0.6).compute(anchored(), 0)[1]["rho_01"]  # of 160 a side
    assert wide["low"] < 10 / 160 < wide["high"]


def test_answers_to_one_prompt_that_all_say_the_same_count_once():
    copies = torch.arange(400)
    copies[:100] = torch.arange(400, 500) % 5  # the good ones share a prompt
    alone, together = (flip_rates(0.99).compute(anchored(group=g), 0)[1] for g in (None, copies))
    width = [r["rho_10"]["high"] - r["rho_10"]["low"] for r in (alone, together)]
    assert width[1] > 2 * width[0]


def test_intervals_of_the_rates_cover_where_anchors_exist():
    """500 worlds whose proxy saw none of the labels; asked 93 to 97, a standard error of chance is .01."""
    held = []
    for seed in range(500):
        g = torch.Generator().manual_seed(seed)
        v = torch.randn(1000, generator=g)
        flip = torch.rand(1000, generator=g) < torch.where(v > 0, 0.1, 0.2)
        y = ((v > 0) ^ flip).float()
        eta = torch.sigmoid(4 * v + 0.5 * torch.randn(1000, generator=g))
        b = Feedback(v[:, None], y, torch.ones(1000), eta=Columns(noisy=eta))
        report = flip_rates(0.99).compute(b, seed)[1]
        known = {"rho_01": 0.1, "rho_10": 0.2}
        held.append([report[k]["low"] <= r <= report[k]["high"] for k, r in known.items()])
    assert all(0.925 < rate < 0.975 for rate in torch.tensor(held).float().mean(0))


def test_the_surest_answers_are_the_surest_of_each_fold():
    """One fold's proxy is surer of everything: it still gives half of the rows a side, 50 of 100."""
    fold = torch.arange(400) % 2
    eta = torch.where(fold == 0, 0.1, 0.4) + 0.0001 * torch.arange(400)
    y = (
        (fold == 1) | (torch.arange(400) > 200)
    ).float()  # below, the sure fold is right and the other wrong
    b = Feedback(torch.zeros(400, 1), y, torch.ones(400), eta=Columns(noisy=eta, fold=fold))
    report = flip_rates(0.99).compute(b, 0)[1]["rho_10"]
    assert report["low"] < 0.5 < report["high"]
    assert (
        flip_rates(0.99).compute(replace(b, eta=Columns(noisy=eta)), 0)[1]["rho_10"]["high"] < 0.1
    )


def test_the_rates_of_a_batch_are_read_from_the_right_tails():
    rho_01, rho_10 = make("causalrm", {"preset": "paper"}).flips(spread_proxy())
    assert float(rho_01) == pytest.approx(0.1 + 0.03 * 0.7, abs=1e-3)
    assert float(rho_10) == pytest.approx(0.2 + 0.03 * 0.7, abs=1e-3)


def test_rates_without_signal_are_taken_as_0_and_shaky_ones_warned_of():
    values, report = flip_rates(0.99).compute(spread_proxy(0.48, 0.52), 0)
    assert values == {"rho_01": 0.0, "rho_10": 0.0}
    assert "the noise is left uncorrected" in report["warning"]
    _values, report = flip_rates(0.99).compute(anchored(group=torch.arange(400) // 4), 0)
    assert "only 25 prompts" in report["warning"]


def test_a_given_rate_stands_and_is_judged_with_the_estimated_one():
    values, _report = flip_rates(0.99, rho_01=0.3).compute(spread_proxy(), 0)
    assert values["rho_01"] == 0.3
    with pytest.raises(TruewardError, match=r"rho_01=0\.75"):
        flip_rates(0.99, rho_01=0.75).compute(spread_proxy(), 0)


def test_the_activity_rate_undoes_misclicks():
    """Prior 1/2, activity 1/2, g = .1, f = .2: clicks are .1 + .7 * .25 = .275 of the rows."""
    y = torch.zeros(400)
    y[:110] = 1
    b = Feedback(torch.zeros(400, 1), y, eta=Columns(noisy=torch.full((400,), 0.275)))
    values, _report = activity_rate(0.5, 0.99, 0.1, 0.2).compute(b, 0)
    assert values["activity_rate"] == pytest.approx(0.5)
    values, _report = activity_rate(0.5, 0.99).compute(b, 0)
    assert values["activity_rate"] == pytest.approx(0.55)


def test_platt_finds_slope_and_offset_and_refuses_a_backward_logit():
    s = torch.randn(20000, generator=torch.Generator().manual_seed(0))
    t = torch.sigmoid(2 * s - 1)
    assert platt(s, t) == pytest.approx((2, -1), abs=1e-2)
    slope, offset = platt(-s, t)
    assert slope == 0
    assert offset == pytest.approx(float(torch.logit(t.mean())), abs=1e-3)


def test_weights_count_in_calibration_rates_and_validation():
    """Half the rows stand for 9 each: the weighted mean of the clicks is .9, not .5."""
    y = torch.cat([torch.ones(200), torch.zeros(200)])
    weight = torch.cat([torch.full((200,), 9.0), torch.ones(200)])
    g = torch.Generator().manual_seed(0)
    b = Feedback(torch.randn(400, 3, generator=g), y, group=torch.arange(400), weight=weight)
    ready = run(make("implicitrm", {"identify": "scar", "prior": 0.95}), b, b, epochs=1)
    assert float(ready.train.noisy.mean()) == pytest.approx(0.9, abs=0.03)
    assert ready.report["activity_rate"]["activity_rate"] == pytest.approx(0.9 / 0.95, abs=0.03)
    losses = [
        fit("naive", b, replace(b, weight=w), epochs=1).report["training"]["validation_loss"]
        for w in (weight, 10 - weight)
    ]
    assert losses[0] != losses[1]


def test_leading_directions_keep_what_varies_most():
    """Three strong directions among forty: their span is found, and an orthonormal basis given."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(500, 3, generator=g) @ torch.randn(3, 40, generator=g)
    x = x + 0.05 * torch.randn(500, 40, generator=g)
    transform = InputTransform.fit(Feedback(x, torch.zeros(500)), torch.float32)
    basis = principal_directions(x, transform, 5, 0)
    assert torch.allclose(basis.T @ basis, torch.eye(5), atol=1e-5)
    whole = transform.x(x, torch.float32).square().sum()
    assert float(project(x, transform, basis).square().sum() / whole) > 0.98


def test_the_networks_of_the_folds_have_one_level():
    """Two kinds of rows, as many of each in the validation rows: no fold is higher on both together.

    A fold with more thumbs up than the rest is predicted by a network that saw fewer. Its lower level would
    rank its rows below others for being better.
    """
    g = torch.Generator().manual_seed(0)
    kind = (torch.arange(240) % 2).float()
    y = (torch.rand(240, generator=g) < 0.3 + 0.4 * kind).float()
    b = Feedback(2 * kind[:, None] - 1, y, torch.ones(240), group=torch.arange(240))
    train, val = b[torch.arange(200)], b[torch.arange(200, 240)]
    cfg = Train(seed=0, nuisance_epochs=30, nuisance_lr=0.01)
    data = CrossFitData(train, val, InputTransform.fit(train, cfg.dtype()), cfg)
    s = torch.logit(fit_nuisance(noisy, data).train)
    levels = [
        sum(float(s[(data.fold == m) & (train.x[:, 0] == k)].mean()) for k in (-1, 1)) / 2
        for m in range(cfg.folds)
    ]
    assert max(levels) - min(levels) < 1e-4
