"""A declared claim is a theorem, so it is tested: by exact enumeration, or by a saturated fit."""

import itertools

import pytest
import torch
from helpers.toy import every_variant, rates

from trueward.data.comparisons import Pairs
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce, brier
from trueward.estimation.pair_losses import log_outcomes, with_noise
from trueward.estimators._registry import make

RHO_01, RHO_10 = 0.1, 0.2


@pytest.fixture(autouse=True)
def double():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def claims(kind):
    found = [(i, m, right) for i, m in every_variant() for right in getattr(m, kind)]
    return pytest.mark.parametrize(
        ("method", "right"),
        [(m, right) for _, m, right in found],
        ids=[f"{i} if {'+'.join(sorted(right)) or 'nothing'}" for i, _, right in found],
    )


def ideal_risk(method, logit, r):
    """The same kind of risk where every label is true."""
    if method.name == "ubpr":  # (good, bad) among the six pairs of the three rows of a prompt
        return torch.nn.functional.softplus(logit[1] - logit[[0, 2]]).sum() / 6
    cost = brier if getattr(method, "cost", "log") == "squared" else bce
    return cost(logit, r).mean()


def expected_risk(method, right, logit, *, flips, n=3):
    """Exact E[loss] over all masks and flips: nuisances in ``right`` are true, the others wrong.

    For methods of clicks the mask is who acts, and is not seen: y = r* A.
    """
    g = torch.Generator().manual_seed(7)
    r = torch.tensor([1.0, 0.0, 1.0])
    p = 0.2 + 0.6 * torch.rand(n, generator=g)
    if "activity_rate" in right:
        p = p[:1].expand(n)
    rho_01, rho_10 = (RHO_01, RHO_10) if flips else (0.0, 0.0)
    truth = {"propensity": p, "imputation": r, "noisy": rho_10 + (1 - rho_01 - rho_10) * r}
    truth["activity_rate"] = p
    eta = Columns(
        {k: v if k in right else 0.15 + 0.7 * torch.rand(n, generator=g) for k, v in truth.items()}
    )
    true_rates = "flip_rates" in right or not flips
    eta |= Columns(rates(n, rho_01, rho_10) if true_rates else rates(n, 0.3, 0.02))
    total = torch.zeros(())
    for mask in itertools.product((0.0, 1.0), repeat=n):
        o = torch.tensor(mask)
        chance = torch.where(o > 0, p, 1 - p).prod()
        for turned in itertools.product((0.0, 1.0), repeat=n):
            f = torch.tensor(turned)
            rate = torch.where(r > 0, rho_01, rho_10)
            of_flips = torch.where(f > 0, rate, 1 - rate).prod()
            if of_flips == 0:
                continue
            y = torch.where(f > 0, 1 - r, r) * o
            shown = None if "clicks" in method.needs else o
            b = Feedback(torch.zeros(n, 1), y, shown, eta=eta, group=torch.zeros(n).long())
            total = total + chance * of_flips * method.loss(Columns(reward=logit), b)
    return total, ideal_risk(method, logit, r)


def leaf():
    return torch.tensor([0.3, -1.1, 2.0]).requires_grad_()


def gradients(method, right, *, flips):
    s = leaf()
    got, ideal = expected_risk(method, right, s, flips=flips)
    return (
        got,
        ideal,
        torch.autograd.grad(got, s, retain_graph=True)[0],
        torch.autograd.grad(ideal, s)[0],
    )


@claims("unbiased_if")
def test_a_claimed_nuisance_makes_risk_and_gradient_those_of_the_truth(method, right):
    got, ideal, slope, ideal_slope = gradients(method, right, flips="flip_rates" in right)
    assert torch.allclose(got, ideal, atol=1e-12)
    assert torch.allclose(slope, ideal_slope, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "given", "right"),
    [
        ("naive", {}, set()),
        ("ips", {}, set()),
        ("dr", {}, set()),
        ("causalrm", {"correction": "backward"}, {"flip_rates"}),
        ("causalrm", {"correction": "backward"}, {"propensity"}),
        ("causalrm", {"correction": "backward", "impute": "noisy"}, {"flip_rates", "noisy"}),
        ("causalrm", {"correction": "none"}, {"propensity", "noisy"}),
        ("upu", {}, set()),
        ("rmf", {}, set()),
        ("rmf", {"theta": "scar"}, set()),
        ("ubpr", {"beta": None}, set()),
        ("ubpr", {}, {"propensity"}),
    ],
)
def test_wrong_nuisances_fail_the_check(name, given, right):
    """Naive feedback, a wrong propensity, wrong rates and an uncorrected imputation all fail it."""
    m = make(name, given)
    flips = "clicks" not in m.needs
    got, ideal, slope, ideal_slope = gradients(m, frozenset(right), flips=flips)
    assert not torch.allclose(got, ideal, rtol=5e-3)
    assert not torch.allclose(slope, ideal_slope, rtol=5e-3)


# A population of four kinds of answers, each shown in two contexts that sway both the answer's quality and
# who reacts: P(r*=1) and P(o=1) by kind and context. The reward sees the kind only, and should be the mean
# over the contexts; a wrong propensity or a wrong proxy then has another minimiser.
GAMMA = ((0.25, 0.75), (0.5, 1.0), (0.75, 0.25), (0.5, 0.5))
SEEN = ((0.5, 0.25), (0.25, 0.75), (0.5, 0.25), (0.75, 0.5))
RATE = 0.5  # of activity, the same everywhere
COUNT = 3200  # rows a kind and context: every frequency below is then a whole number of rows
TARGET = tuple(sum(g) / 2 for g in GAMMA)


M_1, M_0 = 0.5, 0.25  # P(feedback) for good and bad answers, where the label alone decides


def cells(gamma, p, *, implicit, noise, label=False):
    """(y, o, share) of what may be seen of one kind in one context."""
    if implicit:
        return [(1, 1, gamma * RATE), (0, 1, 1 - gamma * RATE)]
    good, bad = (gamma * M_1, (1 - gamma) * M_0) if label else (gamma * p, (1 - gamma) * p)
    up = good * (1 - RHO_01 * noise) + bad * RHO_10 * noise
    return [(1, 1, up), (0, 1, good + bad - up), (0, 0, 1 - good - bad)]


def channel_population(*, independent):
    """Rows of two channels in exact proportion: a satisfied user fires them with chances 1/2 and 1/4."""
    both = 0.125 if independent else 0.25
    shares = {(1, 1): both, (1, 0): 0.5 - both, (0, 1): 0.25 - both, (0, 0): 0.25 + both}
    rows = []
    for k, gamma in enumerate(TARGET):
        for pattern, share in shares.items():
            rows += [(k, *pattern)] * round(
                COUNT * (gamma * share + (1 - gamma) * (sum(pattern) == 0))
            )
    kind, copy, like = (torch.tensor(v) for v in zip(*rows, strict=True))
    n = len(kind)
    channels = Columns(copy=copy.double(), like=like.double())
    return Feedback(torch.zeros(n, 1), torch.zeros(n), z=torch.zeros(n, 1), channels=channels), kind


def pair_population(method, *, right):
    """Four kinds of answers, of which every two are compared; outcomes count by their probabilities.

    Where the model is wrong, a third of the losers of the first kind are named winners.
    """
    s = torch.logit(torch.tensor(TARGET).clamp(0.01, 0.99))
    winner, loser, tie, weight = [], [], [], []
    for i, j in itertools.combinations(range(len(TARGET)), 2):
        first, second, tied = log_outcomes(s[i : i + 1] - s[j : j + 1], method.ties, 0.3)
        first, second = with_noise(first, second, torch.full((1,), method.noise))
        p, q = first.exp(), second.exp()
        if not right and i == 0:
            p, q = p + q / 3, q * 2 / 3
        winner += [i, j, i]
        loser += [j, i, j]
        tie += [0.0, 0.0, 1.0]
        weight += [float(v.detach()) for v in (p, q, tied.exp())]
    kind = torch.arange(len(TARGET))
    pairs = Pairs.of(
        torch.tensor(winner),
        torch.tensor(loser),
        tie=torch.tensor(tie),
        weight=torch.tensor(weight),
    )
    return Feedback(torch.zeros(4, 1), torch.zeros(4), torch.zeros(4), pairs=pairs), kind


def population(method, right, *, noise=None):
    """Rows in exact proportion to their probability, and their kind."""
    if method.needs == {"pairs"}:
        return pair_population(method, right="comparisons" in right)
    if "two channels" in method.needs:
        return channel_population(independent="independent_channels" in right)
    implicit, label = "activity_rate" in right, "label_selection" in right
    noise = "flip_rates" in right if noise is None else noise
    rows = []
    for k in range(len(GAMMA)):
        for c in (0, 1):
            for y, o, share in cells(
                GAMMA[k][c], SEEN[k][c], implicit=implicit, noise=noise, label=label
            ):
                count = round(COUNT * share)
                assert abs(count - COUNT * share) < 1e-9
                rows += [(k, c, y, o)] * count
    kind, context, y, o = (torch.tensor(v) for v in zip(*rows, strict=True))
    y, o = y.double(), o.double()
    gamma, seen = torch.tensor(GAMMA)[kind, context], torch.tensor(SEEN)[kind, context]
    rho = (RHO_01, RHO_10) if noise else (0.0, 0.0)
    noisy = RATE * gamma if implicit else rho[1] + (1 - sum(rho)) * gamma
    truth = {"propensity": seen, "imputation": gamma, "noisy": noisy}
    wrong = torch.tensor(((0.4, 0.6), (0.7, 0.3), (0.3, 0.8), (0.6, 0.4)))[kind, context]
    eta = Columns({name: v if name in right else wrong for name, v in truth.items()})
    eta |= Columns(rates(len(kind), *rho)) | {"activity_rate": torch.full_like(y, RATE)}
    channels = Columns(active=o) if "channel.active" in method.needs else Columns()
    b = Feedback(torch.zeros(len(y), 1), y, None if implicit else o, channels=channels, eta=eta)
    return b, kind


def saturated(method, b, kind):
    """The minimiser with one free logit for every kind of answer and head, and one for a single number."""
    free = {
        h: torch.zeros(1 if source == "one" else len(GAMMA), requires_grad=True)
        for h, source in method.heads.items()
    }
    opt = torch.optim.LBFGS(
        list(free.values()),
        max_iter=1000,
        tolerance_grad=1e-10,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def out():
        return Columns({h: v[kind] if len(v) > 1 else v.expand(len(kind)) for h, v in free.items()})

    def closure():
        opt.zero_grad()
        loss = method.loss(out(), b)
        loss.backward()
        # an EM step shares the gradient of the likelihood, which the line search needs the value of
        return method.monitor(Columns({h: v.detach() for h, v in out().items()}), b)

    opt.step(closure)
    found = method.reward(Columns({h: v.detach().expand(len(GAMMA)) for h, v in free.items()}))
    if method.needs == {"pairs"}:  # comparisons give differences alone
        found = found - found.mean() + torch.logit(torch.tensor(TARGET).clamp(0.01, 0.99)).mean()
    return torch.sigmoid(found)


@claims("consistent_if")
def test_a_claimed_nuisance_makes_the_minimiser_right(method, right):
    b, kind = population(method, right)
    assert torch.allclose(saturated(method, b, kind), torch.tensor(TARGET), atol=1e-4)


@claims("consistent_if")
def test_without_the_claimed_nuisance_the_minimiser_is_wrong(method, right):
    if "activity_rate" in right:
        pytest.skip("the activity rate is a constant: see the prior that pins the scale")
    wrong = right - {
        "propensity",
        "noisy",
        "independent_channels",
        "label_selection",
        "comparisons",
    }
    b, kind = population(method, wrong, noise="flip_rates" in right)
    assert not torch.allclose(saturated(method, b, kind), torch.tensor(TARGET), atol=0.02)


def test_naive_has_the_wrong_minimiser_when_feedback_is_wrong():
    b, kind = population(make("causalrm"), {"flip_rates"})
    shown = torch.tensor(SEEN) / torch.tensor(SEEN).sum(1, keepdim=True)
    rated = (shown * (RHO_10 + (1 - RHO_01 - RHO_10) * torch.tensor(GAMMA))).sum(1)
    assert torch.allclose(saturated(make("naive"), b, kind), rated, atol=1e-4)


def test_no_propensity_in_x_corrects_selection_that_follows_the_label():
    """Half the good and a quarter of the bad answers are rated; IPS with the true p lands on q."""
    gamma, m1, m0 = 0.5, 0.5, 0.25
    p = gamma * m1 + (1 - gamma) * m0  # 0.375
    y = torch.tensor([1.0] * 4 + [0.0] * 2 + [0.0] * 10)
    o = torch.tensor([1.0] * 6 + [0.0] * 10)
    b = Feedback(x=torch.zeros(16, 1), y=y, o=o, eta=Columns(propensity=torch.full((16,), p)))
    s = torch.zeros(1, requires_grad=True)
    opt = torch.optim.LBFGS([s], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        opt.zero_grad()
        loss = make("ips").loss(Columns(reward=s.expand(16)), b)
        loss.backward()
        return loss

    opt.step(closure)
    assert float(torch.sigmoid(s.detach())) == pytest.approx(
        gamma * m1 / p, abs=1e-5
    )  # 2/3, not 1/2
