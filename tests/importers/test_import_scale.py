"""Logs that exceed memory: order, batches, files and packing of the rows do not change the bytes."""

from __future__ import annotations

import gc
import gzip
import hashlib
import json
import os
import random
import subprocess
import sys

import polars as pl
import pyarrow as pa
import pytest
from helpers.product_exports import column, lines

from trueward.core.errors import NotWrittenError
from trueward.importers import import_log, imported, scratch, sorted_ranges, staging
from trueward.importers.columns import read_columns

TABLES = ("responses", "events", "log", "pairs")
START = 1_767_225_600_000_000  # 2026-01-01 in microseconds


@pytest.fixture
def small(monkeypatch):
    """Batches, ranges and row groups of a few rows, and no memory, so that a small log is a large one."""
    for module, name, rows in (
        (sorted_ranges, "MAX_ROWS", 17),
        (imported, "ROW_GROUP", 19),
        (staging, "BATCH", 11),
        (scratch, "IN_MEMORY", 9_000),
    ):
        monkeypatch.setattr(module, name, rows)


def responses(n=200, *, step=1_000_000):
    """Responses of chats of four; every tenth has a copy, every fiftieth a second text, some no text."""
    rows = [
        {
            "response_id": f"r{i * 7919 % n:04d}",
            "prompt": f"What is {i // 3}?",
            "response": None if i % 41 == 7 else f"It is {i}.",
            "user_id": f"u{i % 9}",
            "session_id": f"s{i // 4}",
            "shown_at": None if i % 60 == 11 else START + step * i,
            "parent_response_id": f"r{(i - 1) * 7919 % n:04d}" if i % 4 else None,
            "p_ask": 2.0 if i % 67 == 5 else None,
            "context.place": i % 5,
        }
        for i in range(n)
    ]
    return rows + rows[::10] + [row | {"response": "Something else."} for row in rows[::50]]


def events(n=200):
    """Events with and without a response, some with a copy, some of an unknown channel, and pairs."""
    result = []
    for i in range(n):
        channel = ("thumbs_up", "thumbs_down", "copy", "preferred", "applause")[i % 5]
        about = {"response_id": f"r{i * 31 % (3 * n // 2):04d}", "other_response_id": "r0001"}
        result.append(about | {"at": START + 10_000_000 * i, "channel": channel, "value": 1.0})
    return [{**e, "source": "user"} for e in result + result[::9]]


def parquet(folder, rows, signals, files=1):
    """The generic tables as Parquet, in so many files each."""
    folder.mkdir()
    for name, records, time in (("responses", rows, "shown_at"), ("events", signals, "at")):
        frame = pl.DataFrame(records, infer_schema_length=None)
        frame = frame.with_columns(pl.col(time).cast(pl.Datetime("us", "UTC")))
        size = -(-frame.height // files)
        for k, part in enumerate(frame.iter_slices(size)):
            part.write_parquet(folder / f"{name}-{k}.parquet", row_group_size=23)
    return folder


def bytes_of(result, folder):
    result.write(folder)
    return {name: (folder / f"{name}.parquet").read_bytes() for name in TABLES}


def test_rows_in_order_of_time_and_shuffled_give_the_same_bytes(tmp_path, small):
    rows, signals = responses(), events()
    first = bytes_of(
        import_log("generic", [parquet(tmp_path / "in", rows, signals)]), tmp_path / "out"
    )
    for seed in range(3):
        random.Random(seed).shuffle(rows)
        random.Random(seed).shuffle(signals)
        folder = parquet(tmp_path / f"in{seed}", rows, signals)
        assert bytes_of(import_log("generic", [folder]), tmp_path / f"out{seed}") == first


def test_rows_of_one_file_and_of_several_give_the_same_bytes(tmp_path, small):
    rows, signals = responses(), events()
    result = [
        bytes_of(
            import_log("generic", [parquet(tmp_path / f"in{files}", rows, signals, files)]),
            tmp_path / f"out{files}",
        )
        for files in (1, 2, 7)
    ]
    assert result[0] == result[1] == result[2]


def test_json_lines_packed_or_not_give_the_same_bytes_and_those_of_parquet(tmp_path, small):
    rows, signals = responses(), events()
    plain = lines(tmp_path / "log.jsonl", [*rows, *signals]).read_bytes()
    (tmp_path / "log.jsonl.gz").write_bytes(gzip.compress(plain))
    with pa.output_stream(str(tmp_path / "log.jsonl.zst"), compression="zstd") as file:
        file.write(plain)
    found = [
        import_log("generic", [tmp_path / f"log.jsonl{packed}"]) for packed in ("", ".gz", ".zst")
    ]
    rejected = [result.tables.rejected.drop("file") for result in found]
    assert rejected[0].equals(rejected[1])
    assert rejected[0].equals(rejected[2])
    found.append(import_log("generic", [parquet(tmp_path / "in", rows, signals)]))
    result = [bytes_of(each, tmp_path / f"out{k}") for k, each in enumerate(found)]
    assert all(each == result[0] for each in result)


@pytest.mark.parametrize("step", [1_000_000, 0])
def test_a_log_in_many_ranges_is_the_log_in_one(tmp_path, monkeypatch, step):
    """Without a step of time all are shown at once, and the ids alone part them."""
    rows, signals = responses(step=step), events()
    folder = parquet(tmp_path / "in", rows, signals)
    whole = import_log("generic", [folder])
    assert len(whole.tables.ranges) == 1
    monkeypatch.setattr(sorted_ranges, "MAX_ROWS", 17)
    parts = import_log("generic", [folder])
    assert len(parts.tables.ranges) > 5
    largest = max(parts.tables.ranges.range(k).height for k in range(len(parts.tables.ranges)))
    assert largest < 60  # 222 rows in 14 ranges: none holds them all
    assert parts.summary == whole.summary
    assert parts.log.equals(whole.log)
    assert parts.tables.rejected.equals(whole.tables.rejected)
    times = whole.log.select("time", "response_id")
    assert times.equals(times.sort("time", "response_id"))


def test_ids_told_twice_in_different_batches_are_one_response_and_two_texts_none(tmp_path, small):
    far = [{"response_id": f"x{i}", "prompt": "p", "response": "r"} for i in range(60)]
    twin = {"response_id": "a", "prompt": "p", "response": "one"}
    torn = {"response_id": "b", "prompt": "p", "response": "one"}
    records = [twin, torn, *far, twin, torn | {"response": "two"}]
    records += [
        {"response_id": name, "channel": "thumbs_up", "value": 1, "source": "user"} for name in "ab"
    ]
    result = import_log("generic", [lines(tmp_path / "log.jsonl", records)])
    feedback = column(result, "feedback")
    assert feedback["a"] == 1.0
    assert "b" not in feedback
    assert len(feedback) == 61
    assert result.summary["duplicates"] == {"responses": 1, "events": 0}
    assert result.tables.rejected["line"].to_list() == [2, 64, 66]


def test_an_export_given_twice_is_one(tmp_path, small):
    one = import_log("generic", [parquet(tmp_path / "in", responses(), events())])
    parquet(tmp_path / "again", responses()[::-1], events()[::-1])
    two = import_log("generic", [tmp_path / "in", tmp_path / "again"])
    assert two.log.equals(one.log)
    assert two.tables.events.equals(one.tables.events)
    copies = one.summary["duplicates"]["responses"]
    assert two.summary["duplicates"]["responses"] == 2 * copies + len(one.log)  # and each once more
    torn = [
        result.tables.rejected["reason"].str.contains("two texts").sum() for result in (one, two)
    ]
    assert torn[1] == 2 * torn[0] > 0


def test_responses_that_are_parents_of_each_other_are_kept_as_they_are(tmp_path):
    parents = {"a": "b", "b": "a", "c": "c"}
    rows = [
        {"response_id": name, "prompt": "p", "response": name, "parent_response_id": parent}
        for name, parent in parents.items()
    ]
    result = import_log("generic", [lines(tmp_path / "log.jsonl", rows)])
    assert column(result, "parent_response_id") == parents


def test_rows_that_were_kept_on_disk_go_with_the_import(tmp_path, small):
    folder = parquet(tmp_path / "in", responses(), events())
    scratch = tmp_path / "scratch"
    result = import_log("generic", [folder], scratch=scratch)
    assert len(list(scratch.rglob("*.arrow"))) > 10
    assert result.log.height == result.tables.ranges.height
    del result
    gc.collect()
    assert not list(scratch.iterdir())


def test_a_disk_that_takes_no_rows_is_one_sentence(tmp_path, small):
    folder = parquet(tmp_path / "in", responses(), events())
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NotWrittenError, match="could not be written to"):
        import_log("generic", [folder], scratch=tmp_path / "file")


PEAK = """
import resource, sys
from pathlib import Path
from trueward.importers import import_log, imported, sorted_ranges

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

sorted_ranges.MAX_ROWS = imported.ROW_GROUP = 20_000
before = peak()
result = import_log("generic", [sys.argv[1]], Path(sys.argv[2], "out"))
print(result.tables.ranges.height, peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is in other units")
def test_an_import_takes_less_memory_than_its_texts(tmp_path):
    """Half a million responses of 900 bytes, shuffled in time; held whole, they take more than twice that."""
    n, size = 500_000, 880
    (tmp_path / "in").mkdir()
    for start in range(0, n, n // 4):
        i = pl.int_range(start, start + n // 4, eager=True).alias("i")
        rows = i.to_frame().select(
            pl.format("r{}", "i").alias("response_id"),
            pl.format("What is {}?", "i").alias("prompt"),
            pl.format("{} {}", "i", pl.lit("y" * size)).alias("response"),
            (pl.col("i") * 7919 % n).alias("shown_at"),
        )
        rows.write_parquet(tmp_path / "in" / f"{start}.parquet", row_group_size=20_000)
    script = [sys.executable, "-c", PEAK, str(tmp_path / "in"), str(tmp_path)]
    two = {**os.environ, "POLARS_MAX_THREADS": "2"}  # each holds pieces of its own
    signals = subprocess.run(script, capture_output=True, text=True, check=True, env=two).stdout
    height, peak = map(int, signals.split())
    assert height == n
    assert peak < n * (size + 20)


def test_prompts_without_an_id_get_the_digest_of_their_canonical_json_however_written(tmp_path):
    prompts = [
        "How?",
        "  ",
        *(f"a{chr(c)}b" for c in range(0x2100) if c not in range(0x80, 0x2000)),
    ]
    rows = [
        {"response_id": f"r{k:04d}", "prompt": [{"role": "user", "content": p}], "response": "So."}
        for k, p in enumerate(prompts)
    ]
    expected = [
        hashlib.sha256(
            f'[{{"content":{json.dumps(p, ensure_ascii=False)},"role":"user"}}]'.encode()
        )
        for p in prompts
    ]
    pl.DataFrame(rows).write_parquet(tmp_path / "log.parquet")
    for path in (lines(tmp_path / "log.jsonl", rows), tmp_path / "log.parquet"):
        log = import_log("generic", [path]).log.sort("response_id")
        assert log["prompt_id"].to_list() == [e.hexdigest()[:16] for e in expected]


@pytest.mark.parametrize(
    "times",
    [
        [1_767_225_600, 1_767_225_601],
        [1_767_225_600_123, -5],
        [1_767_225_600_123_457, None],
        [1_767_225_600_123_456_789, 0],
        [-99_999_999_999, 5],  # before the year 1
        ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5+00:00"],
        ["2026-01-01T00:00:00.123456Z", None],
        ["2026-01-01T00:00:00Z", "2026-13-01T00:00:00Z"],
        ["2026-01-01T00:00:00Z", "2026-01-01 01:00+01:00"],
        ["2026-01-01T00:00:00.1234567Z", ""],
    ],
)
def test_times_of_a_table_are_read_as_those_of_lines(tmp_path, times):
    rows = [
        {"response_id": f"r{k}", "prompt": "p", "response": "r", "shown_at": time}
        for k, time in enumerate([*times, None])
    ]
    pl.DataFrame(rows).write_parquet(tmp_path / "log.parquet")
    one = import_log("generic", [lines(tmp_path / "log.jsonl", rows)])
    two = import_log("generic", [tmp_path / "log.parquet"])
    assert one.log.equals(two.log)
    assert one.tables.rejected.drop("file").equals(two.tables.rejected.drop("file"))


def test_times_that_say_utc_or_are_counted_are_read_by_column(tmp_path):
    for times in ([1_767_225_600, None], ["2026-01-01T00:00:00.25Z", None]):
        rows = {"response_id": ["a", "b"], "prompt": "p", "response": "r", "shown_at": times}
        pl.DataFrame(rows).write_parquet(tmp_path / "log.parquet")
        assert read_columns(tmp_path / "log.parquet") is not None
