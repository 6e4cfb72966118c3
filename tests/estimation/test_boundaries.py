"""Nuisances at a bound, tests that find nothing and fallbacks: each is said, and only where it holds."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.regressions import gold_rows
from scipy.special import expit

from trueward.data.feedback import Columns, Feedback
from trueward.estimation import ridge_logistic
from trueward.estimation.capture_recapture import FLOOR, agreement, rate
from trueward.estimation.channel_propensity import activity
from trueward.estimation.gold_regression import anchoring, gold_posterior
from trueward.estimation.gold_report import gold_report
from trueward.estimation.label_shift import label_shift
from trueward.estimation.nuisances import activity_rate
from trueward.estimation.ridge_logistic import CoefficientPrior, MapEstimate, logistic

NONE = torch.arange(0)


# Logistic regressions


def test_a_regression_says_whether_it_converged(monkeypatch):
    sample, _ = gold_rows()
    arguments = (sample.design, sample.labels, sample.weight, np.ones(8), np.zeros(8))
    assert logistic(*arguments).converged
    monkeypatch.setattr(ridge_logistic, "STEPS", 1)
    assert not logistic(*arguments).converged


def test_gold_labels_whose_regression_did_not_converge_are_warned_of():
    sample, _ = gold_rows()
    prior = CoefficientPrior(1.0, (1.0, 0.0), (0.0, 0.0))
    posterior = gold_posterior(sample, prior)
    w = next(iter(posterior.values()))[1].w
    assert "warning" not in gold_report(sample, prior, w, posterior, 0)
    stopped = {
        s: (q, MapEstimate(m.w, m.precision, m.centre, m.curvature, 0.0, converged=False))
        for s, (q, m) in posterior.items()
    }
    assert "did not converge" in gold_report(sample, prior, w, stopped, 0)["warning"]


def test_constant_features_are_left_out_and_said():
    """A constant that is only known to 1e-9 would be scaled to 1, and widen every interval."""
    g = torch.Generator().manual_seed(0)
    n = 200
    evidence = torch.randn(n, generator=g)
    gold = (torch.rand(n, generator=g) < torch.sigmoid(evidence)).float()
    x = torch.full((n, 2), 3.0)
    b = Feedback(x, torch.zeros(n), torch.ones(n), gold=gold, eta=Columns(noisy=evidence))
    step = anchoring(lambda d: [d.eta.noisy], CoefficientPrior(1.0, (1.0,), (0.0,)))
    parameters, report = step.fit(b, b[NONE], 0)
    assert "the features do not vary" in report["warning"]
    assert parameters["unit"].tolist() == [1.0, 0.0, 0.0]
    there = step.apply(parameters, b)
    moved = step.apply(parameters, replace(b, x=x + 1e-3))
    assert torch.equal(moved["low"], there["low"])


# Channels


def fired(chance, *, n=400, seed=0):
    g = torch.Generator().manual_seed(seed)
    channels = Columns(copy=(torch.rand(n, generator=g) < chance).float(), like=torch.ones(n))
    x = torch.randn(n, 2, generator=g)
    return Feedback(
        x, torch.zeros(n), channels=channels, eta=Columns({"network.copy": torch.full((n,), 0.5)})
    )


def test_an_activity_from_few_events_is_warned_of():
    def warning(b):
        return activity("copy", ("copy", "like"))[1].fit(b, b[NONE], 0)[1].get("warning", "")

    assert "fires in" in warning(fired(0.01))
    assert warning(fired(0.4)) == ""


def test_activities_that_are_raised_to_their_bound_are_counted_and_warned_of():
    b = fired(0.001, n=2000)
    report = activity("copy", ("copy", "like"))[1].fit(b, b[NONE], 0)[1]
    assert report["clipped"] > 20
    assert f"raised to 0.005 in {report['clipped']} of 2000 rows" in report["warning"]


def pairs(first, second, both, *, n=4000, seed=0):
    """Two channels whose rates are known, with the estimate that their products give."""
    g = torch.Generator().manual_seed(seed)
    together = (torch.rand(n, generator=g) < both).float()
    one = torch.maximum(together, (torch.rand(n, generator=g) < first - both).float())
    other = torch.maximum(together, (torch.rand(n, generator=g) < second - both).float())
    known = {(("a",),): first, (("b",),): second, (("a", "b"),): both}
    eta = Columns({rate(*k[0]).name: torch.full((n,), v) for k, v in known.items()})
    return Feedback(torch.zeros(n, 1), torch.zeros(n), channels=Columns(a=one, b=other), eta=eta)


def test_rates_at_the_floor_and_rewards_above_1_are_warned_of():
    def report(b):
        return agreement(("a", "b")).fit(b, b[NONE], 0)[1]

    fine = report(pairs(0.4, 0.4, 0.3))
    assert (fine["rates_raised"], fine["rewards_squeezed"]) == (0, 0)
    assert "warning" not in fine
    assert "to which it is raised" in report(pairs(0.02, 0.02, FLOOR / 2))["warning"]
    assert "squeezed below 1" in report(pairs(0.4, 0.4, 0.1))["warning"]


def test_channels_that_agree_on_too_few_rows_show_no_independence():
    """40 rows: the three pairs do not disagree, and could not."""

    def three(n):
        g = torch.Generator().manual_seed(1)
        good = (torch.rand(n, generator=g) < 0.5).float()
        fires = {k: good * (torch.rand(n, generator=g) < 0.6).float() for k in "abc"}
        names = ("a", "b", "c", "a&b", "a&c", "b&c", "a&b&c")
        eta = {f"channel.{k}": torch.full((n,), 0.5 * 0.6 ** len(k.split("&"))) for k in names}
        return Feedback(
            torch.zeros(n, 1), torch.zeros(n), channels=Columns(fires), eta=Columns(eta)
        )

    few, many = (
        agreement(("a", "b", "c")).fit(three(n), three(n)[NONE], 0)[1] for n in (40, 20_000)
    )
    assert min(few["test"]["p"], many["test"]["p"]) > 0.001
    assert "could not find much" in few["warning"]
    assert many["test"]["not_excluded"] < 0.1
    assert "warning" not in many


# The segment


def outcomes(m_1, m_0, *, n=20_000, spread=2.0, seed=0):
    """Ratings without noise, selected by the label, with their exact chances."""
    rng = np.random.default_rng(seed)
    gamma = expit(spread * rng.standard_normal(n))
    r = rng.random(n) < gamma
    o = rng.random(n) < np.where(r, m_1, m_0)
    up, down = gamma * m_1, (1 - gamma) * m_0
    eta = Columns(noisy=torch.from_numpy(up / (up + down)), responds=torch.from_numpy(up + down))
    y, o = (torch.from_numpy(v).double() for v in (r & o, o))
    return Feedback(torch.zeros(n, 1), y, o, eta=eta)


def test_not_rejecting_the_segment_is_said_to_be_no_evidence():
    report = label_shift(0.0, 0.0).fit(outcomes(0.5, 0.2), None, 0)[1]
    assert report["selection"] == "label"
    assert "which is no evidence for it" in report["warning"]
    assert "bound" not in report["warning"]


def test_noise_rates_that_do_not_fit_and_the_end_that_replaces_them_are_said():
    """All good answers have feedback, so the line reaches P(feedback) = 1 first."""
    report = label_shift(0.0, 0.0).fit(outcomes(1.0, 0.6), None, 0)[1]
    assert report["scale"] == "the top of the log"
    assert "taken as certainly good" in report["warning"]


# Clicks


def clicks(share, top, *, gold=None, n=400):
    y = torch.zeros(n)
    y[: round(share * n)] = 1
    labels = None
    if gold is not None:
        labels = torch.full((n,), torch.nan)
        labels[:gold] = (torch.arange(gold) % 2).float()
    return Feedback(torch.zeros(n, 1), y, gold=labels, eta=Columns(noisy=torch.full((n,), top)))


@pytest.mark.parametrize(
    ("b", "options", "said"),
    [
        (clicks(0.3, 0.2), {}, "every response would be satisfactory"),
        (clicks(0.3, 1.0), {}, "at its bound, 1"),
        (clicks(0.3, 0.6), {"false_click": 0.4}, "explains every click"),
        (
            clicks(0.2, 0.6, gold=40),
            {"gold": True},
            "of 40 gold labels, known to within about 0.15",
        ),
        (clicks(0.3, 0.6), {}, None),
        (clicks(0.2, 0.6, gold=200), {"gold": True}, None),
    ],
)
def test_an_activity_rate_at_a_bound_is_warned_of(b, options, said):
    warning = activity_rate(None, 0.99, **options).compute(b, 0)[1].get("warning")
    assert (said is None and warning is None) or said in warning
