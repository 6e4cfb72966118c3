"""The mechanism `asked`: a lottery, who answers, and how asking changes who answers."""

import math

import numpy as np
import polars as pl
import pytest

import trueward as tw
from trueward.asking.fairness import check_asks
from trueward.core.errors import UsageError
from trueward.simulation import simulate


@pytest.fixture(scope="module")
def rated():
    """5,000 responses, half of them good."""
    rows = range(5000)
    return pl.DataFrame(
        {
            "prompt": [f"question {i // 4}" for i in rows],
            "response": [f"answer {i}{'!' * (i % 7)}" for i in rows],
            "rating": [i % 2 for i in rows],
        }
    )


def world(rated, alpha=0.5, rate=0.1, gold=0, **options):
    return simulate(rated, mechanism="asked", alpha=alpha, rate=rate, gold=gold, options=options)


def odds_ratio(found, column):
    """Of the mean chances of a good and of a bad response."""
    good, bad = (found.truth.filter(pl.col("label") == r)[column].mean() for r in (1, 0))
    return good * (1 - bad) / (bad * (1 - good))


def test_the_log_has_the_lottery_and_it_is_fair(rated):
    found = world(rated, share=0.2, answering=0.6, key="k")
    log = tw.read_log(found.log)
    assert check_asks(log, "k").fair
    by = log.frame.group_by("asked").agg(pl.col("feedback").is_not_null().mean()).sort("asked")
    assert by["feedback"].to_list() == pytest.approx([0.1, 0.6], abs=0.04)
    assert found.truth["propensity"].mean() == pytest.approx(0.1)
    assert found.truth["propensity.asked"].mean() == pytest.approx(0.6)
    assert found.scenario["options"]["share"] == 0.2


def test_every_seed_has_a_lottery_of_its_own(rated):
    one, two = (simulate(rated, mechanism="asked", seed=s) for s in (0, 1))
    assert [w.scenario["options"]["key"] for w in (one, two)] == ["simulated-0", "simulated-1"]
    assert (one.log["asked"] != two.log["asked"]).any()


def test_alpha_is_the_odds_ratio_and_asking_may_weaken_it(rated):
    """2 log(1 / .5) = log 4; the mean over h(x) attenuates it a little."""
    plain = world(rated, looks=0.0)
    assert odds_ratio(plain, "propensity") == pytest.approx(4)
    assert odds_ratio(plain, "propensity.asked") == pytest.approx(4)
    half = world(rated, looks=0.0, weaker=0.5)
    assert odds_ratio(half, "propensity.asked") == pytest.approx(2)
    bad = world(rated, looks=0.0, liked=False)
    assert odds_ratio(bad, "propensity") == pytest.approx(1 / 4)


def test_the_log_link_makes_the_ratio_of_chances_constant(rated):
    truth = world(rated, looks=0.0, link="log").truth
    good, bad = (truth.filter(pl.col("label") == r)["propensity"].mean() for r in (1, 0))
    assert math.log(good / bad) == pytest.approx(math.log(4))


def test_who_did_not_see_the_question_reacts_as_if_not_asked(rated):
    log = world(rated, share=0.5, answering=0.8, seen=0.5).log
    share = log.group_by("asked", "seen").agg(pl.col("feedback").is_not_null().mean())
    found = {row[:2]: row[2] for row in share.rows()}
    assert found[(1, 1)] == pytest.approx(0.8, abs=0.04)
    assert found[(1, 0)] == pytest.approx(found[(0, 0)], abs=0.04)
    assert "seen" not in world(rated, seen=0.5, log_seen=False).log.columns


def test_polite_users_answer_well_of_bad_responses(rated):
    found = world(rated, share=0.5, answering=0.8, polite=0.25)
    rows = found.log.hstack(found.truth.select("label")).filter(
        pl.col("feedback").is_not_null() & (pl.col("label") == 0)
    )
    up = dict(rows.group_by("asked").agg(pl.col("feedback").mean()).rows())
    assert up[1] == pytest.approx(0.25, abs=0.05)
    assert up[0] == 0


def test_two_levels_are_two_arms(rated):
    found = world(rated, share=0.5, answering=0.4, levels=2)
    by_level = found.log.hstack(found.truth).group_by("ask_level")
    rate = dict(by_level.agg(pl.col("propensity.asked").mean()).rows())
    assert [rate[k] for k in (1, 2)] == pytest.approx([0.4, 0.7], abs=0.02)
    answered = dict(by_level.agg(pl.col("observed").mean()).rows())  # 1,000 of each: 4 sd are .06
    assert [answered[k] for k in (1, 2)] == pytest.approx([0.4, 0.7], abs=0.06)


def test_gold_labels_on_the_silent_are_on_the_asked_who_gave_no_feedback(rated):
    log = world(rated, share=0.2, seen=0.5, gold=60, gold_on="silent").log
    labelled = log.drop_nulls("gold")
    assert len(labelled) == 60
    assert labelled["feedback"].null_count() == 60
    assert labelled["seen"].to_list() == [1] * 60
    with pytest.raises(UsageError, match=r"asked and silent responses; use a number from 0 to \d+"):
        world(rated, share=0.02, gold=400, gold_on="silent")


def test_words_of_a_command_line_are_read_and_wrong_ones_refused(rated):
    same = [world(rated, answering=v, liked=w).log for v, w in ((0.5, False), ("0.5", "false"))]
    assert np.array_equal(
        same[0]["feedback"].to_numpy(), same[1]["feedback"].to_numpy(), equal_nan=True
    )
    with pytest.raises(UsageError, match=r"option answering takes a number in \(0, 1\)"):
        world(rated, answering=1.5)
    with pytest.raises(UsageError, match=r"no option 'anwering'.*answering"):
        world(rated, anwering=0.5)
    with pytest.raises(UsageError, match=r"mechanism rating has no options"):
        simulate(rated, options={"share": 0.1})
