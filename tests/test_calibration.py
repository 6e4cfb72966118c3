"""Calibration on gold labels: what each kind can mend, which is chosen, and how often decisions are right."""

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from trueward.calibration import FITS, MAPS, Calibration
from trueward.data import Feedback
from trueward.errors import TruewardError, UsageError
from trueward.fit import fit
from trueward.model import load


def bent(n, seed, slope=0.5, offset=1.0):
    """P(preferred) off by a line in log-odds, and labels drawn from the truth."""
    rng = np.random.default_rng(seed)
    v = 2 * rng.standard_normal(n)
    label = (rng.random(n) < expit(v)).astype(float)
    return torch.from_numpy(expit((v - offset) / slope)), torch.from_numpy(label), expit(v)


def test_platt_undoes_a_line_in_log_odds():
    p, label, truth = bent(20_000, 0)
    found, _ = Calibration.of(p, label, None, 0)
    assert found.kind == "platt"
    assert found(p).numpy() == pytest.approx(truth, abs=0.02)


def test_what_is_right_is_left_alone():
    rng = np.random.default_rng(1)
    p = rng.uniform(0.02, 0.98, 400)
    label = torch.from_numpy((rng.random(400) < p).astype(float))
    found, about = Calibration.of(torch.from_numpy(p), label, None, 0)
    assert found.kind == "none"
    assert set(about["log_loss"]) == {"none", "platt", "beta", "isotonic"}
    assert torch.equal(found(torch.from_numpy(p)), torch.from_numpy(p))


def test_isotonic_undoes_what_no_line_does():
    """The truth is a step: .1 below 1/2 and .9 above."""
    rng = np.random.default_rng(2)
    p = rng.uniform(0.4, 0.6, 4000)
    truth = np.where(p > 0.5, 0.9, 0.1)
    label = torch.from_numpy((rng.random(4000) < truth).astype(float))
    found, _ = Calibration.of(torch.from_numpy(p), label, None, 0)
    assert found.kind == "isotonic"
    away = np.abs(p - 0.5) > 0.01
    assert found(torch.from_numpy(p)).numpy()[away] == pytest.approx(truth[away], abs=0.1)


@pytest.mark.parametrize("kind", FITS)
def test_no_kind_turns_the_order_round(kind):
    p, label, _ = bent(300, 3)
    numbers = FITS[kind](p.numpy(), label.numpy())
    assert (np.diff(MAPS[kind](np.linspace(0.01, 0.99, 99), numbers)) >= -1e-12).all()


def test_beta_by_hand():
    """a = 2, c = 1, b = 0 at P = 1/2: sigmoid(2 log .5 - log .5) = sigmoid(-log 2) = 1/3."""
    assert MAPS["beta"](np.array([0.5]), np.array([2.0, 1.0, 0.0]))[0] == pytest.approx(1 / 3)


def test_the_conformal_set_by_hand():
    """Nine misfits of .1 to .9: at level .7 the 7th, .7; P = .6 could be either, .8 is good, .2 is bad."""
    c = Calibration("none", torch.zeros(0), torch.arange(1, 10) / 10)
    assert c.decided(torch.tensor([0.6, 0.8, 0.2]), 0.7).tolist() == [-1, 1, 0]
    assert c.decided(torch.tensor([0.99]), 0.95).tolist() == [-1], (
        "nine labels are not sure of that"
    )
    with pytest.raises(UsageError, match=r"between 0\.5 and 1"):
        c.decided(torch.tensor([0.5]), 1.0)


@pytest.mark.slow
def test_sets_have_the_label_as_often_as_was_asked():
    """500 worlds of 300 gold labels: coverage of the sets at 90 %; a standard error of the mean is .001."""
    rates = []
    for seed in range(500):
        p, label, _ = bent(300, seed)
        c, _ = Calibration.of(p, label, None, seed)
        q, truth, _ = bent(200, 10_000 + seed)
        said = c.decided(c(q), 0.9)
        rates.append(float(((said == -1) | (said == truth)).double().mean()))
    assert 0.88 < np.mean(rates) < 0.93


def log(n=800, seed=0, golds=200):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=g)
    r = (x[:, 0] + 0.5 * torch.randn(n, generator=g) > 0).float()
    o = (torch.rand(n, generator=g) < 0.1 + 0.5 * r).float()
    gold = torch.where(torch.randperm(n, generator=g) < golds, r, torch.nan)
    return Feedback(x, r * o, o, gold=gold, group=torch.arange(n)), r


def test_a_calibrated_model_keeps_its_order_and_survives_a_save(tmp_path):
    b, r = log()
    model = fit("naive", *b.split(0.2))
    better = model.calibrated(b)
    before, after = model.score_features(b.x), better.score_features(b.x)
    error = [float(((s.preferred - r) ** 2).mean()) for s in (before, after)]
    assert error[1] < error[0], "naive is too sure where the good react more"
    assert better.report["calibration"]["gold"] == 200
    better.save(tmp_path / "rm")
    again = load(tmp_path / "rm")
    assert torch.equal(again.score_features(b.x).preferred, after.preferred)
    assert torch.equal(again.calibration.misfit, better.calibration.misfit)
    assert logit(float(after.preferred[0])) == pytest.approx(float(after.reward[0]), abs=1e-3)


def test_calibrating_again_starts_from_the_model_itself():
    b, _ = log()
    model = fit("naive", *b.split(0.2))
    once, twice = model.calibrated(b), model.calibrated(b).calibrated(b)
    assert torch.equal(once.score_features(b.x).preferred, twice.score_features(b.x).preferred)


@pytest.mark.parametrize(("golds", "words"), [(0, "found none"), (5, "at least 10")])
def test_too_few_gold_labels_are_refused(golds, words):
    b, _ = log(golds=golds)
    model = fit("naive", *log()[0].split(0.2))
    with pytest.raises(TruewardError, match=words):
        model.calibrated(b)
