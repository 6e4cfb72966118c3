"""A propensity is clipped once, whether the log brings it along or the cross-fit estimates it."""

from dataclasses import replace

import pytest
import torch

from trueward.data.feedback import Columns, Feedback
from trueward.estimators._registry import make
from trueward.fitting.fit import fit

CLIP = 0.1


def log(n=240, seed=0):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=g)
    p = 0.02 + 0.6 * torch.rand(n, generator=g)
    o = (torch.rand(n, generator=g) < p.clamp(min=0.2)).float()
    y = (torch.rand(n, generator=g) < torch.sigmoid(x[:, 0])).float() * o
    return Feedback(x, y, o, group=torch.arange(n), eta=Columns(propensity=p))


def clicks(b):
    return Feedback(b.x, b.y, group=b.group, eta=b.eta)


def raised(b):
    return replace(b, eta=b.eta | {"propensity": b.eta.propensity.clamp(min=CLIP)})


@pytest.mark.parametrize(
    ("name", "options", "view"),
    [
        ("ips", {}, lambda b: b),
        ("snips", {}, lambda b: b),
        ("dr", {}, lambda b: b),
        ("causalrm", {"estimator": "ips", "correction": "none"}, lambda b: b),
        ("ips", {"view": "clicks"}, clicks),
        ("dr", {"view": "clicks"}, clicks),
        ("rmf", {}, clicks),
    ],
)
def test_a_logged_propensity_below_the_clip_counts_as_the_clip(name, options, view):
    train, val = view(log()), view(log(120, 1))
    small = {"epochs": 2, "nuisance_epochs": 1, "clip": CLIP, **options}
    as_logged = fit(name, train, val, **small).score_features(val.x).reward
    as_raised = fit(name, raised(train), raised(val), **small).score_features(val.x).reward
    assert torch.equal(as_logged, as_raised)
    unclipped = fit(name, train, val, **{**small, "clip": 1e-6}).score_features(val.x).reward
    assert not torch.equal(as_logged, unclipped)


@pytest.mark.parametrize("name", ["ips", "dr", "snips", "causalrm"])
def test_the_cross_fit_clips_the_propensity_of_ratings_so_the_loss_does_not(name):
    (nuisance, *_) = make(name, {"clip": CLIP}).nuisances
    assert (nuisance.name, nuisance.clip) == ("propensity", CLIP)
