"""What a lottery is worth: Fisher information against its closed forms."""

import numpy as np
import polars as pl
import pytest

import trueward as tw
from trueward.asking.ask_information import information, share_error
from trueward.asking.worth import reactions

NO_CHANGE = 1e-6


def test_the_worth_in_gold_labels_is_that_of_the_information_matrix():
    """20 000 responses, 60 % good, odds ratio 3, a tenth asked: 62 and 284 labels at 40 and 60 %."""
    up = 0.6 * 3 / (0.6 * 3 + 0.4)
    for answering, labels in ((0.4, 62.178), (0.6, 283.806)):
        error, g = share_error(20_000, 0.1, answering, 0.05, up, 3.0, NO_CHANGE)
        assert g == pytest.approx(0.6)
        assert g * (1 - g) / error**2 == pytest.approx(labels, abs=0.001)


def test_if_everyone_answers_an_ask_is_a_gold_label():
    """At h = 20 all react: the variance of logit g is 1 / (n g (1 - g))."""
    found = information(0.3, 0.0, np.array([20.0]), np.array([0.0]), np.array([1.0]), 500)
    assert found[0, 0] == pytest.approx(500 * 0.3 * 0.7, rel=1e-6)


def test_a_plan_says_what_asks_buy_and_what_they_do_not():
    plan = tw.plan_asks(20_000, 0.1, answering=0.6)
    assert plan.gold == 385  # .25 (2 x 1.96 / .1)^2
    widths = np.array([o.width for o in plan.options])
    assert (np.diff(widths, axis=0) < 0).all()  # more asks are narrower
    assert (widths[:, 0] < widths[:, 1]).all()  # a change by asking is never narrower
    labels = [o.labels for o in plan.options if o.labels is not None]
    assert labels == sorted(labels, reverse=True)
    few = tw.plan_asks(20_000, 0.1, answering=0.1)
    assert all(o.width is None and o.worth is None for o in few.options)
    assert "below 20% answering, asks alone give bounds only" in str(few)


def test_labels_of_the_silent_give_the_width_in_the_worst_case():
    """p = .1 of 20 000, 60 % answer, q = .7, m = 1/2, and the square of q - m at most .49."""
    option = next(o for o in tw.plan_asks(20_000, 0.1, answering=0.6).options if o.p == 0.1)
    v = 0.6 * 0.21 / 2000 + 0.49 * 0.24 / 2000 + 0.16 * 0.25 / option.labels
    assert 2 * 1.959964 * np.sqrt(v) == pytest.approx(0.1, rel=0.01)


@pytest.mark.parametrize("wrong", [{"width": 0.0}, {"answering": 1.2}, {"responses": 0}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(tw.UsageError, match=next(iter(wrong))):
        tw.plan_asks(**({"responses": 100, "width": 0.1} | wrong))


def test_a_log_gives_its_rows_and_shares_without_the_asked():
    frame = pl.DataFrame(
        {
            "prompt": list("abcdef"),
            "response": "r",
            "feedback": [1, 0, 1, None, None, 1],
            "asked": [0, 0, 0, 0, 0, 1],
            "p_ask": 0.5,
        }
    )
    known = reactions(tw.read_log(frame))
    assert known == {"responses": 6, "unasked": pytest.approx(0.6), "up": pytest.approx(2 / 3)}
