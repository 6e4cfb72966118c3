"""Words, emoji, stars and signs of feedback mean the same for every reader."""

from __future__ import annotations

import polars as pl
import pytest

from trueward.core.errors import TruewardError
from trueward.data.feedback_words import FeedbackWords
from trueward.data.log_reading import read_log
from trueward.inspection import inspect

UP = [
    "up",
    "Thumbs up",
    "thumbsUp",
    "\U0001f44d\U0001f3fd",
    ":+1:",
    "Like",
    "liked",
    "Upvote",
    "helpful",
]
UP += ["yes", "GOOD", "+1", "true", ":+1::skin-tone-3:", "Thumbs up!", "\U0001f44d\U0001f3fd Good"]
DOWN = ["down", "thumbs_down", "\U0001f44e\U0001f3ff", "\U0001f44e\ufe0f", "dislike", "downvote"]
DOWN += ["Not helpful", "not-helpful", "unhelpful", "No", "bad", "-1", "False"]
NONE = ["", "none", "NULL", "n/a", "neutral", None]


def labels(values, **words):
    rows = {"prompt": ["p"] * len(values), "response": [f"r{i}" for i in range(len(values))]}
    frame = pl.DataFrame({**rows, "thumb": pl.Series(values, strict=False)}, strict=False)
    return read_log(frame, feedback="thumb", **words).frame["feedback"].to_list()


def test_words_emoji_and_signs_are_good_bad_or_none():
    expected = [1.0] * len(UP) + [0.0] * len(DOWN) + [None] * len(NONE)
    assert labels([*UP, *DOWN, *NONE]) == expected


def test_minus_one_in_a_column_makes_zero_neutral():
    assert labels([1, 0, -1, None]) == [1.0, None, 0.0, None]
    assert labels(["1", "0", "-1"]) == [1.0, None, 0.0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3, 4, 5], [0, 0, None, 1, 1]),
        (["5", "3", "1"], [1, None, 0]),
        ([1, 3, 4, 7, 8, 10], [0, 0, None, None, 1, 1]),  # of 1..10: <= 3.25 and >= 7.75
        (["4/5", "1/5"], [1, 0]),
        (["\u2605\u2605\u2605\u2605\u2606", "\u2b50"], [1, 0]),
        (["5 stars", "2 stars", None], [1, 0, None]),
    ],
)
def test_stars_are_graded_on_their_scale(values, expected):
    assert labels(values) == expected


def test_the_highest_value_of_an_unknown_scale_is_not_guessed():
    for values in ([1, 2, 3], [0, 3, 5], [20, 90, 100]):
        with pytest.raises(TruewardError, match="--positive '>=4' --negative '<=2'"):
            labels(values)
    assert labels([0, 3, 5], positive=">=4", negative="<=1") == [0.0, None, 1.0]


def test_a_complete_column_of_0_and_1_is_asked_about():
    for values in ([1, 0], [True, False], ["true", "false"], ["1.0", "0.0"]):
        with pytest.raises(TruewardError, match=r"--negative 0 .*--unrated 0"):
            labels(values)
        assert labels(values, negative=0) == [1.0, 0.0]
        assert labels(values, unrated=["0"]) == [1.0, None]
    assert labels([1, 0, None]) == [1.0, 0.0, None]  # an empty cell is no reaction


def test_unknown_values_are_listed_with_their_rows_and_the_option_to_paste():
    with pytest.raises(TruewardError, match=r"'meh' \(2\), 'wow' \(1\).*--positive meh"):
        labels(["up", "meh", "wow", "meh"])
    given = {"positive": "wow", "unrated": "Meh"}
    assert labels(["up", "meh", "wow", "meh"], **given) == [1.0, None, 1.0, None]


def test_a_declared_value_overrides_the_vocabulary():
    assert labels(["yes", "no"], positive="no", negative="yes") == [0.0, 1.0]
    assert FeedbackWords.of("no").meaning("No") == "good"


def test_the_report_of_a_log_tells_how_values_were_read():
    frame = pl.DataFrame(
        {"prompt": ["a"] * 3, "response": ["b", "c", "d"], "feedback": ["up", "no", ""]}
    )
    log = read_log(frame)
    assert log.feedback_values == {"": (None, 1), "no": (0.0, 1), "up": (1.0, 1)}
    finding = next(f for f in inspect(log).findings if f.name == "feedback_values")
    assert "1 from up (1); 0 from no (1); none from empty (1)" in finding.message
