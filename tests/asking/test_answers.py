"""The share of good responses from answers to asks and gold labels on those who stayed silent, by hand."""

import math

import numpy as np
import polars as pl
import pytest

import trueward as tw


def log(up, down, silent, gold=(0, 0), asked=1, p=0.5, **more):
    """Responses with thumbs up, down and none, of the last ``gold`` (good, bad) with a gold label."""
    n, good, bad = up + down + silent, *gold
    frame = pl.DataFrame(
        {
            "prompt": [f"p{asked}-{i}" for i in range(n)],
            "response": "r",
            "feedback": pl.Series([1.0] * up + [0.0] * down + [None] * silent, dtype=pl.Float64),
            "gold": pl.Series(
                [None] * (n - good - bad) + [1.0] * good + [0.0] * bad, dtype=pl.Float64
            ),
        }
    )
    return frame.with_columns(asked=pl.lit(asked), p_ask=pl.lit(p), **more)


def test_the_share_is_that_of_the_answers_and_that_of_the_silent():
    """A = .4, q = .75, m = .5: .4 x .75 + .6 x .5 = .6; the variance is the two-phase formula."""
    found = tw.asked_share(tw.read_log(log(300, 100, 600, (50, 50))))
    a, q, m = 0.4, 0.75, 0.5
    assert found.share.value == pytest.approx(0.6)
    assert found.among_answers.value == pytest.approx(0.75)
    assert found.counts == (1000, 400, 100)
    variance = (
        a**2 * q * (1 - q) / 400
        + (1 - a) ** 2 * m * (1 - m) / 100
        + (q - m) ** 2 * a * (1 - a) / 1000
    )
    width = found.share.high - found.share.low
    assert width == pytest.approx(2 * 1.96 * math.sqrt(variance), rel=0.02)


def test_few_gold_labels_on_the_silent_are_no_estimate():
    found = tw.asked_share(tw.read_log(log(300, 100, 600, (5, 4))))
    assert found.share.value is None
    assert "9 gold labels" in found.share.reason


def test_the_bounds_are_those_of_the_best_arm():
    """Asked: 30 % up, 10 % down; others: 4 % up, 12 % down. So E[r] lies in [.30, 1 - .12]."""
    frame = pl.concat([log(300, 100, 600), log(40, 120, 840, asked=0)])
    found = tw.asked_share(tw.read_log(frame))
    assert (found.lower.value, found.upper.value) == (pytest.approx(0.3), pytest.approx(0.88))
    z = 2.241403  # P(Z > z) = .05 / 4: two ends of two arms
    low = 0.3 - z * math.sqrt(0.3 * 0.7 / 1000)
    assert found.lower.low == pytest.approx(low, abs=1e-4)
    assert found.upper.high > 0.88


def test_levels_are_arms_of_their_own():
    frame = pl.concat(
        [
            log(100, 100, 800, ask_level=pl.lit(1)),
            log(500, 200, 300, ask_level=pl.lit(2)).with_columns(
                pl.format("q-{}", "prompt").alias("prompt")
            ),
        ]
    )
    found = tw.asked_share(tw.read_log(frame))
    assert (found.lower.value, found.upper.value) == (pytest.approx(0.5), pytest.approx(0.8))


def test_who_did_not_see_the_question_is_left_out():
    frame = pl.concat(
        [
            log(300, 100, 600, (50, 50), seen=pl.lit(1)),
            log(0, 0, 500, seen=pl.lit(0)).with_columns(
                pl.format("q-{}", "prompt").alias("prompt")
            ),
        ]
    )
    found = tw.asked_share(tw.read_log(frame))
    assert found.share.value == pytest.approx(0.6)
    assert found.counts[0] == 1000


def test_a_response_asked_at_half_the_probability_counts_twice():
    """Halves of the traffic: share .8 asked at .5, share .2 asked at .1: the mean is .5, not .7."""
    frame = pl.concat(
        [
            log(400, 100, 0, p=0.5),
            log(20, 80, 0, p=0.1).with_columns(pl.format("q-{}", "prompt").alias("prompt")),
        ]
    )
    assert tw.asked_share(tw.read_log(frame)).share.value == pytest.approx(0.5)


def test_weights_of_rows_and_gold_labels_count():
    """Silent rows: 60 good ones labelled at 1/2 and 60 bad ones at 1/4 are .5 good."""
    frame = pl.concat([log(0, 0, 600, (30, 15)), log(1, 0, 0, asked=0)])
    weight = pl.when(pl.col("gold") == 1).then(2.0).when(pl.col("gold") == 0).then(4.0)
    assert tw.asked_share(tw.read_log(frame.with_columns(gold_weight=weight))).share.value == (
        pytest.approx(0.5)
    )
    once = tw.read_log(log(30, 10, 60, (10, 10)))
    heavy = tw.read_log(log(30, 10, 60, (10, 10), weight=pl.lit(10.0)))
    assert tw.asked_share(heavy).share.value == pytest.approx(tw.asked_share(once).share.value)


def test_nobody_asked_is_said():
    with pytest.raises(tw.TruewardError, match="nobody was asked"):
        tw.asked_share(tw.read_log(log(10, 10, 10, asked=0)))


def test_intervals_cover_whoever_answers():
    """200 draws of an answering rate of .7 where good and .3 where bad: sd of the coverage is .015."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        good = rng.random(400) < 0.6
        answers = rng.random(400) < np.where(good, 0.7, 0.3)
        silent = np.flatnonzero(~answers)
        gold = np.full(400, np.nan)
        chosen = rng.choice(silent, 60, replace=False)
        gold[chosen] = good[chosen]
        frame = pl.DataFrame(
            {
                "prompt": [str(i) for i in range(400)],
                "response": "r",
                "feedback": pl.Series(np.where(answers, good, np.nan), nan_to_null=True),
                "gold": pl.Series(gold, nan_to_null=True),
                "asked": 1,
                "p_ask": 0.5,
            }
        )
        share = tw.asked_share(tw.read_log(frame)).share
        hits += share.low <= 0.6 <= share.high
    assert 0.9 <= hits / 200 <= 0.99
