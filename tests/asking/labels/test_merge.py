"""Labels of several annotators become gold labels that keep the chances of the draw; nothing else gets in."""

import itertools
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from helpers.labels import label_file, planned

import trueward as tw
from trueward.asking.labels.agreement import krippendorff_alpha
from trueward.asking.labels.batch import plan_table, read_batch
from trueward.core.errors import TruewardError


@pytest.fixture
def batch():
    return read_batch(planned(20, weights=True))


def files(tmp_path, batch, **annotators):
    """One file for each annotator; a label is good, bad, or a reason to skip."""
    return [label_file(tmp_path / f"{k}.jsonl", batch, k, v) for k, v in annotators.items()]


# agreement
def test_alpha_is_that_of_krippendorff_s_example():
    """Binary data of two observers, Krippendorff 2011, section A: 1 - 19 * 4 / (14 * 6)."""
    meg, owen = (0, 1, 0, 0, 0, 0, 0, 0, 1, 0), (1, 1, 1, 0, 0, 1, 0, 0, 0, 0)
    alpha = krippendorff_alpha(list(zip(meg, owen, strict=True)))
    assert alpha.value == pytest.approx(1 - 76 / 84)
    assert alpha.low < alpha.value < alpha.high


def test_alpha_of_items_with_one_two_and_three_labels_is_that_of_all_pairs():
    items = [(1,), (1, 0), (1, 1, 0), (0, 0), (1, 1), (0, 0, 0)]
    several = [v for v in items if len(v) > 1]
    n = sum(map(len, several))
    inside = sum(
        (a - b) ** 2 / (len(v) - 1) for v in several for a, b in itertools.permutations(v, 2)
    )
    among = sum((a - b) ** 2 for a, b in itertools.permutations(itertools.chain(*several), 2))
    wanted = 1 - (inside / n) / (among / (n * (n - 1)))
    assert krippendorff_alpha(items).value == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("items", "said"), [([(1,), (0,)], "no response has two"), ([(1, 1)] * 20, "alike")]
)
def test_alpha_without_a_basis_says_why(items, said):
    alpha = krippendorff_alpha(items)
    assert alpha.value is None
    assert said in alpha.reason


def test_the_interval_of_alpha_covers_independent_labels():
    """Independent labels have alpha 0: its interval holds 0 in 29 of 30 draws or more (95 % expected)."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(30):
        alpha = krippendorff_alpha(rng.integers(0, 2, (60, 2)).tolist())
        held += alpha.low <= 0 <= alpha.high
    assert held >= 26  # 95 % of 30 less 2.3 standard deviations


# the merge
def test_gold_is_the_mean_of_the_labels_and_the_weight_is_that_of_the_plan(tmp_path, batch):
    ids = [item.item for item in batch.items]
    anna = {k: i % 2 for i, k in enumerate(ids)}
    ben = {ids[0]: 1, ids[1]: 1}
    merged = tw.merge_labels(
        files(tmp_path, batch, anna=anna, ben=ben), plan=planned(20, weights=True)
    )
    frame = merged.frame
    assert frame["gold"][:3].to_list() == [0.5, 1.0, 0.0]
    assert frame["gold_n"][:3].to_list() == [2, 2, 1]
    assert frame["gold_weight"].to_list() == [item.gold_weight for item in batch.items]
    assert merged.disputed["response"].to_list() == [batch.items[0].response]
    assert merged.counts == (20, 0, 0, 2)
    assert merged.seconds == 4.0
    log = tw.read_log(frame.with_columns(feedback=1.0).drop("gold", "gold_weight"))
    assert log.with_gold(frame).frame["gold"].to_list() == frame["gold"].to_list()


def test_responses_that_nobody_reached_raise_the_weights_of_the_others(tmp_path, batch):
    ids = [item.item for item in batch.items][:15]
    merged = tw.merge_labels(files(tmp_path, batch, anna={k: i % 2 for i, k in enumerate(ids)}))
    wanted = [item.gold_weight * 20 / 15 for item in batch.items[:15]]
    assert merged.frame["gold_weight"].to_list() == pytest.approx(wanted)
    assert merged.counts[1] == 5


def test_a_uniform_draw_has_no_weights(tmp_path):
    batch = read_batch(planned(12))
    labels = {item.item: i % 2 for i, item in enumerate(batch.items)}
    merged = tw.merge_labels(files(tmp_path, batch, anna=labels))
    assert "gold_weight" not in merged.frame.columns


def test_skips_are_counted_by_reason_and_warned_of(tmp_path, batch):
    labels = {item.item: i % 2 for i, item in enumerate(batch.items)}
    for item in batch.items[:3]:
        labels[item.item] = "I cannot judge this"
    merged = tw.merge_labels(files(tmp_path, batch, anna=labels))
    assert merged.reasons == {"I cannot judge this": 3}
    assert merged.frame.height == 17
    assert any("3 of 20 responses were only skipped" in w for w in merged.warnings)


def test_an_annotator_who_answers_all_alike_is_flagged(tmp_path, batch):
    ids = [item.item for item in batch.items]
    anna, ben = {k: i % 2 for i, k in enumerate(ids)}, dict.fromkeys(ids, 1)
    warnings = tw.merge_labels(files(tmp_path, batch, anna=anna, ben=ben)).warnings
    assert any(
        "all 20 labels of ben are good; others call 10 of the same 20 so" in w for w in warnings
    )
    assert not any("anna" in w for w in warnings)


def test_adjudicated_labels_replace_the_others_and_alpha_stays(tmp_path, batch):
    ids = [item.item for item in batch.items]
    anna = {k: i % 2 for i, k in enumerate(ids)}
    ben = anna | {ids[0]: 1, ids[1]: 0}
    given = files(tmp_path, batch, anna=anna, ben=ben)
    first = tw.merge_labels(given)
    again = read_batch(first.disputed)
    assert {item.item for item in again.items} == set(ids[:2])
    chief = label_file(tmp_path / "chief.jsonl", again, "chief", dict.fromkeys(ids[:2], 1))
    merged = tw.merge_labels(given, adjudicated=[chief])
    assert merged.frame["gold"][:2].to_list() == [1.0, 1.0]
    assert merged.frame["gold_weight"].to_list() == [item.gold_weight for item in batch.items]
    assert merged.alpha == first.alpha
    assert not merged.disputed.height


# what is refused
def test_two_files_of_one_annotator_are_an_error_that_says_which_is_newer(tmp_path, batch):
    ids = [item.item for item in batch.items]
    late = datetime(2026, 1, 2, tzinfo=UTC) + timedelta(days=9)
    old = label_file(tmp_path / "old.jsonl", batch, "Anna", {k: i % 2 for i, k in enumerate(ids)})
    new = label_file(tmp_path / "new.jsonl", batch, "anna ", {ids[0]: 1}, at=late)
    with pytest.raises(TruewardError, match=r"new.jsonl is newer .2026-01-11") as refused:
        tw.merge_labels([new, old])
    assert "1 of the 20 in the other" in str(refused.value)
    merged = tw.merge_labels([new, old], newest=True)
    assert merged.frame["gold"][:3].to_list() == [1.0, 1.0, 0.0]
    assert merged.frame["gold_n"].max() == 1


def test_labels_of_two_batches_are_refused(tmp_path, batch):
    other = read_batch(planned(9))
    given = files(tmp_path, batch, anna={batch.items[0].item: 1})
    given += files(tmp_path, other, ben={other.items[0].item: 1})
    with pytest.raises(TruewardError, match="whose chances differ"):
        tw.merge_labels(given)


def test_labels_of_another_plan_are_refused(tmp_path, batch):
    given = files(tmp_path, batch, anna={batch.items[0].item: 1})
    with pytest.raises(TruewardError, match="1 labels of responses that are not in"):
        tw.merge_labels(given, plan=planned(5))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("response", "another", "about no response of its batch"),
        ("gold_weight", 1.0, "about no response of its batch"),
        ("gold", 0.5, "should have gold 1 or 0"),
        ("gold", None, "should have gold 1 or 0"),
        ("gold", True, "no valid 'gold'"),
        ("at", "yesterday", "no time in UTC"),
        ("at", "2026-01-01T00:00:00", "no time in UTC"),
        ("seconds", None, "no valid 'seconds'"),
        ("annotator", "ben", "of another annotator or batch"),
        ("format", "csv", "is no label"),
    ],
)
def test_a_line_that_was_changed_is_refused_with_its_place(tmp_path, batch, field, value, said):
    labels = {item.item: 1 for item in batch.items[:3]}
    path = label_file(tmp_path / "a.jsonl", batch, "anna", labels)
    lines = path.read_text().splitlines()
    lines[1] = json.dumps(json.loads(lines[1]) | {field: value})
    path.write_text("\n".join(lines))
    with pytest.raises(TruewardError, match=said) as refused:
        tw.merge_labels([path])
    assert "line 2 of" in str(refused.value)


@pytest.mark.parametrize("text", ["", "\n\n", "prompt,response\na,b\n", "\xff\xfe"])
def test_a_file_without_labels_is_one_sentence(tmp_path, text):
    path = tmp_path / "a.jsonl"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(TruewardError, match=r"a\.jsonl (has no label|is no label)"):
        tw.merge_labels([path])


def test_a_label_given_twice_in_one_file_is_refused(tmp_path, batch):
    path = label_file(tmp_path / "a.jsonl", batch, "anna", {batch.items[0].item: 1})
    path.write_text(path.read_text() * 2)
    with pytest.raises(TruewardError, match=r"line 2 .* an earlier line labels, too"):
        tw.merge_labels([path])


# the file of a plan
def test_a_plan_that_was_edited_is_refused_and_one_that_was_sorted_is_not(tmp_path):
    table = planned(20, weights=True)
    digest = table["plan"][0].removeprefix("p")
    assert read_batch(table.sort("response", descending=True)).digest == digest
    for edited in (
        table[1:],
        table.with_columns(gold_weight=pl.col("gold_weight") * 2),
        table.with_columns(response=pl.col("response").str.replace("3", "4")),
    ):
        with pytest.raises(TruewardError, match="was changed after the plan"):
            read_batch(edited)
    filled = table.with_columns(gold=1.0)
    assert read_batch(filled).digest == digest, "labels in the file itself are no edit"
    with pytest.raises(TruewardError, match="comes from several plans"):
        read_batch(pl.concat([table, planned(5, weights=True)]))


def test_a_plan_survives_csv_with_its_weights(tmp_path):
    table = planned(20, weights=True)
    table.write_csv(tmp_path / "next.csv")
    batch = read_batch(tmp_path / "next.csv")
    assert batch.planned
    assert [i.gold_weight for i in batch.items] == table["gold_weight"].to_list()


def test_fifteen_percent_are_labelled_twice():
    labels = planned(100)["labels"]
    assert labels.value_counts().sort("labels")["count"].to_list() == [85, 15]
    rows = planned(40).select("prompt", "response")
    assert plan_table(rows, twice=0.5)["labels"].sum() == 60


@pytest.mark.parametrize("value", [0, 10, "two"])
def test_a_number_of_annotators_that_is_none_is_refused(value):
    table = planned(4).with_columns(labels=pl.lit(value))
    with pytest.raises(TruewardError, match=r"row 1 of .* has .*: write 1 or 2"):
        read_batch(table)
