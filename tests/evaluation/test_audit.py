"""Evaluation by a few gold labels and the log: by hand, against the truth, and as often right as it says."""

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from scipy.special import expit

from trueward.core.errors import TruewardError, UsageError
from trueward.data.feedback import Columns, Feedback, Labelled
from trueward.evaluation.audit import audit, gold_probability
from trueward.evaluation.evaluate import evaluate
from trueward.evaluation.influence_functions import INFLUENCE_FUNCTIONS
from trueward.evaluation.likeness import UNLIKE, likeness
from trueward.evaluation.log_signals import signal_probabilities
from trueward.evaluation.measure import measure
from trueward.evaluation.prediction_powered import AuditRows
from trueward.evaluation.sample_size import plan, worst_case_variance
from trueward.fitting.fit import fit

METRICS = (*INFLUENCE_FUNCTIONS, "pair_accuracy")


def world(seed, *, n=2000, golds=300, answers=4, by_prompt=False):
    """Score, gold label or NaN, g, prompt and truth; prompts differ, good answers get more feedback."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n // answers), answers)
    x = rng.standard_normal((n, 6))
    u = x[:, 0] + 0.5 * x[:, 1] + 0.7 * rng.standard_normal(n // answers)[group]
    r = (rng.random(n) < expit(1.5 * u)).astype(float)
    o = (rng.random(n) < np.where(r > 0, 0.4, 0.15)).astype(float)
    y = np.where(rng.random(n) < 0.15, 1 - r, r) * o
    chosen = rng.choice(n, golds, replace=False)
    if by_prompt:
        chosen = np.isin(group, rng.choice(n // answers, golds // answers, replace=False))
    gold = np.full(n, np.nan)
    gold[chosen] = r[chosen]
    s = x @ np.array([1.2, 0.1, 0.5, 0, 0, 0])
    table = np.stack([s, o * y, o * (1 - y)], 1)
    g = gold_probability((table - table.mean(0), x / np.sqrt(6)), gold, group, seed)
    return AuditRows(expit(s), s, gold, g, group), r


def truth(rows, r):
    found = measure(rows.p, score=rows.s, r=r, group=rows.group, draws=0)
    known = {k: found[k].value for k in METRICS if k in found}
    return known | {"accuracy": np.mean((rows.p > 0.5) == r), "good": r.mean()}


def test_with_every_row_audited_the_figures_are_those_of_evaluate():
    rows, r = world(0, n=200, golds=200)
    known = truth(rows, r)
    for name in METRICS:
        with_log, alone = rows.estimate(name)
        assert with_log.value == pytest.approx(known[name], abs=1e-9), name
        assert alone.value == pytest.approx(known[name], abs=1e-9), name
        assert with_log.high - with_log.low == pytest.approx(0, abs=1e-9), (
            "nothing is left to chance"
        )


def test_a_mean_by_hand():
    """20 rows of p .8 with labels 1 and 0, and 20 more; a perfect g = r takes the place of the labels.

    Brier scores .04, .64 | .04, .64: the mean over all rows is .34 whatever the two labels say.
    """
    p, r = np.full(40, 0.8), np.tile([1.0, 0.0], 20)
    gold = np.where(np.arange(40) < 20, r, np.nan)
    found, alone = AuditRows(p, p, gold, r, np.arange(40)).estimate("brier")
    assert found.value == pytest.approx(0.34)
    assert (found.low, found.high) == pytest.approx((0.34, 0.34), abs=1e-9)
    assert alone.value == pytest.approx(0.34)
    assert alone.high > 0.4


def test_graded_labels_give_the_figures_of_evaluate():
    """Labels .5 and 1 at p .5 and .5: Brier (0 + .25) / 2, nll log 2, accuracy of P > 1/2 (.5 + 0) / 2."""
    p, r = np.full(40, 0.5), np.tile([0.5, 1.0], 20)
    rows = AuditRows(p, p, r, p, np.arange(40) // 2)
    for name, value in {"brier": 0.125, "nll": np.log(2), "accuracy": 0.25, "bias": -0.25}.items():
        assert rows.estimate(name)[0].value == pytest.approx(value), name
    rng = np.random.default_rng(0)
    q = rng.random(400)
    p, r = np.clip(q + 0.1 * rng.standard_normal(400), 0.01, 0.99), rng.binomial(3, q) / 3
    group = np.arange(400) // 2
    known = measure(p, r=r, group=group, draws=0)
    rows = AuditRows(p, p, r, q, group)
    for name in ("auroc", "brier", "r2", "nll", "bias", "pair_accuracy"):
        assert rows.estimate(name)[0].value == pytest.approx(known[name].value), name


def pairs_of_two(seed):
    """700 prompts of two answers with 100 gold rows, a random draw."""
    rng = np.random.default_rng(seed)
    s = rng.standard_normal(1400)
    r = (rng.random(1400) < expit(s)) * 1.0
    gold = np.where(np.isin(np.arange(1400), rng.choice(1400, 100, replace=False)), r, np.nan)
    return AuditRows(expit(s), s, gold, expit(s), np.arange(1400) // 2)


def test_pairs_that_few_prompts_carry_have_a_reason_and_no_figure():
    for seed in range(5):
        for found in pairs_of_two(seed).estimate("pair_accuracy"):
            assert (found.value, found.low) == (None, None)
            assert "label whole prompts" in found.reason


def test_rare_feedback_does_not_make_a_random_draw_look_chosen():
    """Columns that are 1 in 1 % of rows: of 300 random draws of 100 rows none has p < 1e-4."""
    rng = np.random.default_rng(0)
    table = np.hstack([rng.standard_normal((2000, 2)), rng.random((2000, 8)) < 0.01])
    p = []
    for _ in range(300):
        table = rng.permutation(table)
        p.append(likeness(table[:100], table[100:]))
    assert min(p) > UNLIKE
    assert 0.01 < np.mean(np.array(p) < 0.05) < 0.12


def test_a_useless_g_costs_nothing():
    """Where g is noise, lambda is near 0 and the interval near that of the gold labels alone."""
    rows, _ = world(1)
    rng = np.random.default_rng(0)
    noise = AuditRows(rows.p, rows.s, rows.gold, rng.random(len(rows.p)), rows.group)
    for name in ("brier", "good", "auroc"):
        found, alone = noise.estimate(name)
        assert found.high - found.low < 1.05 * (alone.high - alone.low), name


def test_labels_of_whole_prompts_count_by_prompt():
    assert (world(0)[0].unit == np.arange(2000)).all()
    rows, _ = world(0, by_prompt=True)
    assert (rows.unit == rows.group).all()


@pytest.mark.battery
@pytest.mark.parametrize("by_prompt", [False, True])
def test_intervals_cover_the_truth_as_often_as_they_say(by_prompt):
    """500 worlds, nominal 95 %, asked 93 to 97; a standard error of chance is .01, two of them here."""
    covered = {name: [] for name in METRICS}
    for seed in range(500):
        rows, r = world(seed, by_prompt=by_prompt)
        known = truth(rows, r)
        for name in METRICS:
            found, _ = rows.estimate(name)
            if found.value is not None:
                covered[name].append(found.low <= known[name] <= found.high)
            else:  # fewer than 10 effective prompts have two labels, or one and a guess that counts
                assert (name, by_prompt) == ("pair_accuracy", False)
    for name, hits in covered.items():
        assert len(hits) > 350, name
        assert 0.91 < np.mean(hits) < 0.99, name
    assert 0.92 < np.mean([np.mean(hits) for hits in covered.values()]) < 0.98


def log(n=1200, seed=0, *, golds=200, **columns):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 6, generator=g)
    r = (x[:, 0] + 0.7 * torch.randn(n, generator=g) > 0).float()
    o = (torch.rand(n, generator=g) < torch.where(r > 0, 0.4, 0.1)).float()
    gold = torch.where(torch.randperm(n, generator=g) < golds, r, torch.nan)
    given = {"o": o, "gold": gold, **columns}
    return Feedback(x, r * o, group=torch.arange(n) // 4, **given), r


@cache
def signals(n, seed):
    """P of every signal given x: the same for all gold labels, and fitted once for the audits of a log."""
    return signal_probabilities(log(n, seed)[0], 0)


def log_with_signals(n=1200, seed=0, *, golds=200):
    b, r = log(n, seed, golds=golds)
    return replace(b, eta=signals(n, seed)), r


@pytest.fixture(scope="module")
def model():
    train, val = log()[0].split(0.2)
    return fit("naive", train, val)


def test_a_model_is_measured_on_its_log(model):
    b, r = log(seed=5)
    found = audit(model, b)
    known = evaluate(model, Labelled(b.x, r, group=b.group), draws=0)
    for name in ("auroc", "brier", "bias", "pair_accuracy"):
        assert found[name].low < known[name].value < found[name].high, name
    assert found.warnings == ()
    assert found.narrower("good") > 0.1
    assert "200 with a gold label" in str(found)
    assert set(found.to_json()) == {
        "metrics",
        "gold_alone",
        "rows",
        "gold",
        "effective_gold",
        "warnings",
    }


def test_figures_for_prompts_to_come_are_less_sure(model):
    b, _ = log_with_signals(seed=5)
    now, later = audit(model, b)["good"], audit(model, b, future=True)["good"]
    assert later.high - later.low > now.high - now.low


def test_gold_rows_that_are_not_like_the_others_are_said_to_be(model):
    b, r = log_with_signals(seed=5)
    picked = torch.where((b.x[:, 0] > 0.5) & (torch.arange(1200) < 800), r, torch.nan)
    picked[:5] = r[:5]
    picked[r == 0] = torch.where(torch.rand(int((r == 0).sum())) < 0.1, 0.0, torch.nan)
    assert "differ from the other rows" in audit(model, replace(b, gold=picked)).warnings[0]
    assert "not drawn at random" in audit(model, b, chosen=True).warnings[0]


def test_equal_weights_change_nothing(model):
    plain, weighted = log()[0], log(weight=torch.full((1200,), 2.0))[0]
    now, before = audit(model, weighted), audit(model, plain)
    assert now.gold_alone["brier"].value == pytest.approx(before.gold_alone["brier"].value)
    assert now["brier"].value == pytest.approx(before["brier"].value, abs=0.005)  # rounding in g
    assert now.warnings == before.warnings


def test_gold_weights_that_do_not_add_up_to_the_log_are_said_to_be_wrong(model):
    """200 of 1,200 rows have a label: their gold weights add up to 1,200, not to 150 x 1 + 50 x 2."""
    b, _ = log_with_signals()
    rare = torch.arange(200) < 50
    for factor, wrong in ((1.0, True), (4.8, False)):
        weight = torch.full((1200,), torch.nan)
        weight[b.audited] = factor * torch.where(rare, 2.0, 1.0)
        found = [w for w in audit(model, replace(b, gold_weight=weight)).warnings if "1 / P" in w]
        assert bool(found) == wrong
        assert (
            not wrong
            or "by it the gold rows represent 250 responses where the log has 1,200" in found[0]
        )


def test_labels_that_the_model_has_seen_are_said_to_flatter():
    seen = fit("anchored", *log()[0].split(0.2), nuisance_epochs=1)
    assert "fitted on gold labels" in audit(seen, log_with_signals()[0]).warnings[0]


def test_channels_and_clicks_are_evidence_too(model):
    b, r = log(seed=5)
    clicks = Feedback(b.x, b.y, gold=b.gold, group=b.group, channels=Columns(copy=r))
    found = audit(model, clicks)
    assert found.narrower("good") > 0.3, "copy says it all"


@pytest.mark.parametrize(
    ("gold", "words"),
    [
        (None, "found none"),
        (torch.full((1200,), torch.nan), "found none"),
        (
            torch.where(torch.arange(1200) < 9, 1.0, torch.nan),
            "at least 10 gold labels, and found 9",
        ),
        (torch.where(torch.arange(1200) < 50, 1.0, torch.nan), "all 50 gold labels say good"),
    ],
)
def test_gold_labels_that_measure_nothing_are_refused(model, gold, words):
    with pytest.raises(TruewardError, match=words):
        audit(model, log(seed=5, gold=gold)[0])


def test_a_model_that_knows_only_an_interval_is_refused():
    b, _ = log()
    clicks = Feedback(b.x, b.y, gold=b.gold, group=b.group)
    options = {"identify": "none", "allow_unidentified": True}
    with pytest.raises(TruewardError, match="only an interval"):
        audit(fit("implicitrm", *clicks.split(0.2), **options), clicks)


def test_a_plan_that_is_followed_gives_the_interval_that_was_wanted(model):
    b, r = log_with_signals(4000, seed=7, golds=100)
    wanted = plan(model, b, "brier", 0.05)
    assert wanted.now == 100
    assert len(wanted.rows) == wanted.needed - 100
    assert not set(wanted.rows.tolist()) & set(b.audited.tolist())
    gold = b.gold.clone()
    gold[wanted.rows] = r[wanted.rows]
    found = audit(model, replace(b, gold=gold))["brier"]
    assert found.high - found.low == pytest.approx(
        0.05, rel=0.25
    )  # from 100 labels: sd of .07 or more


@pytest.mark.parametrize(("users", "said"), [(4, True), (300, False)])
def test_few_users_are_said_to_be_few_by_audit_plan_and_calibration(model, users, said):
    b, _ = log_with_signals()
    b = replace(b, user=torch.arange(len(b)) // 4 % users)
    warnings = {
        "audit": audit(model, b, future=True).warnings,
        "plan": plan(model, b, "brier", 0.2).warnings,
        "calibration": [model.calibrated(b).report["calibration"].get("warning", "")],
    }
    for name, sentences in warnings.items():
        assert any("effective number of 4.0 users" in s for s in sentences) == said, name
    # the interval of the log's own responses is over the draw of gold rows
    assert not any("users" in s for s in audit(model, b).warnings)


def test_without_gold_labels_a_plan_is_a_range_up_to_the_worst_case(model):
    b, r = log_with_signals(4000, seed=7)
    bare = replace(b, gold=None)
    wanted = plan(model, bare, "brier", 0.05)
    assert wanted.now == 0
    assert 50 < wanted.needed < wanted.needed_worst_case < 1600
    assert len(wanted.rows) == wanted.needed
    assert f"at most {wanted.needed_worst_case} whatever the labels are; the log has 0" in str(
        wanted
    )
    assert plan(model, b, "brier", 0.05).needed_worst_case is None, "gold labels estimate it"
    # what labels of a third of the rows say is between the two
    gold = torch.where(torch.arange(4000) % 3 == 0, r, torch.nan)
    known = plan(model, replace(b, gold=gold), "brier", 0.05)
    assert wanted.needed * 0.8 < known.needed < wanted.needed_worst_case


def test_the_worst_case_by_hand():
    """P = .5 and .9: (1-P)^2, P^2 are .25, .25 and .01, .81. m = .37 gives max (.0144 + .1936) / 2 = .104.

    At m = .41: (.0256 + .16) / 2 = .0928, its least. `good`: labels 0 and 1, 1/4 at m = 1/2. `bias`: P - r is
    -.5, .5 and -.1, .9; at m = .2 (.49 + .49) / 2 = .49; at m = .4 (.81 + .25) / 2, at m = 0 (.25 + .81) / 2.
    """
    rows = AuditRows(
        np.array([0.5, 0.9]), np.array([0.0, 1.0]), np.full(2, np.nan), np.ones(2), np.arange(2)
    )
    assert worst_case_variance(rows, "brier") == pytest.approx(0.0928, abs=1e-5)
    assert worst_case_variance(rows, "good") == pytest.approx(0.25, abs=1e-5)
    assert worst_case_variance(rows, "bias") == pytest.approx(0.49, abs=1e-5)


def test_the_worst_case_of_auroc_is_that_of_scores_without_information():
    """1 / (12 q (1 - q)) for n untied scores at a share q of good responses; .1 is the worst of .1 .. .9."""
    s = np.arange(2000.0)
    rows = AuditRows(np.full(2000, 0.5), s, np.full(2000, np.nan), np.ones(2000), np.arange(2000))
    assert worst_case_variance(rows, "auroc") == pytest.approx(1 / (12 * 0.09), rel=1e-3)


def test_no_labels_vary_more_than_the_worst_case():
    """Exact enumeration of all 2^8 label vectors: Var psi(r) of none is above the bound."""
    rng = np.random.default_rng(0)
    p = rng.random(8)
    rows = AuditRows(p, p, np.full(8, np.nan), p, np.arange(8))
    labels = np.array(list(itertools.product([0.0, 1.0], repeat=8)))
    for name in ("brier", "nll", "accuracy", "bias", "good"):
        f = INFLUENCE_FUNCTIONS[name](p, p, p)
        variances = (labels * f.good + (1 - labels) * f.bad).var(1)
        most = worst_case_variance(rows, name)
        assert variances.max() <= most + 1e-9, name
        assert variances.max() >= 0.75 * most, name


def test_a_narrower_interval_takes_more_labels_and_never_more_than_there_are(model):
    b, _ = log_with_signals(seed=5)
    needed = [plan(model, b, "good", width).needed for width in (0.2, 0.1, 0.05, 0.001)]
    assert needed == sorted(needed)
    assert needed[-1] <= 1200
    assert not len(plan(model, b, "good", 0.9).rows)


@pytest.mark.parametrize(("metric", "width"), [("ece", 0.1), ("brier", 0.0), ("brier", 1.5)])
def test_a_plan_for_what_there_is_not_is_refused(model, metric, width):
    with pytest.raises(UsageError, match=r"not 'ece'|between 0 and 1"):
        plan(model, log(seed=5)[0], metric, width)
