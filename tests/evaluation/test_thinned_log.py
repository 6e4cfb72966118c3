"""A log that kept 1 in 10 of its unrated responses, with weight 10: figures are of all that were shown."""

import numpy as np
import pytest
import torch

import trueward as tw
from trueward.evaluation.measure import measure
from trueward.evaluation.prediction_powered import AuditRows

METRICS = ("auroc", "r2", "brier", "nll", "bias", "pair_accuracy")


def shown(prompts=1200):
    """Responses that were shown, 3 a prompt: good ones are rated less often than bad ones."""
    g = torch.Generator().manual_seed(5)
    n = 3 * prompts
    x = torch.randn(n, 3, generator=g)
    r = (torch.rand(n, generator=g) < torch.sigmoid(1.5 * x[:, 0] + 0.5)).float()
    o = (torch.rand(n, generator=g) < torch.where(r > 0, 0.08, 0.25)).float()
    kept = (o > 0) | (torch.rand(n, generator=g) < 0.1)
    gold = torch.where(torch.rand(n, generator=g) < 0.3, r, torch.nan)
    weight = torch.where(o > 0, 1.0, 10.0)
    log = tw.Feedback(x, r * o, o, gold=gold, weight=weight, group=torch.arange(n) // 3)
    return x, r, log[kept.nonzero()[:, 0]]


@pytest.fixture(scope="module")
def thinned():
    x, r, log = shown()
    return x, r, log, tw.fit("naive", *log.split(0.2, 0), epochs=5)


def test_an_audit_is_of_the_responses_that_were_shown(thinned):
    x, r, log, model = thinned
    p = model.score_features(x).preferred
    found = tw.audit(model, log)
    known = {"good": float(r.mean()), "brier": float((p - r).square().mean())}
    for name, value in known.items():
        assert found[name].low < value < found[name].high, name
    assert (
        float((log.gold.nan_to_num() @ (~log.gold.isnan()).float()) / len(log.audited))
        < 0.9 * (known["good"])
    ), "the rows that were kept are worse"


def test_sensitivity_calibration_and_anchored_are_of_the_responses_that_were_shown(thinned):
    x, r, log, model = thinned
    truth = float(r.mean())
    mean = float(model.score_features(x).preferred.mean())
    at_one = tw.sensitivity(model, log).odds[10]
    assert at_one.mean == pytest.approx(mean, abs=0.03)
    calibrated = tw.calibrate(model, log)
    assert float(calibrated.score_features(x).preferred.mean()) == pytest.approx(truth, abs=0.06)
    anchored = tw.fit("anchored", *log.split(0.2, 0), nuisance_epochs=3)
    assert float(anchored.score_features(x).preferred.mean()) == pytest.approx(truth, abs=0.06)


@pytest.mark.parametrize("weighted", [False, True])
def test_graded_labels_give_the_same_figures_as_a_test_and_as_gold_labels_of_a_log(weighted):
    """Means of three annotators of every row: `evaluate TEST` and `evaluate --log`."""
    rng = np.random.default_rng(0)
    n, group = 600, np.repeat(np.arange(300), 2)
    q = rng.random(n)
    p = np.clip(q + 0.1 * rng.normal(size=n), 0.01, 0.99)
    graded = rng.binomial(3, q, size=n) / 3
    w = rng.integers(1, 11, n).astype(float) if weighted else np.ones(n)
    test = measure(p, r=graded, group=group, weight=w, draws=0)
    rows = AuditRows(p, p, graded, q, group, represents=w, label_weight=w)
    for name in METRICS:
        found, alone = rows.estimate(name)
        assert found.value == pytest.approx(test[name].value, abs=1e-12), name
        assert alone.value == pytest.approx(test[name].value, abs=1e-12), name
        assert found.low == found.high == found.value, "no label is missing"
    accuracy = np.average(np.where(p > 0.5, graded, 1 - graded), weights=w)
    assert rows.estimate("accuracy")[0].value == pytest.approx(accuracy)
