"""Weights, imputations and balance: values by hand, and expectations over every mask."""

import itertools
import math

import pytest
import torch

from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce
from trueward.estimation.nuisances import click_propensity
from trueward.estimators._registry import make

LN2 = math.log(2)


@pytest.fixture(autouse=True)
def double():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def rows(y, o=None, t=1.0, **eta):
    y = torch.tensor(y, dtype=torch.float64)
    columns = Columns({k: torch.tensor(v, dtype=torch.float64) for k, v in eta.items()})
    seen = None if o is None else torch.tensor(o, dtype=torch.float64)
    return Feedback(torch.zeros(len(y), 1), y, seen, eta=columns, t=t)


def zeros(*heads, n=2):
    return Columns({h: torch.zeros(n).requires_grad_() for h in heads})


def test_mtips_at_zero_is_three_halves_ln_2_a_half():
    """p = 1/2 everywhere: l(a, o) = ln 2, and of two rows one is rated with weight 2."""
    b = rows([1.0, 0.0], [1.0, 0.0])
    loss = make("mtips", {"w_prop": 0.5}).loss(zeros("reward", "propensity"), b)
    assert loss.item() == pytest.approx(0.5 * LN2 + (2 * LN2 + 0) / 2)


def test_mtdr_at_zero_targets_m_plus_w_times_the_residual():
    """m = 1/2, w = 2: tau = 1/2 + 2 (1 - 1/2) = 3/2 and 1/2; at s = 0 l(s, tau) = ln 2 for any tau."""
    b, m = rows([1.0, 0.0], [1.0, 0.0]), make("mtdr")
    out = zeros("reward", "propensity", "imputation")
    loss = m.loss(out, b)
    assert loss.item() == pytest.approx(3 * LN2)
    loss.backward()
    # d/ds mean l(s, tau) = (1/2 - tau) / 2: -1/2 and 0
    assert out.reward.grad.tolist() == pytest.approx([-0.5, 0.0])
    # the imputation learns on the rated row only: sigmoid(0) - 1
    assert out.imputation.grad.tolist() == pytest.approx([-0.5, 0.0])
    # the propensity learns o: (1/2 - 1) / 2 and (1/2 - 0) / 2
    assert out.propensity.grad.tolist() == pytest.approx([-0.25, 0.25])


@pytest.mark.parametrize("name", ["mtips", "mtdr"])
def test_the_warm_up_teaches_the_reward_nothing(name):
    m = make(name)
    out = zeros(*m.heads)
    m.loss(out, rows([1.0, 0.0], [1.0, 0.0], t=0.0)).backward()
    assert (out.reward.grad == 0).all()
    assert (out.propensity.grad != 0).all()
    assert m.warm_up_fraction == m.warm_up


def test_sdr_by_hand():
    """s = 2, b = 0, a = 0, one of two rows rated good, so p = 1/2 and w = 2.

    L_imp = 2 (2 (1/2 - 1))^2 = 2 over the one rated row; e^ = l(2, 1/2) in both rows, so nothing is to be
    balanced; L_prop = ln 2; L_rew = l(2, 1) = softplus(-2).
    """
    out = zeros("reward", "propensity", "imputation")
    out["reward"] = torch.full((2,), 2.0).requires_grad_()
    loss = make("sdr").loss(out, rows([1.0, 0.0], [1.0, 0.0]))
    assert loss.item() == pytest.approx(2 + LN2 + math.log1p(math.exp(-2)))


def test_sdr_balances_imputed_errors_of_rated_and_unrated_rows():
    """e^ = l(0, .) = ln 2 and l(2, 1/2): half their gap either side of the mean, 1 - o/p = -1 and 1."""
    out = zeros("reward", "propensity", "imputation")
    out["reward"] = torch.tensor([0.0, 2.0]).requires_grad_()
    b = rows([1.0, 0.0], [1.0, 0.0])
    without, with_it = (make("sdr", {"balance": k}).loss(out, b) for k in (0.0, 1.0))
    gap = math.log1p(math.exp(2)) - 1 - LN2
    assert (with_it - without).item() == pytest.approx((gap / 2) ** 2)


def test_every_term_of_sdr_trains_one_network():
    out = Columns({h: torch.randn(5).requires_grad_() for h in make("sdr").heads})
    b = rows([1.0, 0.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0, 0.0])
    loss = make("sdr", {"balance": 3.0}).loss(out, b)
    loss.backward()
    p = torch.sigmoid(out.propensity.detach())
    w = b.o / p
    s = out.reward.detach().requires_grad_()
    ((w * bce(s, b.y)).sum() / w.sum()).backward()
    assert torch.allclose(out.reward.grad, s.grad)


def expected_gradient(name, right):
    """E[gradient in s] over all masks, with the learned propensity (or imputation) at the truth."""
    m, r = make(name), torch.tensor([1.0, 0.0, 1.0])
    p = torch.tensor([0.2, 0.5, 0.7])
    truth = {"propensity": torch.logit(p), "imputation": torch.logit(r, 1e-12)}
    total = torch.zeros(3)
    for mask in itertools.product((0.0, 1.0), repeat=3):
        o = torch.tensor(mask)
        s = torch.tensor([0.3, -1.1, 2.0]).requires_grad_()
        out = {
            h: truth[h] if h in right else torch.full((3,), 0.4) for h in m.heads if h != "reward"
        }
        b = Feedback(torch.zeros(3, 1), r * o, o)
        m.loss(Columns(reward=s, **out), b).backward()
        total += torch.where(o > 0, p, 1 - p).prod() * s.grad
    s = torch.tensor([0.3, -1.1, 2.0]).requires_grad_()
    bce(s, r).mean().backward()
    return total, s.grad


@pytest.mark.parametrize(
    ("name", "right"),
    [("mtips", {"propensity"}), ("mtdr", {"propensity"}), ("mtdr", {"imputation"})],
)
def test_with_the_true_propensity_or_imputation_the_expected_step_is_that_of_the_truth(name, right):
    got, ideal = expected_gradient(name, right)
    assert torch.allclose(got, ideal, atol=1e-9)


@pytest.mark.parametrize("name", ["mtips", "mtdr"])
def test_with_both_wrong_it_is_not(name):
    got, ideal = expected_gradient(name, set())
    assert not torch.allclose(got, ideal, rtol=0.02)


def test_the_published_propensity_of_a_click_is_a_function_of_the_click():
    """One click in four, alpha = 1/2: k (1/4 + 3/4 / 16) = .2, so k = .2 / (19/64) = 64/95."""
    b = rows([1.0, 0.0, 0.0, 0.0])
    published = click_propensity(0.5, 0.2)
    at, _ = published.fit(b, b, 0)
    k = 64 / 95
    assert published.apply(at, b)["propensity"].tolist() == pytest.approx(
        [k, k / 16, k / 16, k / 16]
    )


def test_ips_on_clicks_weighs_rows_without_a_click_up_as_negatives():
    b = rows([1.0, 0.0], propensity=[0.8, 0.05])
    loss = make("ips", {"view": "clicks"}).loss(zeros("reward"), b)
    assert loss.item() == pytest.approx((LN2 / 0.8 + LN2 / 0.05) / 2)


def test_dr_on_clicks_is_not_doubly_robust():
    """y = r* A with P(A=1) = theta, true theta and a perfect imputation: E[tau] is not r*."""
    theta = torch.tensor([0.5, 0.5])
    r, slope = torch.tensor([1.0, 0.0]), torch.zeros(2)
    for act in itertools.product((0.0, 1.0), repeat=2):
        s = torch.zeros(2).requires_grad_()
        b = Feedback(torch.zeros(2, 1), r * torch.tensor(act), None)
        b.eta.update(propensity=theta, imputation=torch.tensor([0.75, 0.25]))
        make("dr", {"view": "clicks"}).loss(Columns(reward=s), b).backward()
        slope += 0.25 * s.grad
    # an imputation between 0 and 1 must not matter where theta is right; tau of the bad answer is m, not 0
    assert slope[1] == pytest.approx((0.5 - 0.25) / 2)
    assert slope[1] != pytest.approx(0.25)  # what the truth r* = 0 would give


@pytest.mark.parametrize("name", ["ips", "dr", "mtips", "mtdr", "sdr"])
def test_the_view_of_clicks_needs_clicks_and_claims_nothing(name):
    m = make(name, {"view": "clicks"})
    assert m.needs == {"clicks"}
    assert m.unbiased_if == m.consistent_if == ()
    assert m.assumption == "none: a heuristic"
