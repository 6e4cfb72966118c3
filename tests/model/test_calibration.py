"""Calibration on gold labels: what each kind can mend, which is chosen, and how often decisions are right."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from trueward.core.clustering import clusters
from trueward.core.errors import TruewardError, UsageError
from trueward.data.feedback import Columns, Feedback
from trueward.evaluation.weighted_calibration import LabelWeights, calibrate, feedback_as_gold
from trueward.fitting.fit import fit
from trueward.model.calibration import FITS, MAPS, Calibration
from trueward.model.calibration_limits import calibration_warnings
from trueward.model.conformal import GoldRows
from trueward.model.reward_model import load


def bent(n, seed, slope=0.5, offset=1.0):
    """P(preferred) off by a line in log-odds, and labels drawn from the truth."""
    rng = np.random.default_rng(seed)
    v = 2 * rng.standard_normal(n)
    label = (rng.random(n) < expit(v)).astype(float)
    return torch.from_numpy(expit((v - offset) / slope)), torch.from_numpy(label), expit(v)


def test_platt_undoes_a_line_in_log_odds():
    p, label, truth = bent(20_000, 0)
    found, _ = Calibration.fit(p, label, None, 0)
    assert found.kind == "platt"
    assert found(p).numpy() == pytest.approx(truth, abs=0.02)


def test_what_is_right_is_left_alone():
    rng = np.random.default_rng(1)
    p = rng.uniform(0.02, 0.98, 400)
    label = torch.from_numpy((rng.random(400) < p).astype(float))
    found, about = Calibration.fit(torch.from_numpy(p), label, None, 0)
    assert found.kind == "none"
    assert set(about["log_loss"]) == {"none", "platt", "beta", "isotonic"}
    assert torch.equal(found(torch.from_numpy(p)), torch.from_numpy(p))


def test_isotonic_undoes_what_no_line_does():
    """The truth is a step: .1 below 1/2 and .9 above."""
    rng = np.random.default_rng(2)
    p = rng.uniform(0.4, 0.6, 4000)
    truth = np.where(p > 0.5, 0.9, 0.1)
    label = torch.from_numpy((rng.random(4000) < truth).astype(float))
    found, _ = Calibration.fit(torch.from_numpy(p), label, None, 0)
    assert found.kind == "isotonic"
    away = np.abs(p - 0.5) > 0.01
    assert found(torch.from_numpy(p)).numpy()[away] == pytest.approx(truth[away], abs=0.1)


@pytest.mark.parametrize("kind", FITS)
def test_no_kind_turns_the_order_round(kind):
    p, label, _ = bent(300, 3)
    numbers = FITS[kind](p.numpy(), label.numpy(), np.linspace(0.5, 2, 300))
    assert (np.diff(MAPS[kind](np.linspace(0.01, 0.99, 99), numbers)) >= -1e-12).all()


def test_beta_by_hand():
    """a = 2, c = 1, b = 0 at P = 1/2: sigmoid(2 log .5 - log .5) = sigmoid(-log 2) = 1/3."""
    assert MAPS["beta"](np.array([0.5]), np.array([2.0, 1.0, 0.0]))[0] == pytest.approx(1 / 3)


def test_the_conformal_set_by_hand():
    """Nine misfits of .1 to .9: at level .7 the 7th, .7; P = .6 could be either, .8 is good, .2 is bad."""
    c = Calibration("none", torch.zeros(0), torch.arange(1, 10) / 10)
    assert c.decide(torch.tensor([0.6, 0.8, 0.2]), 0.7).tolist() == [-1, 1, 0]
    assert c.decide(torch.tensor([0.99]), 0.95).tolist() == [-1], "nine labels are not sure of that"
    with pytest.raises(UsageError, match=r"between 0\.5 and 1"):
        c.decide(torch.tensor([0.5]), 1.0)


def warned(p, label, group=None, weight=None):
    return Calibration.fit(p, label, group, 0, weight)[1].get("warning", "")


def test_folds_whose_complement_has_one_class_are_said():
    p = torch.linspace(0.1, 0.9, 12, dtype=torch.float64)
    label = torch.zeros(12, dtype=torch.float64)
    label[-1] = 1
    assert "of 12 gold labels were not held out" in warned(p, label)
    assert "held out" not in warned(*bent(200, 4)[:2])


def test_a_score_that_does_not_rank_is_said_to_be_one_number():
    rng = np.random.default_rng(5)
    p = torch.from_numpy(rng.uniform(0.01, 0.99, 2000))
    label = torch.from_numpy((rng.random(2000) < 0.9 - 0.2 * p.numpy()).astype(float))
    found, about = Calibration.fit(p, label, None, 0)
    assert found.kind == "platt"
    assert float(found.parameters[0]) == 0
    assert "one number for all responses" in about["warning"]


@pytest.mark.parametrize(
    ("kind", "parameters", "said"),
    [
        ("beta", [0.0, 1.0, 0.0], "towards P = 0"),
        ("beta", [1.0, 0.0, 0.0], "towards P = 1"),
        (
            "isotonic",
            [[0.2, 0.7], [0.3, 0.9]],
            "P below 0.20 becomes 0.30, P above 0.70 becomes 0.90",
        ),
        ("platt", [0.5, 0.1], None),
        ("beta", [1.0, 1.0, 0.0], None),
    ],
)
def test_a_map_at_its_bound_is_said(kind, parameters, said):
    y, fold = np.array([0.0, 0.0, 1.0, 1.0] * 2), np.arange(8) % 2
    found = calibration_warnings(kind, np.array(parameters), {}, y, np.ones(8), fold)
    assert found == [] if said is None else said in found[0]


def test_few_labels_that_show_no_need_of_calibration_do_not_show_that_p_is_right():
    p, label, _ = bent(12, 6, slope=1.0, offset=0.5)
    found, about = Calibration.fit(p, label, None, 0)
    assert found.kind == "none"
    assert "12 gold labels do not show that P(preferred) needs calibration" in about["warning"]


def test_labels_too_few_for_sets_at_95_percent_are_said():
    """18 labels: the highest score has level 18 / 19 = .947, and above it both labels are in every set."""
    p, label, _ = bent(40, 7)
    assert "18 gold labels decide nothing at a confidence above 0.947" in warned(p[:18], label[:18])
    assert "decide nothing" not in warned(p[:19], label[:19])
    heavy = torch.full((40,), 1.0, dtype=torch.float64)
    assert "decide nothing" not in warned(p, label, weight=heavy)


def test_sets_by_class_by_hand():
    """Good misfits .1 .2 .3 and bad ones .4 .6 .8: at level .5 the 2nd of 3 + 1 each, .2 and .6.

    P = .85: 1 - P = .15 is within .2, P is not within .6: good. .7: neither. .5: bad alone.
    """
    misfit, label = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.6, 0.8]), torch.tensor([1.0, 1, 1, 0, 0, 0])
    c = Calibration("none", torch.zeros(0), misfit, torch.arange(1.0, 8), label, torch.ones(2))
    assert c.decide(torch.tensor([0.85, 0.7, 0.5]), 0.5, by_class=True).tolist() == [1, -1, 0]
    assert c.decide(torch.tensor([0.85, 0.7, 0.5]), 0.5).tolist() == [1, 1, -1], "4th of 7, .4"
    with pytest.raises(TruewardError, match="earlier release"):
        Calibration("none", torch.zeros(0), misfit).decide(torch.tensor([0.5]), 0.5, by_class=True)


def rows_of(p, label, prompt=None, weight=None):
    n = len(p)
    prompt = np.arange(n) if prompt is None else np.array(prompt)
    return GoldRows(
        np.array(p), np.array(label, float), np.ones(n) if weight is None else weight, 1.0, prompt
    )


def test_gold_labels_of_one_prompt_are_one_draw():
    """Prompts of 2, 1 and 1 rows: (4 + 1 + 1) / 4 = 1.5; of the good (1 + 1 + 1) / 3, of the bad 1 / 1."""
    rows = rows_of([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 1], prompt=[0, 0, 1, 2])
    assert rows.new_mass() == pytest.approx((1.5, 1.0, 1.0))
    assert rows_of([0.9] * 6, [1] * 6, prompt=[0] * 3 + [1] * 3).new_mass()[0] == pytest.approx(3)


def test_a_graded_label_counts_as_good_and_as_bad():
    """P = .6 and a label of .75: a misfit of .4 that counts .75, and one of .6 that counts .25."""
    score, label, weight = rows_of([0.6], [0.75]).scores()
    assert score == pytest.approx([0.4, 0.6])
    assert label.tolist() == [1, 0]
    assert weight.tolist() == [0.75, 0.25]


def test_the_error_among_decided_rows_by_hand():
    """P = .9 .85 .25 .8, labels 1 1 0 0: misfits .1 .15 .25 .8; level .75 takes the third of the others.

    .9 and .85: up to .8, so good alone, and right. .25: up to .8, either. .8: up to .25, good, and wrong.
    """
    rows = rows_of([0.9, 0.85, 0.25, 0.8], [1, 1, 0, 0])
    assert rows.decided(0.75, by_class=False).tolist() == [1, 1, -1, 1]
    decided, error = rows.error(0.75, clusters(4), by_class=False)
    assert decided == 0.75
    assert error.value == pytest.approx(1 / 3)
    assert error.low < 1 / 3 < error.high


def test_what_is_decided_is_wrong_more_often_than_the_confidence_says():
    """Few are sure: sets at .9 miss a tenth of the labels, and all misses are among the decided."""
    p, label, _ = bent(600, 4)
    c, about = Calibration.fit(p, label, None, 4)
    (at,) = (d for d in about["decisions"] if d["confidence"] == 0.9 and not d["by_class"])
    assert 0.1 < at["error"]["value"] == pytest.approx(0.1 / at["decided"], rel=0.2)
    q, truth, _ = bent(20_000, 5)
    said = c.decide(c(q), 0.9)
    wrong = float((said != truth)[said >= 0].double().mean())
    assert at["error"]["low"] < wrong < at["error"]["high"]
    assert "new prompts" in about["guarantee"]


@pytest.mark.battery
def test_sets_hold_by_class_by_prompt_and_the_error_is_covered():
    """300 worlds, 40 gold prompts of 5 answers that share half of the label's noise; one class is rarer.

    Asked 90 %: by class and on average within .02 (an error of .003), and never much above; the interval of
    the error among decided holds the error on new prompts in 92 to 99 %.
    """

    def drawn(seed, prompts):
        rng = np.random.default_rng(seed)
        group = np.repeat(np.arange(prompts), 5)
        v = 2 * rng.standard_normal(5 * prompts) + 1.5
        noise = 1.3 * rng.standard_normal(prompts)[group] + 1.3 * rng.standard_normal(5 * prompts)
        return torch.from_numpy(expit(v)), torch.from_numpy((v + noise > 0) * 1.0), group

    held = {name: [] for name in ("all", "good", "bad", "error")}
    for seed in range(300):
        p, label, group = drawn(seed, 40)
        c, about = Calibration.fit(p, label, torch.from_numpy(group), seed)
        q, truth, _ = drawn(10_000 + seed, 400)
        said, own = c.decide(c(q), 0.9), c.decide(c(q), 0.9, by_class=True)
        held["all"].append(float(((said == -1) | (said == truth)).double().mean()))
        for name, kind in (("good", 1.0), ("bad", 0.0)):
            right = ((own == -1) | (own == truth))[truth == kind]
            held[name].append(float(right.double().mean()))
        wrong = float((said != truth)[said >= 0].double().mean())
        error = about["decisions"][0]["error"]
        held["error"].append(error["low"] <= wrong <= error["high"])
    found = {k: np.mean(v) for k, v in held.items()}
    print(found)
    assert all(0.88 < found[k] < 0.93 for k in ("all", "good", "bad")), found
    assert 0.92 < found["error"] < 0.99, found


@pytest.mark.battery
def test_sets_have_the_label_as_often_as_was_asked():
    """500 worlds of 300 gold labels, sets at 90 and 95 %; a standard error of the means is .001."""
    rates = {0.9: [], 0.95: []}
    for seed in range(500):
        p, label, _ = bent(300, seed)
        c, _ = Calibration.fit(p, label, None, seed)
        q, truth, _ = bent(200, 10_000 + seed)
        for level, found in rates.items():
            said = c.decide(c(q), level)
            found.append(float(((said == -1) | (said == truth)).double().mean()))
    assert 0.88 < np.mean(rates[0.9]) < 0.92
    assert 0.93 < np.mean(rates[0.95]) < 0.97


def test_a_weighted_conformal_set_by_hand():
    """Misfits .1 .2 .5 .7 .9 of weights 4 3 1 1 1, a new response of weight 2: 12 in all.

    At level .5 the weights must come to 6: 4, 7 at the second, so up to .2. At .75 to 9: 4, 7, 8, 9 at the
    fourth, so up to .7. At .9 to 10.8, and all five come to 10: any label may be right.
    """
    misfit = torch.tensor([0.1, 0.2, 0.5, 0.7, 0.9])
    c = Calibration("none", torch.zeros(0), misfit, torch.tensor([4.0, 7.0, 8.0, 9.0, 10.0, 12.0]))
    assert c.decide(torch.tensor([0.85, 0.75]), 0.5).tolist() == [1, -1]
    assert c.decide(torch.tensor([0.75, 0.65]), 0.75).tolist() == [1, -1]
    assert c.decide(torch.tensor([0.999]), 0.9).tolist() == [-1]


@pytest.mark.parametrize("level", [0.5, 0.7, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("n", [9, 20, 57, 300])
def test_equal_weights_decide_as_none(n, level):
    p, label, _ = bent(n + 20, n)
    plain, about = Calibration.fit(p, label, None, 0)
    same, again = Calibration.fit(p, label, None, 0, torch.ones(n + 20))
    assert again == about
    assert torch.equal(same.parameters, plain.parameters)
    assert torch.equal(same.nonconformity, plain.nonconformity)
    q = torch.linspace(0.001, 0.999, 999)
    assert torch.equal(same.decide(q, level), plain.decide(q, level))


def test_weights_are_one_over_the_chance_and_clipped():
    """Labelled rows of chance .5, .25, .01 and mean .6 of five rows: weights 1.2, 2.4 and 20, not 60."""
    known = np.array([True, True, True, False, False])
    found = LabelWeights.of(np.array([0.5, 0.25, 0.01, 0.5, 0.5]), known, "")
    assert found.weight.tolist() == pytest.approx([1.2, 2.4, 20, 1.2, 1.2])
    assert found.report["clipped"] == 1
    size = 23.6**2 / (1.2**2 + 2.4**2 + 20**2)
    assert found.report["effective_sample_size"] == pytest.approx(size, abs=0.05)
    assert "effective sample size of the weighted labels: 1 out of 3" in found.report["warning"]


def picked(seed, n=1000, golds=300, *, known=False):
    """The higher x_2, the less x_1 says of the label; gold rows, and rated ones, are mostly of low x_2."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=g)
    good = torch.sigmoid(4 * x[:, 0] * torch.sigmoid(-3 * x[:, 1]))
    r = (torch.rand(n, generator=g) < good).float()
    near = torch.sigmoid(-1.5 * x[:, 1] - 1)
    o = (torch.rand(n, generator=g) < near).float()
    few = torch.rand(n, generator=g) < near * golds / near.sum()
    gold = torch.where(few, r, torch.nan)
    b = Feedback(x, r * o, o, gold=gold, group=torch.arange(n))
    # the chances of the signals are given where hundreds of worlds leave no time to fit them
    return replace(b, eta=Columns(noisy=good, responds=near) if known else Columns()), r


@pytest.fixture(scope="module")
def model():
    return fit("naive", *log()[0].split(0.2))


def test_gold_rows_that_were_chosen_are_weighted_and_the_report_says_what_that_assumes(
    model, tmp_path
):
    b, _ = picked(0)
    found = calibrate(model, b, chosen=True)
    about = found.report["calibration"]
    assert about["effective_sample_size"] < 0.9 * about["gold"]
    assert "does not depend on the label" in about["assumes"]
    found.save(tmp_path / "rm")
    again = load(tmp_path / "rm").calibration
    assert torch.equal(again.cumulative_weight, found.calibration.cumulative_weight)
    p = torch.linspace(0.01, 0.99, 99)
    assert torch.equal(again.decide(p, 0.9), found.calibration.decide(p, 0.9))


def test_a_random_draw_that_is_said_to_be_chosen_keeps_nearly_all_its_worth(model):
    about = calibrate(model, log(2000, 3)[0], chosen=True).report["calibration"]
    assert about["effective_sample_size"] > 0.85 * about["gold"]
    assert "warning" not in about


def test_feedback_takes_the_place_of_gold_labels(model):
    b, _ = picked(1)
    found = calibrate(model, b, feedback=True).report["calibration"]
    assert found["labels"] == "feedback"
    assert found["gold"] == int(b.o.sum())
    assert "feedback is without noise" in found["assumes"]
    assert "fitted on" in found["warning"]


def test_the_warnings_of_the_map_stay_where_labels_are_weighted(model):
    """Of labels that are the wrong way round platt has slope 0, whatever weighs them."""
    b, _ = picked(1)
    backwards = replace(b, y=(1 - b.y) * b.o)
    warning = calibrate(model, backwards, feedback=True).report["calibration"]["warning"]
    assert "fitted on" in warning
    assert "one number for all responses" in warning


def test_clicks_are_no_labels(model):
    b, _ = log()
    with pytest.raises(TruewardError, match="clicks only"):
        calibrate(model, Feedback(b.x, b.y, group=b.group), feedback=True)
    with pytest.raises(UsageError, match="not both"):
        calibrate(model, b, chosen=True, feedback=True)


@pytest.mark.battery
@pytest.mark.parametrize("how", ["chosen", "feedback"])
def test_weighted_sets_have_the_label_as_often_as_was_asked(how, model):
    """500 worlds whose labels are of rows drawn by x: sets at 95 %, asked 93 to 97, error .001."""
    rates = {"weighted": [], "plain": []}
    for seed in range(500):
        b, _ = picked(seed, known=True)
        labelled = b if how == "chosen" else feedback_as_gold(b, seed)[0]
        for name, found in (
            ("weighted", calibrate(model, b, **{how: True}, seed=seed)),
            ("plain", model.calibrated(labelled, seed=seed)),
        ):
            q, r = picked(10_000 + seed)
            said = found.calibration.decide(found.score_features(q.x).preferred, 0.95)
            rates[name].append(float(((said == -1) | (said == r)).double().mean()))
    assert 0.93 < np.mean(rates["weighted"]) < 0.97
    assert not 0.93 < np.mean(rates["plain"]) < 0.97


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
    assert torch.equal(again.calibration.nonconformity, better.calibration.nonconformity)
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


# Weights at their bound


def test_labels_at_the_largest_weight_that_carry_the_result_are_said():
    """Three labels of 100 rows, of chance 1/1000, 1 and 1: the first counts 20 of 20.06."""
    chance, known = np.full(100, 0.03), np.zeros(100, bool)
    known[:3] = True
    chance[:3] = 0.001, 1.0, 1.0
    warning = LabelWeights.of(chance, known, "x").report["warning"]
    assert "1 labels have the largest weight, 20, and carry 100% of all" in warning
    fine = LabelWeights.of(np.linspace(0.02, 0.04, 100), known, "x").report["warning"]
    assert "carry" not in fine


def test_a_chance_of_labels_that_nothing_predicts_is_no_evidence_of_a_random_draw():
    known = np.arange(200) < 100
    report = LabelWeights.of(np.full(200, 0.5), known, "x").report
    assert "does not show that they are a random draw" in report["warning"]
    assert "warning" not in LabelWeights.of(np.linspace(0.4, 0.6, 200), known, "x").report
