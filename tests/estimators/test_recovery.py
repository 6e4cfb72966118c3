"""In a world made under its assumption a method beats naive; where the assumption fails it does not.

Margins: over eight other draws of each world the mean difference in R2 lay at least two standard deviations
beyond every margin used here.
"""

from functools import cache

import pytest
import torch

from trueward.data.feedback import Feedback, Labelled
from trueward.fitting.fit import fit

pytestmark = pytest.mark.slow


def world(n, seed, *, select, rho_01=0.0, rho_10=0.0, d=24):
    """Answers with a nonlinear quality; ``select(x, r)`` is the chance of feedback."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g)
    u = x[:, 0] + 0.7 * x[:, 1] * x[:, 2] + 0.5 * x[:, 3] + 0.5 * torch.randn(n, generator=g)
    r = (u > 0).float()
    o = (torch.rand(n, generator=g) < select(x, r)).float()
    flip = torch.rand(n, generator=g) < torch.where(r > 0, rho_01, rho_10)
    y = torch.where(flip, 1 - r, r)
    return Feedback(x, y * o, o, group=torch.arange(n)), Labelled(x, r, group=torch.arange(n))


def r2(name, parts, **options):
    (train, truth), (val, val_truth), (_, test) = parts
    data = (truth, val_truth) if name == "oracle" else (train, val)
    p = fit(name, *data, **options).score_features(test.x).preferred
    return float(1 - (p - test.r).square().mean() / test.r.var())


@cache
def draws(**given):
    return tuple(world(n, s, **given) for n, s in ((8000, 0), (2000, 1), (4000, 2)))


@cache
def naive_r2(parts, **options):
    return r2("naive", parts, **options)


def quarter(x, _r):
    return torch.full((len(x),), 0.25)


def by_feature(x, _r):
    return torch.sigmoid(3 * x[:, 1] - 1)


def by_label(_x, r):
    return torch.where(r > 0, 0.4, 0.1)


def half(x, _r):
    return torch.full((len(x),), 0.5)


def clicks_of(parts):
    return [(Feedback(b.x, b.y, group=b.group), t) for b, t in parts]


@cache
def implicitrm_of_half_the_clicks(prior):
    return r2("implicitrm", clicks_of(draws(select=half)), identify="scar", prior=prior)


def test_causalrm_removes_flips_of_known_rates():
    parts = draws(select=quarter, rho_01=0.1, rho_10=0.3)
    gain = r2("causalrm", parts, rho_01=0.1, rho_10=0.3) - naive_r2(parts)
    assert gain > 0.05


def test_causalrm_does_not_remove_selection_that_follows_the_label():
    parts = draws(select=by_label)
    gain = r2("causalrm", parts, estimator="ips", correction="none") - naive_r2(parts)
    assert gain < 0.04
    assert r2("oracle", parts) - naive_r2(parts) > 0.1


@pytest.mark.parametrize("name", ["ips", "snips", "dr"])
def test_weighting_helps_a_linear_reward_when_selection_follows_the_features(name):
    """A linear reward fits the rows it sees: weights move it to all rows, as the theorem says."""
    parts = draws(select=by_feature)
    linear = {"hidden": (), "epochs": 60, "lr": 0.01}
    known = [
        (
            Feedback(
                b.x, b.y, b.o, group=b.group, eta=type(b.eta)(propensity=by_feature(b.x, None))
            ),
            t,
        )
        for b, t in parts
    ]
    gain = r2(name, known, clip=0.02, **linear) - naive_r2(parts, **linear)
    assert gain > 0.01


LINEAR = {"hidden": (), "epochs": 40, "lr": 0.01}


@pytest.mark.parametrize(("name", "margin"), [("mtips", 0.03), ("mtdr", 0.038), ("sdr", 0.006)])
def test_learned_weights_help_a_linear_reward_when_selection_follows_the_features(name, margin):
    parts = draws(select=by_feature)
    assert r2(name, parts, clip=0.02, **LINEAR) - naive_r2(parts, **LINEAR) > margin


@pytest.mark.parametrize(("name", "margin"), [("mtips", 0.03), ("mtdr", 0.038), ("sdr", 0.006)])
def test_learned_weights_do_not_when_selection_follows_the_label(name, margin):
    parts = draws(select=by_label)
    assert r2(name, parts, clip=0.02, **LINEAR) - naive_r2(parts, **LINEAR) < margin


def test_implicitrm_with_a_prior_restores_the_scale_of_clicks():
    naive = r2("naive", clicks_of(draws(select=half)))
    assert implicitrm_of_half_the_clicks(0.5) - naive > 0.1


def test_implicitrm_with_a_wrong_prior_does_not():
    right, wrong = (implicitrm_of_half_the_clicks(prior) for prior in (0.5, 0.95))
    assert right - wrong > 0.03
