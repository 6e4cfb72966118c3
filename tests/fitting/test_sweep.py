"""Many fits at once give what the fits one by one give."""

from dataclasses import replace

import pytest
import torch
from helpers.logs import log

from trueward.core.errors import TruewardError
from trueward.data.feedback import Columns, Labelled
from trueward.estimators._registry import make
from trueward.fitting.fit import fit
from trueward.fitting.sweep import FitJob, fit_many

SETTINGS = {"epochs": 6, "nuisance_epochs": 2, "folds": 3, "precision": "fp32"}


def logs(count=3, n=800):
    return [(log(n + 7 * k, seed=k), log(200, seed=10 + k)) for k in range(count)]


def same(one, many):
    x = log(300, seed=99).x
    return torch.allclose(one.score_features(x).reward, many.score_features(x).reward, atol=1e-5)


@pytest.mark.parametrize(
    "method",
    ["naive", make("ips"), make("dr"), make("causalrm", {"estimator": "snips"}), make("mtdr")],
    ids=str,
)
def test_seeds_trained_as_one_network_are_the_seeds_trained_one_by_one(method):
    data = logs()
    many = fit_many([FitJob(method, *d, seed=s) for s, d in enumerate(data)], **SETTINGS)
    for s, d in enumerate(data):
        one = fit(method, *d, seed=s, **SETTINGS)
        assert same(one, many[s])
        assert one.report["training"]["validation_loss"] == pytest.approx(
            many[s].report["training"]["validation_loss"], abs=1e-5
        )
        assert one.report["nuisances"].keys() == many[s].report["nuisances"].keys()


def test_rounding_does_not_depend_on_how_many_runs_are_stacked():
    data = logs(
        5
    )  # batches of unequal length, and last biases that fill no vector of the processor
    settings = {**SETTINGS, "members": 5, "epochs": 15}
    many = fit_many([FitJob("naive", *d, seed=s) for s, d in enumerate(data)], **settings)
    for s, d in enumerate(data):
        one = fit("naive", *d, seed=s, **settings)
        for a, b in zip(one.net.parameters(), many[s].net.parameters(), strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=0)


def test_threads_change_nothing_but_the_time():
    data = logs(3)
    jobs = [FitJob(m, *d, seed=s) for m in ("ips", "dr", "nnpu") for s, d in enumerate(data)]
    before = torch.get_num_threads()
    one, many = fit_many(jobs, **SETTINGS), fit_many(jobs, threads=2, **SETTINGS)
    assert torch.get_num_threads() == before
    for a, b in zip(one, many, strict=True):
        failed = isinstance(a, TruewardError)
        assert str(a) == str(b) if failed else same(a, b)


def test_runs_that_stop_early_leave_and_the_others_go_on_unchanged():
    data = logs(3)
    settings = {**SETTINGS, "epochs": 30, "lr": 0.02, "patience": 2}
    many = fit_many([FitJob("naive", *d, seed=s) for s, d in enumerate(data)], **settings)
    ones = [fit("naive", *d, seed=s, **settings) for s, d in enumerate(data)]
    assert all(map(same, ones, many))


def test_members_of_every_run_stay_its_own():
    data = logs(2)
    many = fit_many(
        [FitJob("naive", *d, seed=s) for s, d in enumerate(data)], members=3, **SETTINGS
    )
    for s, d in enumerate(data):
        assert same(fit("naive", *d, seed=s, members=3, **SETTINGS), many[s])


def test_settings_of_a_method_are_trained_together_each_with_its_own_loss():
    data = logs(1)[0]
    rates = [{"rho_01": 0.0, "rho_10": 0.0}, {"rho_01": 0.1, "rho_10": 0.3}]
    made = [make("causalrm", {"estimator": "none", **r}) for r in rates]
    many = fit_many([FitJob(m, *data) for m in made], **SETTINGS)
    assert all(same(fit(m, *data, **SETTINGS), got) for m, got in zip(made, many, strict=True))


def test_a_nuisance_that_methods_share_is_fitted_once(monkeypatch):
    from trueward.fitting import crossfit

    stages, train = [], crossfit.train_nets

    def counted(problems, cfgs, threads):
        stages.extend(p.stage for p in problems)
        return train(problems, cfgs, threads)

    monkeypatch.setattr(crossfit, "train_nets", counted)
    data = logs(2, 300)
    names = ["ips", "snips", make("dr", {"clip": 0.2})]
    fit_many([FitJob(m, *d, seed=s) for m in names for s, d in enumerate(data)], **SETTINGS)
    assert sorted(stages) == ["imputation"] * 2 + ["propensity"] * 2


def test_a_fit_that_fails_leaves_its_sentence_and_the_others_as_they_are():
    good, _ = logs(1)[0], None
    blank = replace(good[0], y=torch.zeros(len(good[0])))
    jobs = [FitJob("naive", *good), FitJob("naive", blank, good[1]), FitJob("implicitrm", *good)]
    first, second, third = fit_many(jobs, **SETTINGS)
    assert same(fit("naive", *good, **SETTINGS), first)
    assert "at least 1 response rated good" in str(second)
    assert isinstance(third, TruewardError)
    assert "identify" in str(third)


def test_the_oracle_takes_the_truth_here_too():
    train, val = logs(1)[0]
    truth = [Labelled(d.x, (d.x[:, 0] > 0).float(), group=d.group) for d in (train, val)]
    jobs = [FitJob("oracle", *truth), FitJob("naive", train, val), FitJob("oracle", train, val)]
    oracle, naive, refused = fit_many(jobs, **SETTINGS)
    assert same(fit("oracle", *truth, **SETTINGS), oracle)
    assert naive.method == "naive"
    assert "ceiling" in str(refused)


def test_a_logged_propensity_is_not_fitted():
    train, val = (
        replace(d, eta=Columns(propensity=torch.full((len(d),), 0.5))) for d in logs(1)[0]
    )
    (model,) = fit_many([FitJob("ips", train, val)], **SETTINGS)
    assert model.report["nuisances"]["propensity"]["logged"]
