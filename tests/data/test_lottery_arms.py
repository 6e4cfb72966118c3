"""Arms of a lottery of asks, and columns that carry it by row, by hand."""

import polars as pl
import pytest
import torch

import trueward as tw
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Columns, Feedback
from trueward.data.lottery_arms import arms
from trueward.features.columns import to_feedback

NONE = float("nan")


def rows(n, weight=None, **asks):
    columns = Columns({k: torch.tensor(v) for k, v in asks.items()})
    return Feedback(torch.zeros(n, 1), torch.zeros(n), weight=weight, asks=columns)


def test_responses_outside_of_the_lottery_and_missed_questions_are_in_no_arm():
    found, weight = arms(
        rows(
            7,
            asked=[1.0, 1.0, 0.0, 0.0, NONE, 1.0, 1.0],
            p_ask=[0.5, 0.5, 0.5, 0.0, 0.5, 0.5, 0.5],
            seen=[1.0, 0.0, 0.0, 0.0, 1.0, NONE, 1.0],
            ask_level=[1.0, 1.0, 0.0, 0.0, 1.0, 2.0, 2.0],
        )
    )
    assert found.tolist() == [1, -1, 0, -1, -1, 2, 2]
    assert weight.tolist() == [1.0] * 7


def test_a_change_of_p_is_weighed_so_that_the_arms_have_the_same_responses():
    """p .1 then .3, pbar .2: the asked count .2 / .1 and .2 / .3, the others .8 / .9 and .8 / .7."""
    found, weight = arms(rows(4, asked=[1.0, 1.0, 0.0, 0.0], p_ask=[0.1, 0.3, 0.1, 0.3]))
    assert found.tolist() == [1, 1, 0, 0]
    assert weight.tolist() == pytest.approx([2, 2 / 3, 8 / 9, 8 / 7], rel=1e-6)


def test_without_a_lottery_every_row_is_in_no_arm():
    assert arms(rows(2))[0].tolist() == [-1, -1]


def log(**columns):
    frame = pl.DataFrame(
        {"prompt": ["a", "b", "c"], "response": ["r", "s", "t"], "feedback": [1.0, None, 0.0]}
    )
    return tw.read_log(frame.with_columns(**{k: pl.Series(v) for k, v in columns.items()}))


def test_feedback_carries_the_asks_by_row_and_no_propensity():
    table = log(asked=[1, 0, 0], p_ask=[0.1, 0.1, 0.1], seen=[1, None, None])
    data = to_feedback(table, torch.zeros(3, 2), None)
    assert data.asks.asked.tolist() == [1, 0, 0]
    assert data.asks.p_ask.tolist() == pytest.approx([0.1] * 3)
    assert data.asks.seen[0] == 1
    assert data.asks.seen[1:].isnan().all()
    assert "propensity" not in data.eta
    assert "asks" in data.columns()
    assert data[torch.tensor([2, 0])].asks.asked.tolist() == [0, 1]
    facts = LogCapabilities.from_feedback(data)
    assert "asks" in facts.offers
    assert facts == LogCapabilities.from_log(table)


def test_a_log_without_a_draw_carries_no_asks():
    for columns in ({}, {"asked": [0, 0, 0], "p_ask": [0.0, 0.0, 0.0]}):
        table = log(**columns)
        data = to_feedback(table, torch.zeros(3, 2), None)
        assert not data.asks
        assert "asks" not in LogCapabilities.from_log(table).columns
