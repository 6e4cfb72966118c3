"""Gold labels for those who were asked and stayed silent: how many, and a uniform draw of them."""

import math

import numpy as np
import polars as pl
import pytest

import trueward as tw
from trueward.core.errors import TruewardError, UsageError

N = 4000


def log(**columns):
    """A tenth was asked, half of these did not see it; half of the others answered, three in four up."""
    i = pl.int_range(N)
    asked, seen = i % 10 == 0, i % 20 == 0
    answer = pl.when(i % 160 == 0).then(0.0).when(i % 40 == 0).then(1.0)
    usual = {
        "prompt": i.cast(pl.String),
        "response": pl.lit("r"),
        "asked": asked.cast(pl.Int8),
        "p_ask": pl.lit(0.1),
        "seen": pl.when(asked).then(seen.cast(pl.Int8)),
        "feedback": answer,
    }
    return tw.read_log(pl.select(**usual | columns))


def test_the_number_is_that_of_the_two_phase_variance_by_hand():
    """A = 1/2, q = 3/4, n = 200: M = (1 - A)^2 / 4 / ((w / 3.92)^2 - A q (1 - q) / n - q^2 A (1 - A) / n)."""
    plan = tw.plan_silent(log(), 0.2)
    assert plan.counts == (200, 100, 0)
    rest = (0.2 / 3.919928) ** 2 - 0.5 * 0.75 * 0.25 / 200 - 0.75**2 * 0.25 / 200
    assert plan.needed == math.ceil(0.25 * 0.25 / rest) == len(plan.rows)
    assert plan.gold_weight == pytest.approx(100 / plan.needed)


def test_only_the_silent_who_saw_the_question_are_drawn():
    rows = tw.plan_silent(log(), 0.2).rows
    assert (rows % 20 == 0).all()
    assert (rows % 40 != 0).all()
    assert len(np.unique(rows)) == len(rows)


def test_a_smaller_width_contains_the_draw_and_labels_that_are_there_count():
    wide, narrow = (set(tw.plan_silent(log(), w).rows.tolist()) for w in (0.24, 0.2))
    assert wide < narrow
    gold = pl.when(pl.int_range(N).is_in(sorted(wide))).then(1.0)
    more = tw.plan_silent(log(gold=gold), 0.2)
    assert set(more.rows.tolist()) == narrow - wide
    assert more.counts[2] == len(wide)
    assert more.gold_weight is None


def test_labels_of_the_draw_give_the_wanted_interval():
    """Half of the silent are good: the interval of the share is as narrow as planned, and holds the truth."""
    plan = tw.plan_silent(log(), 0.2)
    drawn = pl.int_range(N).is_in(plan.rows.tolist())
    half = (pl.int_range(N) // 20 % 4 == 1).cast(pl.Float64)
    labelled = log(
        gold=pl.when(drawn).then(half), gold_weight=pl.when(drawn).then(plan.gold_weight)
    )
    share = tw.asked_share(labelled).share
    assert share.high - share.low <= 0.205
    assert share.low < 0.5 * 0.75 + 0.5 * 0.5 < share.high


@pytest.mark.parametrize(
    ("frame", "width", "error", "said"),
    [
        ({}, 2.0, UsageError, "between 0 and 1"),
        ({}, 0.01, TruewardError, "200 asked are too few"),
        ({"asked": pl.lit(0)}, 0.2, TruewardError, "no response that was asked"),
        ({"feedback": pl.lit(1.0)}, 0.2, TruewardError, "no response that was asked about and got"),
    ],
)
def test_what_cannot_be_planned_is_one_sentence(frame, width, error, said):
    with pytest.raises(error, match=said):
        tw.plan_silent(log(**frame), width)


def test_a_log_without_a_lottery_is_refused():
    plain = tw.read_log(pl.DataFrame({"prompt": ["a"], "response": ["b"], "feedback": [1.0]}))
    with pytest.raises(TruewardError, match="tells of no lottery"):
        tw.plan_silent(plain, 0.2)
