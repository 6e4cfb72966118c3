"""Rows count by ``weight`` and gold labels by ``weight`` x ``gold_weight``, everywhere."""

import itertools
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

import trueward as tw
from trueward.data.feedback import Columns, Feedback
from trueward.evaluation.prediction_powered import AuditRows
from trueward.evaluation.sensitivity import sensitivity

N = 60
METRICS = ("auroc", "r2", "brier", "nll", "accuracy", "bias", "good", "pair_accuracy")


def rows():
    """60 responses to 20 prompts with their signal probabilities; every third has a gold label."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(N, 4, generator=g)
    r = (x[:, 0] + 0.5 * torch.randn(N, generator=g) > 0).float()
    o = (torch.rand(N, generator=g) < 0.5).float()
    p = torch.rand(N, generator=g) * 0.8 + 0.1
    gold = torch.where(torch.arange(N) % 3 == 0, r, torch.nan)
    known = Columns(noisy=p, responds=torch.sigmoid(x[:, 1]))
    return Feedback(x, r * o, o, gold=gold, group=torch.arange(N) // 3, eta=known)


@pytest.fixture(scope="module")
def pair():
    """The log with weights 1, 2 and 3, and the log in which every row is there as often."""
    log, times = rows(), torch.arange(N) % 3 + 1
    weighted = replace(log, weight=times.float())
    return weighted, log[torch.arange(N).repeat_interleave(times)]


@pytest.fixture(scope="module")
def model():
    return tw.fit("naive", *rows().split(0.3), epochs=1, nuisance_epochs=1)


def numbers(value):
    """All numbers of a result as plain data, in order."""
    if isinstance(value, dict):
        return [n for v in value.values() for n in numbers(v)]
    if isinstance(value, list | tuple):
        return [n for v in value for n in numbers(v)]
    return [float(value)] if isinstance(value, int | float) else []


def test_sensitivity_of_weighted_rows_is_that_of_repeated_ones(model, pair):
    weighted, repeated = (sensitivity(model, log).to_json() for log in pair)
    for part in ("odds", "worst", "noise", "flips"):
        assert numbers(weighted[part]) == pytest.approx(
            numbers(repeated[part]), abs=2e-3, nan_ok=True
        )
    assert weighted["gold"][0] == pytest.approx(repeated["gold"][0])


def audit_rows(log, gold=None, weight=None):
    p = log.eta.responds.double().numpy()
    gold = log.gold.double().numpy() if gold is None else gold
    w = log.row_weight.numpy()
    labels = log.label_weight.numpy() if weight is None else weight
    return AuditRows(
        p, p, gold, log.eta.noisy.double().numpy(), log.group.numpy(), False, None, w, labels
    )


@pytest.mark.parametrize("metric", METRICS)
def test_gold_labels_alone_of_weighted_rows_give_the_values_of_repeated_ones(pair, metric):
    weighted, repeated = (audit_rows(log).estimate(metric)[1] for log in pair)
    assert weighted.value == pytest.approx(repeated.value, abs=1e-12)


@pytest.mark.parametrize("table", ["coverage", "balance"])
def test_shares_of_inspect_are_those_of_repeated_rows(table):
    frame = pl.DataFrame(
        {
            "prompt": [f"p{k // 2}" for k in range(80)],
            "response": [f"r{k}" for k in range(80)],
            "feedback": [1.0, 0.0, None, None, None] * 16,
            "weight": [1.0, 2.0, 10.0, 10.0, 10.0] * 16,
        }
    )
    log = tw.read_log(frame)
    repeated = tw.read_log(
        frame.select(pl.all().repeat_by(pl.col("weight").cast(pl.Int64)).explode()).drop("weight")
    )
    found = [next(f for f in tw.inspect(v).findings if f.name == table) for v in (log, repeated)]
    share = {"coverage": "share", "balance": "share_good"}[table]
    assert found[0].figures[share] == pytest.approx(found[1].figures[share])
    assert "by weight" in found[0].message
    assert "by weight" not in found[1].message


def test_labels_of_unequal_known_chances_are_unbiased_by_their_weights_alone():
    """All 64 samples of 6 responses whose labels are drawn one by one with chances .2 and .8."""
    r = np.array([1.0, 1, 1, 0, 0, 0])
    chance = np.array([0.2, 0.2, 0.8, 0.8, 0.8, 0.2])
    total = plain = 0.0
    for drawn in itertools.product([False, True], repeat=6):
        d = np.array(drawn)
        probability = float(np.where(d, chance, 1 - chance).prod())
        gold = torch.from_numpy(np.where(d, r, np.nan))
        log = Feedback(
            torch.zeros(6, 1), torch.zeros(6), gold=gold, gold_weight=torch.from_numpy(1 / chance)
        )
        total += probability * float(log.label_weight @ gold.nan_to_num()) / 6
        plain += probability * (r[d].mean() if d.any() else 0.5)
    assert total == pytest.approx(r.mean())
    assert abs(plain - r.mean()) > 0.05


def test_an_audit_is_right_on_chosen_labels_with_gold_weight_and_wrong_without(pair):
    """200 draws of labels, good answers 4 times as likely as bad: the mean of `good` is the log's share."""
    log = rows()
    r = (log.x[:, 0] > 0).double().numpy()
    chance = np.where(r > 0.5, 0.8, 0.2)
    rng, with_weight, without = np.random.default_rng(0), [], []
    for _ in range(200):
        drawn = rng.random(N) < chance
        gold = np.where(drawn, r, np.nan)
        plain = drawn.astype(float)
        with_weight.append(audit_rows(log, gold, plain / chance).estimate("good")[0].value)
        without.append(audit_rows(log, gold, plain).estimate("good")[0].value)
    error = 4 * np.std(with_weight) / np.sqrt(200)
    assert (
        abs(np.mean(with_weight) - r.mean()) < error + 0.01
    )  # ratio estimates: bias of order 1 / n
    assert np.mean(without) - r.mean() > 0.15
