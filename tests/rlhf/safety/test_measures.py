"""Figures of a safety evaluation: hand-computed means, bounds, paired differences, corrected judges."""

import numpy as np
import polars as pl
import pytest

from trueward.core.errors import TruewardError
from trueward.rlhf.safety.corrected import corrected, corrected_difference, read_labels
from trueward.rlhf.safety.measures import MEASURES, difference, measured
from trueward.rlhf.safety.results import SafetyResult

ASR = next(m for m in MEASURES if (m.suite, m.name) == ("harmbench", "asr"))
SAFE = next(m for m in MEASURES if m.name == "safety_score")
FIVE = next(m for m in MEASURES if m.name == "strongreject_5")


def verdicts(values, suite="harmbench", field="harmful", samples=1, policy="base", judge="a"):
    n = len(values)
    return pl.DataFrame(
        {
            "policy": policy,
            "judge": judge,
            "suite": suite,
            "id": [f"p{k // samples}" for k in range(n)],
            "sample": [k % samples + 1 for k in range(n)],
            "harmful": True,
            "prompt": [f"prompt {k // samples}" for k in range(n)],
            "response": [f"response {k}" for k in range(n)],
            "problem": ["" if v is not None else "off format: 'x'" for v in values],
            f"value.{field}": pl.Series(values, dtype=pl.Float64),
        }
    )


def test_a_share_is_a_mean_over_prompts_not_over_samples():
    two = verdicts([1, 1, 0, 0, 0, 1, 0, 0], samples=2)
    found = measured(two, ASR)
    assert (found.low.value, found.prompts, found.unread) == (0.375, 4, 0)  # 1, 0, 1/2, 0
    assert found.low == found.high
    assert measured(two, SAFE).low.value == 0.625


def test_unread_answers_are_bounds_and_never_dropped():
    rows = verdicts([1.0, 0.0, None, 0.0, None, 0.0, 1.0, 0.0, 0.0, 0.0])
    low = measured(verdicts([1.0, 0, 0, 0, 0, 0, 1, 0, 0, 0]), ASR)
    high = measured(verdicts([1.0, 0, 1, 0, 1, 0, 1, 0, 0, 0]), ASR)
    found = measured(rows, ASR)
    assert (found.low, found.high, found.unread) == (low.low, high.high, 2)
    assert found.to_json()["value"] is None
    assert found.to_json()["bounds"] == [0.2, 0.4]
    assert str(found) == f"0.200 to 0.400 [{low.low.low:.3f}, {high.high.high:.3f}]"
    mirrored = measured(rows, SAFE)
    assert (mirrored.low.value, mirrored.high.value) == (0.6, 0.8)


def test_bounds_of_the_scale_to_five_reach_from_0_to_5():
    found = measured(verdicts([5.0, None, 1.0, 0.0], "strongreject", "score_5"), FIVE)
    assert (found.low.value, found.high.value) == (1.5, 2.75)


def test_equal_values_leave_room_for_the_prompts_that_were_not_asked():
    found = measured(verdicts([0.0] * 10), ASR).low
    assert (found.low, found.high) == pytest.approx((0, 1 - 0.025**0.1))  # Clopper and Pearson
    same = difference(verdicts([1.0] * 10), verdicts([1.0] * 10), ASR).low
    assert (same.value, same.low, same.high) == pytest.approx((0, 0.025**0.1 - 1, 1 - 0.025**0.1))


def test_a_difference_is_paired_by_prompt():
    before = verdicts([1, 1, 1, 1, 0, 0, 0, 0, 1, 0] * 5)
    after = verdicts([1, 1, 1, 0, 0, 0, 0, 0, 1, 0] * 5)
    found = difference(after, before, ASR).low
    assert found.value == pytest.approx(-0.1)  # one prompt of ten differs, in one direction
    alone = measured(after, ASR).low
    assert found.high < 0 < alone.high - alone.low
    assert found.high - found.low < alone.high - alone.low


def test_differences_are_over_prompts_that_both_have_and_bounded_where_one_is_unread():
    before = verdicts([1.0, 0.0, 1.0, 1.0])
    after = verdicts([None, 0.0, 0.0])
    found = difference(after, before, ASR)
    assert (found.low.value, found.high.value) == pytest.approx((-2 / 3, -1 / 3))
    assert (found.prompts, found.unread) == (3, 1)


def test_a_judge_without_the_field_gives_no_figure():
    assert str(measured(verdicts([1.0], field="refusal"), ASR)) == "-"


def world(n=400, seed=0):
    """Labels, and two judges that are wrong in 10 % and in 25 % of the rows, more often one way."""
    draw = np.random.default_rng(seed)
    label = (draw.random(n) < 0.3).astype(float)
    one = np.where(draw.random(n) < 0.1, 1.0, label)
    two = np.where(draw.random(n) < 0.25, 0.0, label)
    return label, verdicts(one.tolist()), verdicts(two.tolist(), judge="b")


def test_labels_of_a_random_draw_correct_biased_judges():
    label, one, two = world()
    assert measured(one, ASR).low.low > label.mean()  # the judge alone is wrong, and sure of it
    known = np.random.default_rng(1).choice(len(label), 80, replace=False)
    labels = read_labels(
        pl.DataFrame(
            {
                "prompt": [f"prompt {k}" for k in known],
                "response": [f"response {k}" for k in known],
                "label": label[known],
            }
        )
    )
    both, count, error = corrected([one, two], labels, ASR)
    alone, _, more = corrected([two], labels, ASR)
    assert count == 80
    assert both.low < label.mean() < both.high
    assert alone.low < label.mean() < alone.high
    assert error < more  # the better judge narrows it
    assert corrected([one, two], labels, SAFE)[0].value == pytest.approx(1 - both.value, abs=0.02)
    gone = corrected_difference((both, count, error), (both, count, error))
    assert gone.value == 0
    assert gone.high == pytest.approx(1.99 * np.sqrt(2) * error, rel=0.01)


def test_too_few_labels_give_a_reason_and_no_figure():
    _, one, _ = world(40)
    labels = pl.DataFrame({"prompt": ["prompt 1"], "response": ["response 1"], "label": [1.0]})
    found, count, _ = corrected([one], labels, ASR)
    assert (found.value, count) == (None, 1)
    assert "gold labels" in found.reason
    none, count, _ = corrected([one], labels.with_columns(prompt=pl.lit("?")), ASR)
    assert (count, none.reason) == (0, "no response of this policy has a label")


def test_labels_are_numbers_or_words_and_their_mean_counts():
    texts = {"prompt": ["a", "a", "b"], "response": ["r", "r", "r"]}
    found = read_labels(pl.DataFrame({**texts, "label": ["harmful", "unharmful", "1"]}))
    assert found["label"].to_list() == [0.5, 1.0]
    with pytest.raises(TruewardError, match="'maybe'"):
        read_labels(pl.DataFrame({**texts, "label": ["1", "maybe", "0"]}))
    with pytest.raises(TruewardError, match="columns prompt, response and label, and has 'prompt'"):
        read_labels(pl.DataFrame(texts))


def test_labels_that_belong_to_no_answer_are_told_first():
    _, one, _ = world(40)
    labels = pl.DataFrame({"prompt": ["?"], "response": ["?"], "label": [1.0]})
    found = SafetyResult.of(one, {}, labels)
    assert found.notes[0].startswith("the 1 labels correct no figure")


def test_the_table_has_base_difference_bounds_and_notes():
    rows = pl.concat(
        [
            verdicts([1.0, 0.0, 1.0, None] * 4, policy="base"),
            verdicts([0.0, 0.0, 0.0, 0.0] * 4, policy="aligned"),
        ]
    )
    about = {"prompts": {"harmbench": {"left_out": "2 rows", "version": "accepted by --accept"}}}
    result = SafetyResult.of(rows, about)
    assert [(x.measure.name, x.judge) for x in result.lines] == [
        ("asr", "a"),
        ("safety_score", "a"),
    ]
    text = str(result)
    assert "minus base -0.750 to -0.500" in text
    assert "4 of 32 answers of a could not be read (off format: 'x')" in text
    assert "not pinned" in text
    figure = result.to_json()["figures"][0]
    assert figure["values"]["base"]["bounds"] == [0.5, 0.75]
    assert figure["minus_base"]["aligned"]["unread"] == 4


def test_judges_are_asked_only_for_what_they_say():
    harm = verdicts([1.0, 0.0], "xstest", judge="builtin").with_columns(
        pl.Series("value.refusal", [None, None], dtype=pl.Float64)
    )
    words = verdicts([1.0, None], "xstest", "refusal", judge="phrases")
    both = pl.concat([harm, words.with_columns(harmful=pl.lit(False))], how="diagonal")
    found = SafetyResult.of(both, {}).lines
    assert [(x.measure.name, x.judge) for x in found] == [
        ("over_refusal", "phrases"),
        ("asr", "builtin"),
    ]
