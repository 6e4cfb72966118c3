"""What each method does, by hand arithmetic and on the faults its published code is known for."""

import math
from dataclasses import replace

import pytest
import torch
from helpers.toy import logits, toy

from trueward.core.errors import TruewardError
from trueward.data.feedback import Columns, Feedback, Labelled
from trueward.estimation.losses import bce, capped_bce, log_mixture, nonnegative
from trueward.estimators._registry import make, methods
from trueward.estimators.implicitrm import posteriors
from trueward.fitting.fit import fit

HALF = math.log(2)  # l(0, t) for any t


def batch(y, o, **eta):
    y, o = torch.tensor(y, dtype=torch.float64), torch.tensor(o, dtype=torch.float64)
    columns = {k: torch.as_tensor(v, dtype=torch.float64) for k, v in eta.items()}
    return Feedback(x=torch.zeros(len(y), 0), y=y, o=o, eta=Columns(columns))


def loss(name, s, b, **given):
    return float(make(name, given).loss(Columns(reward=torch.tensor(s, dtype=torch.float64)), b))


def test_naive_is_the_mean_over_rated_rows():
    b = batch([1, 0, 0], [1, 1, 0])
    # l(0, 1) = log 2;  l(log 3, 0) = log(1 + 3) = log 4;  the third row is not rated
    assert loss("naive", [0, math.log(3), 5], b) == pytest.approx((HALF + math.log(4)) / 2)


def test_ips_divides_by_the_propensity_and_by_all_rows():
    b = batch([1, 0, 0], [1, 1, 0], propensity=[0.5, 0.25, 0.1])
    expected = (HALF / 0.5 + math.log(4) / 0.25) / 3
    assert loss("ips", [0, math.log(3), 5], b) == pytest.approx(expected)


def test_snips_divides_by_the_weights():
    b = batch([1, 0, 0], [1, 1, 0], propensity=[0.5, 0.25, 0.1])
    assert loss("snips", [0, math.log(3), 5], b) == pytest.approx((2 * HALF + 4 * math.log(4)) / 6)


def test_dr_is_imputed_error_plus_weighted_residual():
    b = batch([1, 0], [1, 0], propensity=[0.5, 0.25], imputation=[0.75, 0.5])
    s = math.log(3)  # l(s, 1) = log 4/3, l(s, 0) = log 4
    e, imputed = math.log(4 / 3), 0.75 * math.log(4 / 3) + 0.25 * math.log(4)
    second = 0.5 * math.log(4 / 3) + 0.5 * math.log(4)
    assert loss("dr", [s, s], b) == pytest.approx((imputed + (e - imputed) / 0.5 + second) / 2)


def test_the_backward_surrogate_is_the_published_one():
    """l~(s,1) = ((1-rho_10) l(s,1) - rho_01 l(s,0)) / D and its mirror image."""
    rho_01, rho_10 = 0.1, 0.2
    given = {"estimator": "none", "correction": "backward", "rho_01": rho_01, "rho_10": rho_10}
    one, zero = math.log(4 / 3), math.log(4)  # at s = log 3
    up = (0.8 * one - 0.1 * zero) / 0.7
    down = (0.9 * zero - 0.2 * one) / 0.7
    s = math.log(3)
    assert loss("causalrm", [s], batch([1], [1]), **given) == pytest.approx(up)
    assert loss("causalrm", [s], batch([0], [1]), **given) == pytest.approx(down)


def test_the_forward_correction_is_the_likelihood_of_the_noisy_label():
    given = {"estimator": "none", "rho_01": 0.1, "rho_10": 0.2}
    s = math.log(3)  # P(r*=1) = .75, P(r=1) = .2 + .7 * .75 = .725
    assert loss("causalrm", [s], batch([1], [1]), **given) == pytest.approx(-math.log(0.725))
    assert loss("causalrm", [s], batch([0], [1]), **given) == pytest.approx(-math.log(0.275))


def test_the_capped_risk_stops_falling_where_the_plain_one_does_not():
    s, t = torch.tensor([4.0, 100.0]), torch.tensor([1.2, 1.2])
    assert capped_bce(s, t)[0] == bce(s, t)[0]
    assert float(bce(s, t)[1]) == pytest.approx(-20.0, abs=1e-4)
    assert float(capped_bce(s, t)[1]) == pytest.approx(-1.2, abs=1e-4)  # -6 * .2


def test_a_negative_part_of_a_risk_is_zero_and_steps_back():
    part = torch.tensor(-3.0, requires_grad=True)
    value = nonnegative(part)
    value.backward()
    assert value == 0
    assert part.grad == -1


def test_log_mixture_is_finite_far_out():
    s = torch.tensor([-800.0, 0.0, 800.0], requires_grad=True)
    v = log_mixture(s, 0.0, 0.5)
    v.sum().backward()
    assert float(v[1].detach()) == pytest.approx(math.log(0.25))
    assert v.isfinite().all()
    assert s.grad.isfinite().all()


# Faults of the authors' code, methods.md 2.11


def line(n=400, seed=0, *, noise=0.0, flip=None):
    """A log that one feature separates, half of it rated."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 5, generator=g)
    r = (x[:, 0] + noise * torch.randn(n, generator=g) > 0).float()
    o = (torch.rand(n, generator=g) < 0.5).float()
    y = r if flip is None else torch.where(torch.rand(n, generator=g) < flip, 1 - r, r)
    return Feedback(x, y * o, o, group=torch.arange(n)), Labelled(x, r, group=torch.arange(n))


def test_rates_are_estimated_once_and_do_not_move_in_training():
    train, val = line(600, 0, flip=0.15)[0], line(300, 1, flip=0.15)[0]
    model = fit("causalrm", train, val, epochs=4)
    about = model.report["nuisances"]["flip_rates"]
    assert about["rho_01"]["low"] <= 0.15 <= about["rho_01"]["high"]
    again = fit("causalrm", train, val, epochs=8)
    assert again.report["nuisances"]["flip_rates"] == about
    published = fit("causalrm", train, val, epochs=2, rates="once")
    assert published.report["nuisances"]["flip_rates"]["quantile"] == 0.99
    seen = []

    def spy(self, b, real=methods()["causalrm"].flips):
        rates = real(self, b)
        seen.append(tuple(float(r.unique()) for r in rates))
        return rates

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(methods()["causalrm"], "flips", spy)
        fit("causalrm", train, val, epochs=3)
    assert len(seen) > 3
    assert len(set(seen)) == 1


def test_known_rates_are_used_as_they_are():
    train, val = line(300, 0)[0], line(200, 1)[0]
    model = fit("causalrm", train, val, rho_01=0.1, rho_10=0.2, epochs=2)
    assert "flip_rates" not in model.report["nuisances"]


def test_the_backward_form_diverges_where_the_forward_form_does_not():
    """One label in eight is called wrong though none is: a net that separates them has no floor."""
    train, val = line(200, 0)[0], line(100, 1)[0]
    given = {"rho_01": 0.3, "rho_10": 0.3, "estimator": "none", "epochs": 300, "patience": 300}
    with pytest.raises(TruewardError, match=r"diverged.*no lower bound; use correction=forward"):
        fit("causalrm", train, val, correction="backward", **given)
    model = fit("causalrm", train, val, correction="forward", **given)
    assert min(model.report["training"]["training_loss"]) > 0
    bounded = fit("causalrm", train, val, correction="backward", risk="nonnegative", **given)
    assert min(bounded.report["training"]["training_loss"]) >= 0


def test_learners_refuse_clean_labels_and_the_oracle_refuses_logs():
    log, truth = line(100)
    with pytest.raises(TruewardError, match=r"clean labels \(Labelled\)"):
        fit("naive", truth, truth)
    with pytest.raises(TruewardError, match="a log has none"):
        fit("oracle", log, log)


# ImplicitRM


@pytest.mark.parametrize("identify", ["scar", "split", "gold"])
def test_both_forms_of_implicitrm_have_the_same_gradient(identify):
    """Fisher's identity: the EM step with fixed posteriors descends the product likelihood."""
    b = replace(toy(40), o=None)
    grads = []
    for form in ("direct", "em"):
        m = make("implicitrm", {"identify": identify, "form": form})
        out = logits(m, 40)
        m.loss(out, b).backward()
        grads.append({k: v.grad for k, v in out.items()})
    assert all(torch.allclose(grads[0][k], grads[1][k], atol=1e-6) for k in grads[0])


def test_the_four_posteriors_sum_to_one_and_the_printed_equation_does_not():
    s, v = torch.randn(9, generator=torch.Generator().manual_seed(3)), torch.linspace(-2, 2, 9)
    for y in (torch.zeros(9), torch.ones(9)):
        assert torch.allclose(sum(posteriors(s, v, y)), torch.ones(9))
    r, a = torch.sigmoid(s), torch.sigmoid(v)
    z = 1 - r * a
    # Eq. (6) as printed: the mass of PP under the name NA, that of PA under the name PP
    printed = r * (1 - a) / z + r * a / z + (1 - r) * (1 - a) / z
    assert not torch.allclose(printed, torch.ones(9), atol=0.05)


def test_clicks_alone_give_an_interval_and_no_score():
    train, val = (replace(line(300, k)[0], o=None) for k in (0, 1))
    model = fit("implicitrm", train, val, identify="none", allow_unidentified=True, epochs=3)
    scores = model.score_features(val.x)
    assert scores.reward is None
    assert scores.preferred is None
    assert (scores.low <= scores.high).all()
    assert (scores.high == 1).all()


def test_the_prior_identifies_the_scale_of_clicks():
    """Clicks on half of the good answers: with P(good) = 1/2 the mean reward is clicks / activity."""
    g = torch.Generator().manual_seed(0)
    parts = []
    for seed in (0, 1):
        _, truth = line(2000, seed, noise=0.5)
        act = (torch.rand(2000, generator=g) < 0.5).float()
        parts.append(Feedback(truth.x, truth.r * act, group=truth.group))
    model = fit("implicitrm", *parts, identify="scar", prior=0.5)
    naive = fit("naive", *parts)
    mean = float(model.score_features(parts[1].x).preferred.mean())
    pinned = float(parts[1].y.mean() / (parts[0].y.mean() / 0.5))  # .524 in this draw
    assert mean == pytest.approx(pinned, abs=0.04)  # two standard errors of mean(y) / c are .03
    assert float(naive.score_features(parts[1].x).preferred.mean()) == pytest.approx(0.25, abs=0.04)


def test_a_prior_below_the_share_of_clicks_is_refused():
    train, val = (replace(line(300, k)[0], o=None) for k in (0, 1))
    with pytest.raises(TruewardError, match="raise -o prior"):
        fit("implicitrm", train, val, identify="scar", prior=0.05, epochs=2)


def test_a_model_with_an_activity_head_on_context_scores_without_context():
    g = torch.Generator().manual_seed(0)
    logs = [
        replace(b, o=None, z=torch.randn(len(b), 2, generator=g))
        for b, _ in (line(300, k) for k in (0, 1))
    ]
    model = fit("implicitrm", *logs, identify="split", epochs=2)
    assert model.score_features(logs[1].x).preferred.isfinite().all()


def test_activity_that_is_not_logged_for_some_rows_is_left_out():
    log, _ = line(400)
    act = torch.where(torch.arange(400) % 4 == 0, torch.nan, log.o)
    b = replace(log, o=None, channels=Columns(active=act))
    assert fit("implicitrm", b, b, identify="activity", epochs=2)


def test_too_few_gold_labels_are_refused():
    log, truth = line(100)
    gold = torch.full((100,), torch.nan)
    gold[:2] = truth.r[:2]
    b = replace(log, o=None, gold=gold)
    with pytest.raises(TruewardError, match="at least 5 gold labels, and found 2"):
        fit("implicitrm", b, b, identify="gold")
