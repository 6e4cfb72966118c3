"""Answers to asks as labels beside gold labels on the silent, weighted as in the two-phase estimate."""

import polars as pl
import pytest
import torch

import trueward as tw
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.asked_labels import asked_labels, labels_of_all
from trueward.features.columns import to_feedback
from trueward.fitting.fit import fit


def log(p=0.5, gold_weight=None, other_gold=0):
    """30 thumbs up, 10 down, 60 silent, 20 of them labelled (15 good); 100 not asked, some labelled."""
    label = [None] * 40 + [1.0] * 15 + [0.0] * 5 + [None] * 40
    return pl.DataFrame(
        {
            "prompt": [f"p{i}" for i in range(200)],
            "response": [f"r{i}" for i in range(200)],
            "feedback": pl.Series([1.0] * 30 + [0.0] * 10 + [None] * 160, dtype=pl.Float64),
            "gold": pl.Series(label + [1.0] * other_gold + [None] * (100 - other_gold)),
            "asked": [1] * 100 + [0] * 100,
            "p_ask": [p] * 200,
        }
    ).with_columns(**({} if gold_weight is None else {"gold_weight": gold_weight}))


def labels(frame, cut=None):
    data = to_feedback(tw.read_log(frame), torch.zeros(len(frame), 1), None)
    rows = torch.arange(len(frame))
    parts = [data] if cut is None else [data[rows[rows % 2 == k]] for k in (0, 1)]
    return asked_labels(parts)


def mean(parts):
    """Weighted mean of the labels: what a regression on a constant would give."""
    weight = torch.cat([d.label_weight for d in parts])
    return float(weight @ torch.cat([d.gold for d in parts]).double() / weight.sum())


@pytest.mark.parametrize("cut", [None, 2])
def test_the_mean_of_the_labels_is_the_two_phase_estimate(cut):
    """.4 x .75 + .6 x .75 = .75 of 40 answers and 60 silent responses, also where rows are held out."""
    parts, sentence = labels(log(), cut)
    assert sum(map(len, parts)) == 60
    assert mean(parts) == pytest.approx(0.75)
    assert mean(parts) == pytest.approx(tw.asked_share(tw.read_log(log())).share.value)
    assert sentence == "40 answers to asks count as labels, and 20 gold labels for the silent"


def test_gold_weights_and_changes_of_p_count():
    """Good silent responses labelled at 1/2, bad ones at 1/6: 30 of 60 are good."""
    weight = pl.when(pl.col("gold") == 1).then(2.0).when(pl.col("gold") == 0).then(6.0)
    assert mean(labels(log(gold_weight=weight))[0]) == pytest.approx(0.4 * 0.75 + 0.6 * 0.5)
    halves = log().with_columns(
        p_ask=pl.when(pl.col("asked") == 0)
        .then(0.675)
        .when(pl.int_range(pl.len()) < 30)
        .then(0.5)
        .otherwise(0.25)  # 100 asked are expected
    )
    share = tw.asked_share(tw.read_log(halves)).share.value
    assert mean(labels(halves)[0]) == pytest.approx(share)


def test_other_gold_labels_are_left_out_and_said_so():
    parts, sentence = labels(log(other_gold=15))
    assert sum(map(len, parts)) == 60
    assert sentence.endswith("; 15 gold labels on other responses are left out")


def test_labels_that_are_a_draw_of_all_responses_stay_as_they_are():
    assert labels(log(other_gold=60)) is None  # 20 of 80 are on silent responses
    assert labels(log().drop("asked", "p_ask")) is None
    few = log().with_columns(gold=pl.when(pl.int_range(pl.len()) < 49).then("gold"))
    assert labels(few) is None  # nine labels


def test_anchored_counts_answers_as_labels_unless_told_not_to():
    """Answered: 75 % good; silent: 25 % good of 50 % of the asked. The labels alone would say 25 %."""
    g = torch.Generator().manual_seed(0)
    n = 600
    answered = (torch.rand(n, generator=g) < 0.5).float()
    good = (torch.rand(n, generator=g) < torch.where(answered > 0, 0.75, 0.25)).float()
    gold = torch.where((answered == 0) & (torch.rand(n, generator=g) < 0.4), good, torch.nan)
    data = Feedback(
        torch.randn(n, 2, generator=g), good * answered, answered, gold=gold,
        group=torch.arange(n), asks=Columns(asked=torch.ones(n), p_ask=torch.ones(n)),
    )  # fmt: skip
    shares = []
    for asked in ("auto", "no"):
        quick = {"nuisance_epochs": 1, "folds": 2, "epochs": 1, "seed": 0, "asked": asked}
        model = fit("anchored", *data.split(0.2), **quick)
        shares.append(float(torch.sigmoid(model.score_features(data.x).reward).mean()))
    assert shares[0] == pytest.approx(float(good.mean()), abs=0.06)
    assert shares[1] == pytest.approx(0.25, abs=0.09)


def rows_of(frame):
    x = torch.randn(len(frame), 2, generator=torch.Generator().manual_seed(0))
    return to_feedback(tw.read_log(frame), x, None)


def unequal(**more):
    """Answers 75 % good; of the 60 silent 20 are labelled, 5 of them good: .4 x .75 + .6 x .25 = .45."""
    gold = [None] * 40 + [1.0] * 5 + [0.0] * 15 + [None] * 140
    return log(**more).with_columns(gold=pl.Series(gold, dtype=pl.Float64))


def test_labels_of_all_keep_every_row_and_represent_the_log():
    whole, sentence = labels_of_all(rows_of(unequal()))
    assert len(whole) == 200
    assert len(whole.audited) == 60
    weight = whole.label_weight
    assert float(weight @ whole.gold.nan_to_num(0.0).double() / weight.sum()) == pytest.approx(0.45)
    assert whole.row_weight.tolist() == [2.0] * 100 + [0.0] * 100  # 1 / p_ask of the asked
    assert float(weight.sum()) == pytest.approx(200)
    assert sentence.startswith("40 answers")


def test_responses_outside_of_the_lottery_are_not_spoken_of():
    outside = unequal().head(50).with_columns(
        pl.concat_str(pl.lit("q"), "prompt").alias("prompt"),
        asked=0, p_ask=0.0, gold=None,
    )  # fmt: skip
    whole, sentence = labels_of_all(
        rows_of(pl.concat([unequal(), outside], how="vertical_relaxed"))
    )
    assert not whole.row_weight[200:].any()
    assert sentence.endswith("of the 200 responses in the lottery, and not of the 50 others")


def test_a_log_without_labels_on_the_silent_stays_the_same_object():
    data = rows_of(log().drop("asked", "p_ask"))
    found, sentence = labels_of_all(data)
    assert found is data
    assert not sentence


def test_an_audit_and_a_calibration_read_answers_beside_labels_of_the_silent():
    """The labels of the silent alone would say .25, and the answers alone .75."""
    data = rows_of(unequal())
    model = fit("naive", *data.split(0.2), epochs=1)
    found = tw.audit(model, data)
    assert found.gold_alone["good"].value == pytest.approx(0.45)
    assert found["good"].value == pytest.approx(0.45, abs=0.02)
    assert found["good"].low < 0.45 < found["good"].high
    assert any("40 answers to asks count" in w and "use a later log" in w for w in found.warnings)
    calibrated = tw.calibrate(model, data)
    assert float(calibrated.score_features(data.x).preferred.mean()) == pytest.approx(
        0.45, abs=0.04
    )
    assert "40 answers to asks count" in calibrated.report["calibration"]["warning"]
