"""A log reads the same from every format, and says what it has and what it lacks."""

from __future__ import annotations

import gzip
import json
import math
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pytest

from trueward.core.errors import TruewardError
from trueward.data.log_reading import read_log
from trueward.data.truth import Test, read_test

if TYPE_CHECKING:
    from trueward.data.log import Log

DATA = Path(__file__).parents[3] / "shared" / "data"

ROWS = [
    {
        "prompt": "Name a tree.",
        "response": "Oak",
        "feedback": 1,
        "prompt_id": "a",
        "time": "2026-04-01T08:00:00Z",
    },
    {
        "prompt": "Name a tree.",
        "response": 'Äpfel, "ja"\nBirch',
        "feedback": 0,
        "prompt_id": "a",
        "time": "2026-04-02",
    },
    {"prompt": "Say hi", "response": "", "feedback": None, "prompt_id": "b", "time": None},
]
FRAME = pl.DataFrame(ROWS)
FORMATS = [
    "parquet",
    "jsonl",
    "jsonl.gz",
    "ndjson",
    "json",
    "csv",
    "csv.gz",
    "arrow",
    "feather",
    "ipc",
]


def write(frame: pl.DataFrame, path: Path) -> Path:
    """Write ``frame`` in the format that the name of ``path`` says; .arrow is a stream."""
    name = path.name
    if name.endswith(".parquet"):
        frame.write_parquet(path)
    elif ".csv" in name:
        text = frame.write_csv().encode()
        path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    elif name.endswith(".arrow"):
        frame.write_ipc_stream(path)
    elif name.endswith((".feather", ".ipc")):
        frame.write_ipc(path)
    elif name.endswith(".json"):
        path.write_text(json.dumps(frame.to_dicts(), indent=1))
    else:
        text = "".join(json.dumps(row) + "\n" for row in frame.to_dicts()).encode()
        path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    return path


def log_of(**columns: list[object]) -> Log:
    """A log of as many rows as the columns have, with one prompt per row."""
    n = len(next(iter(columns.values())))
    base = {"prompt": [f"p{i}" for i in range(n)], "response": [f"r{i}" for i in range(n)]}
    return read_log(pl.DataFrame(base | columns))


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_gives_the_same_log(ending, tmp_path):
    log = read_log(write(FRAME, tmp_path / f"log.{ending}"))
    assert len(log) == 3
    assert log.frame.columns == ["prompt", "response", "feedback", "prompt_id", "time"]
    assert log.frame["response"].to_list() == ["Oak", 'Äpfel, "ja"\nBirch', ""]
    assert log.frame["feedback"].to_list() == [1.0, 0.0, None]
    assert log.frame["feedback"].dtype == pl.Float64
    assert log.frame["prompt_id"].to_list() == ["a", "a", "b"]
    assert log.frame["time"].to_list() == [datetime(2026, 4, 1, 8), datetime(2026, 4, 2), None]  # noqa: DTZ001
    assert log.fingerprint == read_log(FRAME).fingerprint


def test_tables_in_memory_give_the_same_log():
    pandas = pytest.importorskip("pandas")
    expected = read_log(FRAME).fingerprint
    table = FRAME.to_arrow()
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches())
    frame = pandas.DataFrame(ROWS)  # the missing feedback is NaN here
    for source in (FRAME.lazy(), table, table.to_batches()[0], reader, frame):
        assert read_log(source).fingerprint == expected


def test_pandas_is_not_imported_by_reading_a_file(tmp_path):
    path = write(FRAME, tmp_path / "log.parquet")
    code = (
        "import sys; from trueward import read_log; read_log(sys.argv[1]).fingerprint;"
        "sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 0


def saved(folder: Path, frame: pl.DataFrame, shards: int = 2) -> None:
    """Write a folder as `datasets` saves one: Arrow streams and the state that orders them."""
    folder.mkdir(parents=True)
    names = [f"data-{i:05d}-of-{shards:05d}.arrow" for i in range(shards)]
    for i, name in enumerate(names):
        frame[i * 2 : i * 2 + 2].write_ipc_stream(folder / name)
    (folder / "state.json").write_text(
        json.dumps({"_data_files": [{"filename": n} for n in names]})
    )
    (folder / "dataset_info.json").write_text("{}")


def test_a_saved_data_set_reads_its_shards_in_order(tmp_path):
    saved(tmp_path / "set", FRAME)
    assert read_log(tmp_path / "set").fingerprint == read_log(FRAME).fingerprint


def test_a_saved_dict_of_data_sets_needs_a_split(tmp_path):
    saved(tmp_path / "train", FRAME)
    saved(tmp_path / "test", FRAME[:1], shards=1)
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(TruewardError, match=r"'train', 'test'.*split=train"):
        read_log(tmp_path)
    assert len(read_log(tmp_path, split="train")) == 3
    assert len(read_log(tmp_path, split="test")) == 1


def test_a_folder_of_parquet_shards_is_one_table_per_split(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    FRAME[:2].write_parquet(data / "train-00000-of-00002.parquet")
    FRAME[2:].with_columns(pl.lit(None).alias("feedback")).write_parquet(
        data / "train-00001-of-00002.parquet"
    )
    assert read_log(tmp_path).fingerprint == read_log(FRAME).fingerprint
    FRAME.write_parquet(data / "test-00000-of-00001.parquet")
    with pytest.raises(TruewardError, match="split="):
        read_log(tmp_path)
    assert len(read_log(tmp_path, split="test")) == 3


def test_a_folder_of_differently_named_files_is_never_stacked(tmp_path):
    FRAME.write_parquet(tmp_path / "log.parquet")
    FRAME.write_parquet(tmp_path / "truth.parquet")
    with pytest.raises(TruewardError, match=r"'log', 'truth'"):
        read_log(tmp_path)
    assert len(read_log(tmp_path, split="log")) == 3


def test_mapped_columns_are_read_under_their_canonical_names(tmp_path):
    frame = pl.DataFrame(
        {"question": ["q"], "prompt": ["not this"], "answer": ["a"], "copied": [1], "thumb": [0]}
    )
    log = read_log(
        write(frame, tmp_path / "x.csv"),
        prompt="question",
        response="answer",
        mapping={"channel.copy": "copied", "feedback": "thumb"},
    )
    assert log.frame["prompt"].to_list() == ["q"]
    assert log.frame["channel.copy"].to_list() == [1.0]
    assert log.ignored == ("prompt",)


def test_a_column_that_is_mapped_is_not_also_read_under_its_own_name():
    log = read_log(pl.DataFrame({"prompt": ["p"], "response": ["r"], "gold": [1]}), feedback="gold")
    assert "gold" not in log.columns


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "arrow"])
def test_records_of_context_and_channels_become_columns(ending, tmp_path):
    frame = FRAME.with_columns(
        pl.Series("context", [{"device": "phone", "position": i} for i in range(3)]),
        pl.Series("channel", [{"copy": 1, "like": None}, {"copy": 0, "like": 1}, None]),
    )
    log = read_log(write(frame, tmp_path / f"log.{ending}"))
    assert log.frame["context.device"].to_list() == ["phone"] * 3
    assert log.frame["context.position"].to_list() == [0.0, 1.0, 2.0]
    assert log.frame["channel.copy"].to_list() == [1.0, 0.0, None]
    assert log.channels == ("channel.copy", "channel.like")
    mapped = read_log(frame.drop("feedback"), mapping={"feedback": "channel.copy"})
    assert mapped.frame["feedback"].to_list() == [1.0, 0.0, None]
    assert "channel.copy" not in mapped.columns


def test_a_text_column_called_context_is_ignored_unless_mapped():
    frame = FRAME.with_columns(pl.lit("a page").alias("context"))
    assert read_log(frame).ignored == ("context",)
    assert read_log(frame, prompt="context").frame["prompt"].unique().to_list() == ["a page"]


def test_context_is_numbers_or_categories_alike_in_csv_and_parquet(tmp_path):
    frame = FRAME.with_columns(
        pl.Series("context.position", [1, 2, None]),
        pl.Series("context.new", [True, False, None]),
        pl.Series("context.device", ["phone", None, "tv"]),
    )
    log = read_log(write(frame, tmp_path / "log.csv"))
    assert log.fingerprint == read_log(write(frame, tmp_path / "log.parquet")).fingerprint
    assert log.frame["context.position"].to_list() == [1.0, 2.0, None]
    assert log.frame["context.new"].to_list() == [1.0, 0.0, None]
    assert log.frame["context.device"].to_list() == ["phone", None, "tv"]


@pytest.mark.parametrize(
    "values",
    [
        [1, 0, None],
        [1.0, 0.0, math.nan],
        [True, False, None],
        ["true", "False", ""],
        ["1", "0", None],
    ],
)
def test_feedback_may_be_numbers_booleans_or_their_spellings(values):
    assert log_of(feedback=values).frame["feedback"].to_list() == [1.0, 0.0, None]


def test_feedback_of_mixed_json_types_is_read(tmp_path):
    lines = [{"prompt": "p", "response": "r", "feedback": v} for v in (1, False, "true", None)]
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    assert read_log(path).frame["feedback"].to_list() == [1.0, 0.0, 1.0, None]


@pytest.mark.parametrize(
    ("columns", "regime"),
    [
        ({"feedback": [1, 0, None]}, "observational"),
        ({"feedback": [0, None, None]}, "observational"),
        ({"feedback": [1, None, None]}, "implicit"),
        ({"channel.a": [1, None, 0], "channel.b": [None, 1, 0]}, "channels"),
        ({"feedback": [None] * 3, "channel.a": [1, 1, 0], "channel.b": [1, 1, 0]}, "channels"),
        ({"feedback": [1, 0, 0], "channel.a": [1, 1, 0], "channel.b": [1, 1, 0]}, "observational"),
    ],
)
def test_regime_follows_from_what_the_feedback_says(columns, regime):
    assert log_of(**columns).regime == regime


def test_coverage_is_the_share_of_rows_with_feedback():
    log = log_of(feedback=[1, 0, None, None])
    assert log.feedback_rate == 0.5
    assert log.has_unrated
    assert not log_of(feedback=[1, 0]).has_unrated


def test_missing_lists_the_optional_columns_that_are_absent_or_without_a_value():
    log = log_of(feedback=[1, 0], user_id=[7, 8], gold=[None, None], propensity=[0.5, 1.0])
    assert log.missing == ("gold", "time", "model", "weight", "channel.*", "context.*")
    assert log.ignored == ("gold",)
    assert log.frame["user_id"].to_list() == ["7", "8"]


def test_prompt_id_is_a_hash_of_the_prompt_when_there_is_none():
    log = read_log(FRAME.drop("prompt_id"))
    first, second, third = log.frame["prompt_id"]
    assert first == second != third
    # printf 'Say hi' | sha256sum | cut -c-16
    assert third == "71d5b298ee9f050c"
    empty = read_log(FRAME.with_columns(prompt_id=pl.lit(None)))
    assert empty.frame["prompt_id"].to_list() == [first, second, third]


def test_unknown_columns_are_dropped_and_listed():
    frame = FRAME.with_columns(pl.lit(1).alias("label"), pl.lit("x").alias("note"))
    assert read_log(frame).ignored == ("label", "note")


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "arrow"])
def test_messages_become_text(ending, tmp_path):
    user = {"role": "user", "content": "Hi"}
    frame = pl.DataFrame(
        {
            "prompt": [[user], [{"role": "system", "content": "Be brief"}, user]],
            "response": [[{"role": "assistant", "content": "Hello"}]] * 2,
            "feedback": [1, 0],
        }
    )
    log = read_log(write(frame, tmp_path / f"log.{ending}"))
    assert log.frame["prompt"].to_list() == ["Hi", "system: Be brief\nuser: Hi"]
    assert log.frame["response"].to_list() == ["Hello", "Hello"]


def test_text_and_messages_may_be_mixed_in_json(tmp_path):
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    prompts = ["plain", [{"role": "user", "content": parts}]]
    path = tmp_path / "log.jsonl"
    path.write_text(
        "\n\n".join(json.dumps({"prompt": p, "response": "r", "feedback": 1}) for p in prompts)
    )
    assert read_log(path).frame["prompt"].to_list() == ["plain", "ab"]


def test_messages_in_csv_stay_the_text_they_are(tmp_path):
    prompt = '[{"role": "user", "content": "Hi"}]'
    frame = pl.DataFrame({"prompt": [prompt], "response": ["r"], "feedback": [1]})
    assert read_log(write(frame, tmp_path / "log.csv")).frame["prompt"][0] == prompt


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
def test_a_byte_order_mark_is_no_part_of_the_table(name, tmp_path):
    path = write(FRAME, tmp_path / name)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_log(path).fingerprint == read_log(FRAME).fingerprint


def test_a_json_line_of_ten_megabytes_is_read(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"prompt": "p", "response": "x" * 10_000_000, "feedback": 1}))
    assert read_log(path).frame["response"].str.len_chars().to_list() == [10_000_000]


def test_json_lines_beyond_one_chunk_may_change_type_and_gain_columns(tmp_path, monkeypatch):
    monkeypatch.setattr("trueward.data.readers.json_lines.CHUNK", 2)
    lines = [{"prompt": "p", "response": "r", "feedback": 1} for _ in range(5)]
    lines[4] |= {"feedback": "true", "gold": 0.5}
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    log = read_log(path)
    assert log.frame["feedback"].to_list() == [1.0] * 5
    assert log.frame["gold"].to_list() == [None] * 4 + [0.5]


def test_a_path_with_brackets_and_stars_is_taken_literally(tmp_path):
    assert len(read_log(write(FRAME, tmp_path / "log[1]*.parquet"))) == 3


def test_numbers_as_time_keep_their_unit_and_zones_become_utc():
    assert log_of(feedback=[1, 0], time=[1.7e9, None]).frame["time"].to_list() == [1.7e9, None]
    times = log_of(feedback=[1], time=["2026-04-01T10:00:00+02:00"]).frame["time"]
    assert times.to_list() == [datetime(2026, 4, 1, 8)]  # noqa: DTZ001


def test_fingerprint_changes_with_the_content_and_not_with_the_order_of_columns():
    fingerprint = read_log(FRAME).fingerprint
    assert len(fingerprint) == 64
    assert read_log(FRAME.select(reversed(FRAME.columns))).fingerprint == fingerprint
    assert read_log(FRAME[::-1]).fingerprint != fingerprint
    assert read_log(FRAME.with_columns(feedback=pl.Series([1, 0, 0]))).fingerprint != fingerprint
    moved = pl.DataFrame({"prompt": ["ab", "c"], "response": ["r", "r"], "feedback": [1, 0]})
    shifted = moved.with_columns(prompt=pl.Series(["a", "bc"]), prompt_id=pl.Series(["1", "1"]))
    same_ids = moved.with_columns(prompt_id=pl.Series(["1", "1"]))
    assert read_log(shifted).fingerprint != read_log(same_ids).fingerprint


def test_gold_labels_join_by_prompt_and_response(tmp_path):
    audited = pl.DataFrame(
        {
            "prompt": ["Say hi", "Say hi", "Name a tree.", "Name a tree."],
            "response": ["", "", "Oak", "Elm"],
            "verdict": [0.5, 0.5, None, 1.0],
        }
    )
    log = read_log(FRAME).with_gold(write(audited, tmp_path / "audited.csv"), gold="verdict")
    assert log.frame["gold"].to_list() == [None, None, 0.5]
    assert log.gold_unmatched == 1  # the elm
    assert log.frame.columns == ["prompt", "response", "feedback", "prompt_id", "gold", "time"]


def test_gold_labels_are_added_to_those_the_log_has():
    log = read_log(FRAME.with_columns(gold=pl.Series([1, None, None])))
    more = pl.DataFrame(
        {"prompt": ["Say hi", "Name a tree."], "response": ["", "Oak"], "gold": [0, 1]}
    )
    assert log.with_gold(more).frame["gold"].to_list() == [1.0, None, 0.0]
    assert log.with_gold(read_log(FRAME.with_columns(gold=pl.Series([None, 1, 0])))).frame[
        "gold"
    ].to_list() == [1.0, 1.0, 0.0]


def test_gold_weights_come_with_the_gold_labels_of_a_table():
    rows = {"prompt": ["Say hi", "Name a tree."], "response": ["", "Oak"], "gold": [0, 1]}
    more = pl.DataFrame(rows | {"gold_weight": [4.0, 2.5]})
    log = read_log(FRAME.with_columns(gold=pl.Series([1, 0, None])))
    with pytest.raises(TruewardError, match=r"1 of 3 such rows have none .the first is row 2 of"):
        log.with_gold(more)
    weighted = read_log(log.frame.with_columns(gold_weight=pl.Series([3.0, 3.0, None])))
    assert weighted.with_gold(more).frame["gold_weight"].to_list() == [2.5, 3.0, 4.0]
    with pytest.raises(TruewardError, match=r"1 of 3 such rows have none .the first is row 3 of"):
        weighted.with_gold(more.drop("gold_weight"))


@pytest.mark.parametrize(
    ("weight", "problem"),
    [
        ([2.0, None, None], "1 of 2 such rows have none"),
        ([0.0, 2.0, None], "1 / P.labelled., a finite number above 0"),
        ([0.1, 0.2, None], "its largest value in .* is 0.2, below 1, .* write 1 / P"),
    ],
)
def test_gold_weights_are_inverse_probabilities(weight, problem):
    frame = FRAME.with_columns(gold=pl.Series([1, 0, None]), gold_weight=pl.Series(weight))
    with pytest.raises(TruewardError, match=problem):
        read_log(frame)


def test_a_test_set_has_labels_or_ratings(tmp_path):
    frame = pl.DataFrame({"prompt": ["p", "q"], "response": ["r", "s"], "good": [True, False]})
    test = read_test(write(frame, tmp_path / "test.csv"), label="good")
    assert isinstance(test, Test)
    assert len(test) == 2
    assert test.frame["label"].to_list() == [1.0, 0.0]
    assert test.columns == {"prompt", "response", "prompt_id", "label"}
    stars = frame.with_columns(stars=pl.Series([4, 2]), note=pl.lit("x"))
    rated = read_test(stars, mapping={"rating": "stars"})
    assert rated.frame["rating"].to_list() == [4.0, 2.0]
    assert rated.ignored == ("good", "note")


def test_a_shared_data_set_is_read_by_mapping():
    path = DATA / "pku_saferlhf_pairs5k" / "data.parquet"
    if not path.is_file():
        pytest.skip("shared data is not beside this checkout")
    test = read_test(path, label="is_safe")
    assert len(test) == 10_270
    assert test.frame["label"].is_in([0.0, 1.0]).all()
