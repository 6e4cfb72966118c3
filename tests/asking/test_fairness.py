"""Whether a lottery was fair, and what is named where it was not."""

import math

import polars as pl
import pytest

import trueward as tw
from trueward.asking.fairness import check_asks

N = 3000


def drawn(key="k1", p=0.1, **more):
    """A log of 3 000 responses with the outcomes of a lottery; every asked user answers."""
    asks = [tw.ask(f"r{i}", p, key) for i in range(N)]
    frame = pl.DataFrame(
        {
            "prompt": [f"p{i}" for i in range(N)],
            "response": ["word " * (1 + i % 50) for i in range(N)],
            "response_id": [f"r{i}" for i in range(N)],
            "time": [float(i) for i in range(N)],
            "context.app": ["web" if i % 3 else "phone" for i in range(N)],
        }
    )
    columns = pl.DataFrame([a.columns() for a in asks])
    feedback = pl.Series(
        "feedback", [float(i % 2) if a.asked else None for i, a in enumerate(asks)]
    )
    return frame.with_columns(*columns, feedback).with_columns(**more)


def test_a_fair_lottery_has_no_problem_and_its_counts():
    check = check_asks(tw.read_log(drawn()), "k1")
    asked = sum(tw.ask(f"r{i}", 0.1, "k1").asked for i in range(N))
    assert check.fair
    assert check.counts == (N, asked, pytest.approx(300))
    assert check.mismatched == 0
    assert check.answering.value == 1
    assert check.unasked.value == 0
    z = (abs(asked - 300) - 0.5) / math.sqrt(N * 0.09)
    assert check.share_p == pytest.approx(math.erfc(z / math.sqrt(2)))


def test_another_key_is_recognised():
    check = check_asks(tw.read_log(drawn()), "k2")
    assert not check.fair
    assert "is this the key?" in check.problems[0]


def test_a_key_that_was_changed_is_dated():
    late = pl.col("time") >= 2000
    both = drawn().join(drawn("k2").select("response_id", later="asked"), on="response_id")
    both = both.with_columns(asked=pl.when(late).then("later").otherwise("asked"))
    both = both.with_columns(ask_level="asked").drop("later")
    check = check_asks(tw.read_log(both), "k1")
    assert "none before 20" in check.problems[0]
    assert "as with another key" in check.problems[0]


def test_asks_that_were_lost_are_found_by_their_share():
    lost = (pl.int_range(pl.len()) % 2) == 0
    asked = pl.when(lost).then(0).otherwise("asked")
    check = check_asks(tw.read_log(drawn(asked=asked, ask_level=asked)))
    assert "asks were lost" in check.problems[0]


def test_asks_of_some_responses_only_are_found_and_the_column_is_named():
    """The share is right, but only the answers longer than 25 words are asked, at .2."""
    long = (pl.int_range(pl.len()) % 50) >= 25
    asks = pl.Series([int(tw.ask(f"r{i}", 0.2, "k1").asked) for i in range(N)])
    asked = pl.when(long).then(asks).otherwise(0)
    check = check_asks(tw.read_log(drawn(asked=asked, ask_level=asked)))
    assert any("length of the response" in text for text in check.problems)


def test_a_probability_that_changed_counts_with_each_response():
    p = [0.1 if i < 2000 else 0.4 for i in range(N)]
    asks = [tw.ask(f"r{i}", p[i], "k1") for i in range(N)]
    frame = drawn().with_columns(*pl.DataFrame([a.columns() for a in asks]))
    check = check_asks(tw.read_log(frame), "k1")
    assert check.fair
    assert check.counts[2] == pytest.approx(2000 * 0.1 + 1000 * 0.4)
    assert check.rates == ((0.1, 2000), (0.4, 1000))
    assert "p_ask has 2 values" in check.notes[0]


def test_what_is_missing_is_said():
    with pytest.raises(tw.TruewardError, match="tells of no lottery"):
        check_asks(tw.read_log(drawn().drop("p_ask")))
    with pytest.raises(tw.TruewardError, match="response_id"):
        check_asks(tw.read_log(drawn().drop("response_id")), "k1")
    with pytest.raises(tw.TruewardError, match="p_ask is 0 everywhere"):
        check_asks(tw.read_log(drawn(asked=0, p_ask=0.0, ask_level=0)))
    notes = check_asks(tw.read_log(drawn())).notes
    assert any("does not say who saw the question" in note for note in notes)
    assert check_asks(tw.read_log(drawn(seen="asked"))).seen == 1


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"p_ask": [0.0, 0.1]}, "asked is 1 where p_ask is 0, in 1 responses"),
        ({"p_ask": [0.1, 1.0]}, "asked is 0 where p_ask is 1, in 1 responses"),
        ({"asked": [None, 0]}, "asked is missing where p_ask is above 0, in 1 responses"),
        ({"seen": [1, 1]}, "seen is 1 where asked is 0, in 1 responses"),
        ({"ask_level": [1, 2]}, "ask_level is above 0 where asked is 0, in 1 responses"),
    ],
)
def test_columns_that_contradict_each_other_are_a_problem(columns, said):
    two = pl.DataFrame(
        {
            "prompt": ["a", "b"],
            "response": "r",
            "feedback": [1, None],
            "asked": [1, 0],
            "p_ask": 0.1,
        }
    )
    check = check_asks(
        tw.read_log(two.with_columns(**{k: pl.Series(v) for k, v in columns.items()}))
    )
    assert said in check.problems


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"p_ask": 1.5}, "`p_ask` must be P"),
        ({"ask_level": 0.5}, "`ask_level` must be a whole number"),
        ({"asked": None}, "tells of no lottery"),
    ],
)
def test_wrong_values_are_refused(columns, said):
    frame = drawn().with_columns(**{k: pl.lit(v) for k, v in columns.items()})
    with pytest.raises(tw.TruewardError, match=said):
        check_asks(tw.read_log(frame))


def test_ids_with_the_prefix_of_a_product_are_drawn_without_it():
    frame = drawn(response_id=pl.format("langfuse:{}", "response_id"))
    assert check_asks(tw.read_log(frame), "k1").mismatched == 0


def test_ordinary_columns_of_these_names_are_left_alone():
    frame = pl.DataFrame(
        {"prompt": ["a"], "response": ["b"], "feedback": [1], "seen": ["Monday"], "asked": ["no"]}
    )
    log = tw.read_log(frame)
    assert {"seen", "asked"}.isdisjoint(log.columns)
    assert set(log.ignored) == {"seen", "asked"}
    with pytest.raises(tw.UsageError, match="has no `p_ask`"):
        tw.read_log(frame, seen="seen")


def test_a_lottery_among_some_users_only_is_named():
    """Users 0 to 74 of 300 take part at .4, and the log says .1 of all."""
    user = [i % 300 for i in range(N)]
    frame = drawn(p=0.4).with_columns(user_id=pl.Series([f"u{u}" for u in user]), p_ask=pl.lit(0.1))
    part = pl.Series([u < 75 for u in user])
    frame = frame.with_columns(
        pl.when(part).then(pl.col(k)).otherwise(0).alias(k) for k in ("asked", "ask_level")
    )
    check = check_asks(tw.read_log(frame))
    assert any("some users were asked more often" in text for text in check.problems)
    fair = drawn().with_columns(user_id=pl.Series([f"u{u}" for u in user]))
    assert check_asks(tw.read_log(fair)).fair
