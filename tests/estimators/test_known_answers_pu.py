"""Risks of clicks agree with pulearn, which was written by others."""

import numpy as np
import pytest
import torch

from trueward.data.feedback import Columns, Feedback
from trueward.estimators._registry import make

metrics = pytest.importorskip("pulearn.metrics", reason="pulearn is not installed")


def drawn(shift, n=400, c=0.6):
    """Clicks, logits and c; pulearn takes two samples, so every row is also an unlabelled one."""
    g = torch.Generator().manual_seed(0)
    y = (torch.rand(n, generator=g) < 0.3).double()
    s = torch.randn(n, generator=g).double() + shift * y
    b = Feedback(torch.zeros(n, 0), y, eta=Columns(activity_rate=torch.full_like(y, c)))
    p = torch.sigmoid(s).numpy()
    labels = np.concatenate([np.ones(int(y.sum())), np.zeros(n)])
    return s, b, labels, np.concatenate([p[y.numpy() > 0], p]), float(y.mean()) / c


@pytest.mark.parametrize("shift", [-1.0, 0.0, 1.0, 4.0])
def test_the_unbiased_risk_is_theirs(shift):
    s, b, labels, p, prior = drawn(shift)
    ours = make("upu").loss(Columns(reward=s), b).item()
    assert ours == pytest.approx(metrics.pu_unbiased_risk(labels, p, prior), rel=1e-9)


@pytest.mark.parametrize("shift", [-1.0, 0.0, 1.0, 4.0, 8.0])
def test_the_non_negative_risk_is_theirs(shift):
    s, b, labels, p, prior = drawn(shift)
    ours = make("nnpu").loss(Columns(reward=s), b).item()
    assert ours == pytest.approx(metrics.pu_non_negative_risk(labels, p, prior), rel=1e-9)


def test_both_sides_of_the_clamp_are_compared():
    gaps = [
        metrics.pu_non_negative_risk(*a) - metrics.pu_unbiased_risk(*a)
        for a in (drawn(shift)[2:] for shift in (0.0, 8.0))
    ]
    assert gaps[0] == pytest.approx(0, abs=1e-12)
    assert gaps[1] > 0.1


@pytest.mark.parametrize("name", ["upu", "nnpu", "rmf"])
def test_the_minimiser_is_their_calibration_of_clicks(name):
    """Kinds of answers with P(click) eta: the best reward is min(1, eta / c) (Elkan and Noto 2008)."""
    eta, c, count = np.array([0.06, 0.3, 0.45, 0.54]), 0.6, 100
    kind = torch.arange(4).repeat_interleave(count)
    y = torch.cat([(torch.arange(count) < round(count * e)).double() for e in eta])
    s = torch.zeros(4, dtype=torch.float64).requires_grad_()
    b = Feedback(torch.zeros(400, 0), y, eta=Columns(activity_rate=torch.full_like(y, c)))
    m = make(name, {"theta": "scar"} if name == "rmf" else {})
    opt = torch.optim.LBFGS([s], max_iter=300, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def closure():
        opt.zero_grad()
        loss = m.loss(Columns(reward=s[kind]), b)
        loss.backward()
        return loss

    opt.step(closure)
    theirs = metrics.calibrate_posterior_p_y1(eta, c)
    assert torch.sigmoid(s.detach()).tolist() == pytest.approx(theirs.tolist(), abs=1e-4)
