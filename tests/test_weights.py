"""Rows count by ``weight`` and gold labels by ``weight`` x ``gold_weight``, everywhere."""

import inspect
import itertools
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

import trueward as tw
from trueward.core.errors import UsageError
from trueward.data.feedback import Columns, Feedback
from trueward.evaluation.prediction_powered import AuditRows
from trueward.evaluation.sensitivity import sensitivity
from trueward.fitting.sweep import FitJob

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


# thinning 10:1
def thinned():
    """100 prompts of 3 answers: 1 in 10 unrated ones was kept, with weight 10; a third have gold labels."""
    g = torch.Generator().manual_seed(1)
    x = torch.randn(300, 4, generator=g)
    r = (x[:, 0] + 0.5 * torch.randn(300, generator=g) > -0.3).float()
    o = (torch.rand(300, generator=g) < torch.where(r > 0, 0.3, 0.8)).float()
    eta = Columns(noisy=torch.sigmoid(x[:, 0]), responds=torch.sigmoid(x[:, 1] - x[:, 0]))
    gold = torch.where(torch.rand(300, generator=g) < 0.4, r, torch.nan)
    weight = torch.where(o > 0, 1.0, 10.0)
    log = Feedback(x, r * o, o, gold=gold, group=torch.arange(300) // 3, eta=eta, weight=weight)
    return log, tw.Labelled(x, r, group=log.group, weight=weight)


def whole(rows):
    """The rows as they were before they were thinned."""
    times = rows.weight.long()
    return replace(rows[torch.arange(len(rows)).repeat_interleave(times)], weight=None)


def texts(log):
    """The same rows as a table with texts."""
    n, rated = len(log), log.o.numpy() > 0
    return pl.DataFrame(
        {
            "prompt": [f"question {k // 3}" for k in range(n)],
            "response": [
                f"{'yes' if v > 0 else 'no'} answer {k}" for k, v in enumerate(log.x[:, 0])
            ],
            "feedback": [float(y) if o else None for y, o in zip(log.y, rated, strict=True)],
            "label": [float(v > 0) for v in log.x[:, 0]],
            "weight": log.weight.double().numpy(),
        }
    )


def repeated(frame):
    times = pl.col("weight").cast(pl.Int64)
    return frame.select(pl.all().repeat_by(times)).explode(pl.all()).drop("weight")


def check_audit(model):
    log, _ = thinned()
    found, before = tw.audit(model, log), tw.audit(model, whole(log))
    for name in METRICS:
        assert found.gold_alone[name].value == pytest.approx(before.gold_alone[name].value), name
        assert found[name].value == pytest.approx(before[name].value, abs=0.03), name
    unweighted = tw.audit(model, replace(log, weight=None))
    assert abs(unweighted["good"].value - before["good"].value) > 0.06


def check_bounds(model):
    log, _ = thinned()
    found, before = (tw.bounds(model, v).mean for v in (log, whole(log)))
    for a, b in zip(found, before, strict=True):
        assert (a.low, a.high) == pytest.approx((b.low, b.high))


def check_calibrate(model):
    log, _ = thinned()
    population = whole(log)
    mean = [
        float(tw.calibrate(model, v).score_features(population.x).preferred.mean())
        for v in (log, population, replace(log, weight=None))
    ]
    assert mean[0] == pytest.approx(mean[1], abs=0.005)
    assert abs(mean[2] - mean[1]) > 0.04


def check_evaluate(model):
    _, truth = thinned()
    found, before = (tw.evaluate(model, v, draws=0) for v in (truth, whole(truth)))
    for name in set(found) - {
        "best_of_n_lift"
    }:  # of prompts: how many answers one has is not thinned
        assert found[name].value == pytest.approx(before[name].value), name


def check_sensitivity(model):
    log, _ = thinned()
    found, before = (tw.sensitivity(model, v).to_json() for v in (log, whole(log)))
    for part in ("odds", "worst", "noise"):
        assert numbers(found[part]) == pytest.approx(numbers(before[part]), abs=1e-3)
    assert found["gold"][0] == pytest.approx(before["gold"][0])


def check_plan(model):
    """Labels needed by hand: 300 rows, each with its share w of the population; V = 300 sum w^2 P (1 - P)."""
    log = replace(thinned()[0], gold=None)
    p = model.score_features(log.x).preferred.double()
    w = log.row_weight / log.row_weight.sum()
    v = float(300 * (w**2) @ (p * (1 - p))) * (2 * 1.96 / 0.2) ** 2
    assert tw.plan(model, log, "good", 0.2).needed == int(np.ceil(300 * v / (300 + v)))
    drawn = tw.plan(model, log, "good", 0.1, draw="chance")
    represented = float(log.row_weight[drawn.rows] @ drawn.gold_weight)
    assert represented == pytest.approx(float(log.row_weight.sum()), rel=0.15)


def check_refute(_model):
    log = thinned()[0]
    log = replace(log, eta=Columns(), weight=torch.where(log.x[:, 2] > 0, 1.0, 10.0))
    found = [
        tw.refute("naive", v, only=["leaked_label"]).checks[0].found for v in (log, whole(log))
    ]
    assert found[0] == pytest.approx(found[1])


def check_inspect(_model):
    frame = texts(thinned()[0])
    found = [tw.inspect(tw.read_log(v)) for v in (frame, repeated(frame))]
    assert found[0].coverage == pytest.approx(found[1].coverage)


def check_encode(_model):
    frame = texts(thinned()[0])
    for rows in (tw.read_log(frame), tw.read_test(frame)):
        assert tw.encode(rows).row_weight.tolist() == frame["weight"].to_list()


def check_report(_model):
    """The metrics of the page about a test are those of `evaluate`, which counts its weights."""
    frame = texts(thinned()[0])
    model = tw.fit("naive", *tw.encode(tw.read_log(frame)).split(0.2), epochs=1)
    means = []
    for test in (frame, repeated(frame)):
        page = str(tw.report(model, test=tw.read_test(test)))
        means.append(re.search(r"'brier', '([0-9.]+)", page).group(1))
    assert means[0] == means[1]


def check_fit(_model):
    """Bad answers were thinned 10:1; the mean P(preferred) is the share of good answers before that."""
    log = thinned()[0]
    log = replace(log, o=torch.ones(300), y=log.gold.nan_to_num(0.7).round(), gold=None)
    log = replace(log, eta=Columns(), weight=torch.where(log.y > 0, 1.0, 10.0))
    share = float(log.row_weight @ log.y.double() / log.row_weight.sum())
    parts = log.split(0.2)
    for model in (tw.fit("naive", *parts), *tw.fit_many([FitJob("naive", *parts)])):
        p = model.score_features(log.x).preferred.double()
        assert float(log.row_weight @ p / log.row_weight.sum()) == pytest.approx(share, abs=0.06)


def check_asked_share(_model):
    """Every response was asked at .5; the silent with a gold label are half of the silent."""
    frame = texts(thinned()[0]).with_columns(
        gold=pl.when(pl.col("feedback").is_null() & (pl.int_range(pl.len()) % 2 == 0))
        .then(pl.int_range(pl.len()) % 3 / 2)
        .otherwise(None),
        asked=1,
        p_ask=0.5,
    )
    found = [tw.asked_share(tw.read_log(v)).share.value for v in (frame, repeated(frame))]
    assert found[0] == pytest.approx(found[1])


def check_sample_unrated(_model):
    """Of rows of weight 10 a sample stands for as many responses as one of ten rows for each."""
    frame = texts(thinned()[0])
    sums = []
    for table in (frame, repeated(frame)):
        log = tw.read_log(table)
        rated = int(log.frame["feedback"].is_not_null().sum())
        sample = tw.sample_unrated(log, (len(log) - rated) / rated / 2)
        sums.append(sample.row_weight.sum())
        assert sums[-1] == pytest.approx(log.row_weight.sum(), rel=0.1)
    assert sums[0] == pytest.approx(sums[1], rel=0.1)


#: every public function that computes from rows
COUNTS = {
    "asked_share": check_asked_share,
    "audit": check_audit,
    "bounds": check_bounds,
    "calibrate": check_calibrate,
    "encode": check_encode,
    "evaluate": check_evaluate,
    "fit": check_fit,
    "fit_many": check_fit,
    "inspect": check_inspect,
    "plan": check_plan,
    "read_log": check_encode,
    "read_test": check_encode,
    "sample_unrated": check_sample_unrated,
    "refute": check_refute,
    "report": check_report,
    "sensitivity": check_sensitivity,
}
#: public functions without an expectation over the rows of a log or a test
OTHERS = {
    "ask": "draws one response",
    "check_asks": "tests the draws, one a response",
    "plan_asks": "computes from numbers of responses",
    "plan_silent": "draws rows of those who were asked, each with the same chance",
    "label_page": "shows responses to people",
    "merge_labels": "keeps the weights of the plan, see tests/asking/labels",
    "judge_responses": "sends each response once",
    "with_judge": "joins a column to the rows",
    "allow_endpoint": "names a server",
    "align": "trains a policy on prompts",
    "card": "describes a method",
    "evaluate_comparisons": "counts comparisons, which have weights of their own",
    "evaluate_pairs": "reads pairs of published files, which have no weights",
    "export": "writes a model",
    "import_log": "makes the rows",
    "leaderboard": "counts comparisons, which have weights of their own",
    "load": "reads a model",
    "methods": "lists methods",
    "monitor": "counts them, see tests/production/test_drifts",
    "precomputed": "names features",
    "push": "sends each score once",
    "simulate": "makes the rows",
    "track": "sends the metrics of a run as they are",
    "training_data": "writes a record for every response",
    "tune": "draws its batches as fit does",
    "verify_export": "compares scores row by row",
}


def test_every_public_function_is_known_to_count_weights_or_to_have_nothing_to_count():
    public = {n for n in tw.__all__ if inspect.isfunction(getattr(tw, n))}
    assert public == {*COUNTS, *OTHERS}


@pytest.mark.parametrize("check", sorted({*COUNTS.values()}, key=lambda f: f.__name__))
def test_thinning_rows_10_to_1_with_weight_10_changes_no_expectation(model, check):
    check(model)


# labels of unequal chances
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


def chosen():
    """1,200 responses; good ones were labelled with chance .8, bad ones with chance .2."""
    g = torch.Generator().manual_seed(2)
    x = torch.randn(1200, 3, generator=g)
    r = (x[:, 0] + torch.randn(1200, generator=g) > 0).float()
    o = (torch.rand(1200, generator=g) < 0.3).float()
    chance = torch.where(r > 0, 0.8, 0.2)
    gold = torch.where(torch.rand(1200, generator=g) < chance, r, torch.nan)
    eta = Columns(noisy=torch.sigmoid(1.5 * x[:, 0]), responds=torch.full((1200,), 0.3))
    group = torch.arange(1200) // 3
    log = Feedback(x, r * o, o, gold=gold, gold_weight=1 / chance, group=group, eta=eta)
    return log, r


@pytest.fixture(scope="module")
def plain():
    return tw.fit("naive", *replace(chosen()[0], eta=Columns()).split(0.2), epochs=3)


def share_good(kind, model, log):
    """What a function says of the share of good responses."""
    if kind == "audit":
        return tw.audit(model, log)["good"].value
    if kind == "calibrate":
        return float(tw.calibrate(model, log).score_features(log.x).preferred.mean())
    if kind == "anchored":
        fitted = tw.fit("anchored", *replace(log, eta=Columns()).split(0.2), nuisance_epochs=3)
        return float(fitted.score_features(log.x).preferred.mean())
    frame = pl.DataFrame(
        {
            "prompt": [f"p{k // 3}" for k in range(len(log))],
            "response": [f"r{k}" for k in range(len(log))],
            "feedback": [float(y) if o else None for y, o in zip(log.y, log.o, strict=True)],
            "gold": log.gold.double().numpy(),
            **(
                {} if log.gold_weight is None else {"gold_weight": log.gold_weight.double().numpy()}
            ),
        }
    ).with_columns(pl.col("gold").fill_nan(None))
    findings = tw.inspect(tw.read_log(frame)).findings
    return next(f for f in findings if f.name == "gold_by_reaction").figures["unrated"]


@pytest.mark.parametrize("kind", ["audit", "calibrate", "anchored", "inspect"])
def test_labels_that_were_chosen_by_known_chances_are_usable_with_their_gold_weight(kind, plain):
    """The share of good responses is off by less than .05 with the weights, and by .1 or more without."""
    log, r = chosen()
    truth = float(r.mean())
    assert share_good(kind, plain, log) == pytest.approx(truth, abs=0.05)
    assert share_good(kind, plain, replace(log, gold_weight=None)) - truth > 0.1


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


def test_a_draw_for_a_smaller_width_contains_that_for_a_larger_one(plain):
    log = replace(chosen()[0], gold=None, gold_weight=None)
    first, more = (tw.plan(plain, log, "brier", w, draw="chance") for w in (0.08, 0.06))
    assert set(first.rows.tolist()) < set(more.rows.tolist())
    again = more.gold_weight[torch.isin(more.rows, first.rows)]
    assert (again <= first.gold_weight).all()


def test_a_uniform_draw_beside_labels_of_unequal_chances_is_refused(plain):
    log = chosen()[0]
    with pytest.raises(UsageError, match="with the same seed and a smaller width"):
        tw.plan(plain, log, "brier", 0.005)
    with pytest.raises(UsageError, match="is for a log without gold labels"):
        tw.plan(plain, log, "brier", 0.005, draw="chance")
