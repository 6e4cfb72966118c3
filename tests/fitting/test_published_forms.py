"""The switches of causalrm between its own form and that of the paper and of the authors' code."""

from dataclasses import replace

import pytest
import torch
from torch import sigmoid

from trueward.core.errors import TruewardError, UsageError
from trueward.data.feedback import Columns, Feedback
from trueward.estimators._registry import make
from trueward.fitting.crossfit import CrossFitData
from trueward.fitting.fit import fit
from trueward.fitting.out_of_fold import estimate_nuisances
from trueward.fitting.sweep import FitJob, fit_many
from trueward.training.config import Train
from trueward.training.preprocessing import InputTransform

LOGITS = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])


def causalrm(**given):
    return make("causalrm", given)


def nuisance(name, **given):
    return next(nu for nu in causalrm(**given).nuisances if nu.name == name)


def run(method, b, **given):
    cfg = Train(precision="fp32", **given)
    data = CrossFitData(b, b, InputTransform.fit(b, torch.float32), cfg)
    return estimate_nuisances(method, data).train


def four_rows():
    """Two rated rows of four, with P(o=1) = .5."""
    o, y = torch.tensor([1.0, 1, 0, 0]), torch.tensor([1.0, 0, 0, 0])
    return Feedback(torch.zeros(4, 1), y, o, eta=Columns(propensity=torch.full((4,), 0.5)))


def chance(n=300):
    """75 prompts of four equal rows; which prompts are good is pure chance."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n // 4, 64, generator=g)
    y = (torch.rand(n // 4, generator=g) < 0.5).float()
    group = torch.arange(n // 4).repeat_interleave(4)
    return Feedback(x[group], y[group], torch.ones(n), group=group)


@pytest.mark.parametrize(("rows", "expected"), [("rated", [0, 1]), ("all", [0, 1, 2, 3])])
def test_a_batch_of_ips_has_rated_rows_or_all(rows, expected):
    method = causalrm(estimator="ips", correction="none", batch_rows=rows)
    assert method.rows(four_rows()).tolist() == expected


def test_ips_over_all_rows_divides_by_their_number():
    """l(0, t) = log 2 and w = 2: (2 + 2) log 2 / 4 over all rows, and twice that over the rated ones."""
    b, out = four_rows(), Columns(reward=torch.zeros(4))
    everything = causalrm(estimator="ips", correction="none", batch_rows="all").loss(out, b)
    rated = torch.tensor([0, 1])
    ours = causalrm(estimator="ips", correction="none").loss(out[rated], b[rated])
    assert float(everything) == pytest.approx(0.693147, abs=1e-6)
    assert float(ours) == pytest.approx(2 * 0.693147, abs=1e-6)


@pytest.mark.parametrize(("u", "at"), [(0.75, 1.0), (0.875, 1.5)])
def test_batch_rates_are_quantiles_of_the_logits_of_the_proxy(u, at):
    """Of logits -2, ..., 2: the .75 quantile is 1, and the .875 quantile half way from 1 to 2."""
    b = Feedback(
        torch.zeros(5, 1), torch.zeros(5), torch.ones(5), eta=Columns(noisy=sigmoid(LOGITS))
    )
    rho_01, rho_10 = causalrm(rates="batch", quantile=u).flips(b)
    assert float(rho_01) == pytest.approx(float(1 - sigmoid(torch.tensor(at))), abs=1e-6)
    assert float(rho_10) == pytest.approx(float(sigmoid(torch.tensor(-at))), abs=1e-6)


def test_the_proxy_of_the_paper_has_a_squared_loss_weighted_by_inverse_propensities():
    """sigmoid(0) = .5: .25 / .25 = 1 for the good row, .25 / .5 = .5 for the bad one; their mean is .75."""
    proxy = nuisance("noisy", proxy_loss="squared_ips")
    eta = Columns(propensity=torch.tensor([0.25, 0.5]))
    b = Feedback(torch.zeros(2, 1), torch.tensor([1.0, 0.0]), torch.ones(2), eta=eta)
    out = Columns(reward=torch.zeros(2))
    assert float(proxy.loss(out, b)) == pytest.approx(0.75)
    assert float(nuisance("noisy").loss(out, b)) == pytest.approx(0.693147, abs=1e-6)


@pytest.mark.parametrize(("loss", "expected"), [("log", 0.5), ("squared_ips", 0.35)])
@pytest.mark.parametrize("fitted", ["out_of_fold", "in_sample"])
def test_on_features_that_say_nothing_the_proxy_is_a_mean_of_ratings(loss, expected, fitted):
    """75 of 100 rows with p = .8 are good, 25 of 100 with p = .2.

    Weighted: (75 / .8 + 25 / .2) / (100 / .8 + 100 / .2) = .35. Not weighted: .5.
    """
    y = (torch.arange(200) % 100 < torch.tensor([75, 25]).repeat_interleave(100)).float()
    p = torch.tensor([0.8, 0.2]).repeat_interleave(100)
    b = Feedback(torch.zeros(200, 2), y, torch.ones(200), group=torch.arange(200) % 100)
    b = replace(b, eta=Columns(propensity=p))
    method = causalrm(rates="batch", proxy_loss=loss, nuisance_fit=fitted)
    few = {"epochs": 20, "lr": 0.1, "batch_size": 200, "nuisance_epochs": 1, "hidden": ()}
    proxy = run(method, b, **few).noisy
    assert float(proxy.mean()) == pytest.approx(expected, abs=0.03)


def test_a_squared_propensity_has_the_squared_error():
    """sigmoid(0) = .5 is .5 from either outcome: .25."""
    p = nuisance("propensity", propensity_loss="squared")
    assert float(p.loss(Columns(reward=torch.zeros(4)), four_rows())) == pytest.approx(0.25)


def test_a_proxy_in_sample_remembers_its_own_prompts_and_one_out_of_fold_does_not():
    b = chance()
    many = {"epochs": 40, "patience": 40, "lr": 0.003, "batch_size": 64, "hidden": (32,)}
    alike = {}
    for fitted in ("out_of_fold", "in_sample"):
        proxy = run(causalrm(rates="batch", nuisance_fit=fitted), b, **many).noisy
        alike[fitted] = float(torch.corrcoef(torch.stack([proxy, b.y]))[0, 1])
    # 75 prompts of pure chance: a correlation of .3 would be 2.6 standard errors
    assert alike["out_of_fold"] < 0.3
    assert alike["in_sample"] > 0.9


def test_a_proxy_in_sample_gives_no_levels():
    for rates in ("auto", "levels"):
        with pytest.raises(UsageError, match=f"rates={rates} reads a proxy that has not seen its"):
            causalrm(nuisance_fit="in_sample", rates=rates)
    assert causalrm(nuisance_fit="in_sample", rho_01=0.1, rho_10=0.2).nuisances


def test_stopping_on_training_rows_goes_on_where_the_validation_loss_rises():
    """Labels of pure chance: the validation loss stays at log 2 or above, the training loss falls."""
    train, val = chance().split(0.3)
    given = {"rho_01": 0.1, "rho_10": 0.1, "epochs": 30, "lr": 0.003, "hidden": (16,)}
    lowest = {}
    for rows in ("validation", "training"):
        report = fit("causalrm", train, val, stop_on=rows, estimator="none", **given).report
        lowest[rows] = report["training"]["validation_loss"][0]
    assert lowest["validation"] > 0.6
    assert lowest["training"] < 0.5


def test_a_divergence_names_the_rows_it_was_seen_on():
    train, val = chance().split(0.3)
    given = {"correction": "backward", "estimator": "none", "rho_01": 0.3, "rho_10": 0.3}
    with pytest.raises(TruewardError, match="on the training rows"):
        fit("causalrm", train, val, stop_on="training", epochs=60, lr=0.01, hidden=(16,), **given)


@pytest.mark.parametrize("fitted", ["out_of_fold", "in_sample"])
def test_fits_at_once_weight_the_proxy_by_their_own_clip(fitted):
    """Two clips make two proxies; each is the one of a fit alone, up to rounding."""
    g = torch.Generator().manual_seed(3)
    x = torch.randn(200, 3, generator=g)
    o = (torch.rand(200, generator=g) < sigmoid(2 * x[:, 1])).float()
    y = (torch.rand(200, generator=g) < sigmoid(2 * x[:, 0])).float() * o
    train, val = Feedback(x, y, o, group=torch.arange(200)).split(0.3)
    chosen = {"rates": "batch", "proxy_loss": "squared_ips", "nuisance_fit": fitted}
    methods = [causalrm(clip=clip, **chosen) for clip in (0.05, 0.9)]
    few = {"epochs": 3, "hidden": (4,), "nuisance_epochs": 3, "precision": "fp32"}
    together = fit_many([FitJob(m, train, val, 0) for m in methods], **few)
    alone = [fit(m, train, val, seed=0, **few) for m in methods]
    for one, other in zip(together, alone, strict=True):
        assert torch.allclose(
            one.score_features(x).reward, other.score_features(x).reward, atol=1e-4
        )
    assert not torch.allclose(
        together[0].score_features(x).reward, together[1].score_features(x).reward, atol=1e-3
    )
