"""Rewards put together from nuisances: the same numbers for any row, in memory, saved, in a sweep."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from sklearn.metrics import roc_auc_score

from trueward.data.feedback import Columns, Feedback
from trueward.fitting.fit import configure, fit
from trueward.fitting.out_of_fold import estimate_nuisances
from trueward.fitting.prepared import PreparedLog
from trueward.fitting.sweep import FitJob, fit_many
from trueward.model.reward_model import load


def log(n=600, d=64, seed=0, *, golds=100):
    """Wide features for ``nuisance_width`` 16; feedback on half of the rows, more of the good ones."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g)
    r = (x[:, 0] > 0).float()
    o = (torch.rand(n, generator=g) < 0.2 + 0.5 * r).float()
    gold = torch.where(torch.arange(n) < golds, r, torch.nan)
    fires = {k: r * (torch.rand(n, generator=g) < 0.4) for k in ("copy", "like")}
    return Feedback(x, r * o, o, channels=Columns(fires), gold=gold, group=torch.arange(n))


OPTIONS = {"nuisance_width": 16, "precision": "fp32", "nuisance_epochs": 4}


def fitted(name="anchored", **options):
    return fit(name, log(), log(200, seed=1), **OPTIONS, **options)


@cache
def usual(name="anchored", seed=0):
    """The model of a method, fitted once; no test changes it."""
    return fitted(name, seed=seed)


@pytest.mark.parametrize("name", ["anchored", "three_outcome"])
def test_it_scores_the_features_themselves_by_one_member_a_fold(name):
    model, test = usual(name), log(300, seed=2)
    assert model.net.members == 5
    s = model.score_features(test.x)
    assert roc_auc_score(test.x[:, 0] > 0, s.reward) > 0.6  # a coin: .5 +- .033
    assert (s.spread > 0).any()


def test_what_a_member_says_follows_from_its_nuisances():
    """three_outcome without selection on more than the label: P from P(up) and P(down) of the same member."""
    model, test = fitted("three_outcome", form="two_step"), log(50, seed=2)
    x = model.standardizer(test.x, torch.float32)
    lead = x @ model.net.projection
    shift = model.estimator.nuisances[-1]
    with torch.no_grad():
        eta = {
            k: torch.sigmoid((nets[0]({"x": lead}).reward + nets[1]({"x": x}).reward)[3] / 2)
            for k, nets in model.net.parts.items()
            if isinstance(nets, tuple)
        }
    b = Feedback(lead, torch.zeros(50), torch.zeros(50), eta=Columns(eta))
    by_hand = shift.apply(model.net.parts["label_shift"], b)["target"]
    found = torch.sigmoid(model.net({"x": x}).reward[3])
    assert found.numpy() == pytest.approx(by_hand.numpy(), abs=1e-5)


def test_the_mean_over_the_folds_is_what_the_validation_rows_were_given():
    """Their nuisances are the sigmoid of the mean logit over folds and views, the calibration included."""
    train, val = log(), log(200, seed=1)
    made, cfg = configure("three_outcome", OPTIONS)
    prepared = PreparedLog.of(made, train, val, cfg)
    ready = estimate_nuisances(made, prepared.cross_fit_data(cfg))
    model = usual("three_outcome")
    x = model.standardizer(val.x, torch.float32)
    for name in ("noisy", "responds"):
        one, two = model.net.parts[name]
        with torch.no_grad():
            logit = (one({"x": x @ model.net.projection}).reward + two({"x": x}).reward) / 2
        p = torch.sigmoid(logit.mean(0))
        assert p.numpy() == pytest.approx(ready.val[name].numpy(), abs=1e-4)
        assert model.report["nuisances"][name]["calibration"]["slope"] != 1


@pytest.mark.parametrize("name", ["anchored", "three_outcome", "channels"])
def test_saved_and_read_again_it_is_the_same(name, tmp_path):
    model = fitted(name, form="ratio") if name == "channels" else usual(name)
    test = log(100, seed=2)
    model.save(tmp_path / "rm")
    one, two = (m.score_features(test.x).columns() for m in (model, load(tmp_path / "rm")))
    ends = {"low", "high"} if name == "anchored" else set()
    assert (
        one.keys()
        == two.keys()
        == {"reward", "preferred", "spread", "out_of_distribution", "far"} | ends
    )
    for k, v in one.items():
        assert torch.equal(v, two[k]), k


def test_a_sweep_gives_the_numbers_of_single_fits():
    train, val, test = log(), log(200, seed=1), log(100, seed=2)
    jobs = [
        FitJob(name, train, val, seed) for name in ("anchored", "three_outcome") for seed in (0, 1)
    ]
    for job, model in zip(jobs, fit_many(jobs, **OPTIONS), strict=True):
        alone = usual(job.method, job.seed)
        one, two = (m.score_features(test.x).preferred for m in (alone, model))
        assert one.numpy() == pytest.approx(two.numpy(), abs=1e-4)


def test_an_interrupted_fit_goes_on_to_the_same_model(tmp_path):
    """Stopped in the second view of the first nuisance, it does not train the first view again."""
    stages = []

    def stop(stage, *_):
        if stage == "whole.noisy":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(checkpoint=tmp_path / "saved", progress=stop)
    again = fitted(checkpoint=tmp_path / "saved", progress=lambda stage, *_: stages.append(stage))
    assert "noisy" not in stages
    assert "responds" in stages
    test = log(100, seed=2)
    assert torch.equal(usual().score_features(test.x).reward, again.score_features(test.x).reward)


def test_options_of_a_training_that_there_is_not_are_said_to_do_nothing():
    assert usual().report["warnings"] == []
    said = fitted(members=3, lr=0.1).report["warnings"]
    assert said[0].startswith("members, lr had no effect")


def test_where_the_log_brings_its_nuisances_along_a_network_learns_what_follows_from_them():
    """No network gives the nuisances of other rows then, so the reward has to be one of its own."""
    train, val = (
        replace(b, eta=Columns(noisy=b.y * 0.6 + 0.2, responds=b.o * 0.6 + 0.2))
        for b in (log(), log(200, seed=1))
    )
    model = fit("anchored", train, val, precision="fp32")
    assert model.report["training"]["validation_loss"]
    assert model.score_features(log(20, seed=2).x).low is None


def test_gold_labels_alone_need_no_network(tmp_path):
    model = fitted(signals="none")
    assert model.net.members == 1
    model.save(tmp_path / "rm")
    test = log(300, seed=2)
    s = load(tmp_path / "rm").score_features(test.x)
    good = test.x[:, 0] > 0
    assert s.reward[good].mean() > s.reward[~good].mean()
