"""JSON lines read by column give the rows, rejects and line numbers of those read record by record."""

from __future__ import annotations

import gzip
import json
import random

import polars as pl
import pytest
from helpers.product_exports import column, lines

from trueward.core.errors import TruewardError
from trueward.importers import import_log, json_columns, merge, records, scratch, staging
from trueward.importers import schema as schemas
from trueward.importers.contract import UserMapping
from trueward.importers.detect import source_named
from trueward.importers.sorted_ranges import no_progress

START = 1_767_225_600


def response(i, **more):
    row = {"response_id": f"r{i}", "prompt": f"p{i // 2}", "response": f"a{i}"}
    row |= {"user_id": f"u{i % 7}", "shown_at": "2026-01-01T00:00:00Z", "turn": i % 4}
    return row | more


def event(i, channel="thumbs_up", value=1, **more):
    about = {"response_id": f"r{i}", "channel": channel, "value": value, "source": "user"}
    return about | {"at": START + i} | more


def chat(*contents):
    return [{"role": "user", "content": content} for content in contents]


# Each is one odd value among plain rows; the row reader alone knows what becomes of it.
ODD = {
    "no text": response(0, response=None),
    "no prompt": response(0, prompt=""),
    "no id": response(0, response_id=""),
    "a number as id": response(0, response_id=5, user_id=7),
    "a fraction as id": response(0, response_id=1.5),
    "a truth value as id": response(0, user_id=True),
    "an object as id": response(0, user_id={"a": 1}),
    "an empty id": response(0, user_id="", session_id=""),
    "a number as text": response(0, response=5),
    "parts of a text": response(0, response=[{"type": "text", "text": "x"}]),
    "a chat": response(0, prompt=chat("x", "y")),
    "a chat of parts": response(0, prompt=chat([{"type": "text", "text": "x"}])),
    "a chat without content": response(0, prompt=chat("x", None)),
    "a chat without a role": response(0, prompt=[{"content": "x"}]),
    "an empty chat": response(0, prompt=[]),
    "a chat of null": response(0, prompt=[None]),
    "a chat with names": response(0, prompt=[{"role": "user", "content": "x", "name": 3}]),
    "an object as prompt": response(0, prompt={"a": 1}),
    "a local time": response(0, shown_at="2026-01-01T02:00:00+02:00"),
    "a time with a space": response(0, shown_at="2026-01-01 00:00:00.5"),
    "a time without a zone": response(0, shown_at="2026-01-01T00:00:00"),
    "a day": response(0, shown_at="2026-01-01"),
    "an empty time": response(0, shown_at=""),
    "no time": response(0, shown_at="soon"),
    "a number as time": response(0, shown_at=START + 0.25),
    "nanoseconds": response(0, shown_at=START * 10**9 + 1),
    "a time that is out of range": response(0, shown_at=-(10**11) + 1),
    "a truth value as time": response(0, shown_at=True),
    "half a turn": response(0, turn=1.7),
    "a large turn": response(0, position=2**31),
    "a turn in words": response(0, turn="3"),
    "a chance": response(0, p_ask=0.5),
    "a chance above 1": response(0, p_ask=2),
    "a chance in words": response(0, p_ask="0.25"),
    "context": response(0, **{"context.place": 3}),
    "context that is text": response(0, **{"context.device": "web", "context.day": "2026-01-01"}),
    "context without a value": response(0, **{"context.none": None}),
    "an object of context": response(0, context={"place": 3, "device": "tv"}),
    "an object of context with marks": response(0, context={"device": 'a "{tv}": b'}),
    "an empty object of context": response(0, context={}),
    "text as context": response(0, context="x"),
    "an object of context that is twice": response(0, context={"place": 3}, **{"context.place": 4}),
    "a list in context": response(0, context={"place": [1]}),
    "whole and broken numbers in context": response(0, **{"context.n": 1.5}),
    "a large number in context": response(0, **{"context.n": 2**70}),
    "a text that names context": response(0, response='the key "context.place": 3'),
    "unknown columns": response(0, extra={"a": [1, "x", None]}),
    "an unknown signal": event(1, channel="applause"),
    "a signal without a name": event(1, channel=""),
    "a thumb in words": event(1, channel="thumbs", value="like"),
    "a thumb": event(1, channel="thumbs", value=0),
    "a rating in words": event(1, channel="rating", value="4/5"),
    "a signal without a value": event(1, value=None),
    "a signal that is true": event(1, value=True),
    "a signal of nobody": event(1, source=None),
    "a signal with its record": event(1, raw={"a": 1}, text="x"),
    "no record of this source": {"a": 1},
    "no object": [1],
    "null": None,
    "half of a character": response(0, response="\ud83d"),
    "half of a character elsewhere": response(0, extra="\ud83d"),
    "other letters": response(0, response="äß 茶 😀 \u2028 \x00 \x85"),
}
RAW = {
    "nothing": b"",
    "spaces": b"  \t",
    "a line that is cut off": b'{"response_id": "x", "prompt": "p", "resp',
    "two objects": b'{"response_id": "x"}{"response_id": "y"}',
    "an object in two lines": b'{"response_id": "x",\n"prompt": "p", "response": "r"}',
    "a line from } to {": b'{"response_id": "x", "a": {}\n, "prompt": "p", "response": "r"}',
    "a key twice": b'{"response_id": "x", "response_id": "y", "prompt": "p", "response": "r"}',
    "no number": b'{"response_id": "x", "prompt": "p", "response": "r", "p_ask": NaN}',
    "a number without an end": b'{"response_id": "x", "prompt": "p", "response": "r", "p_ask": 1e999}',
    "no UTF-8": b'{"response_id": "x", "prompt": "p\xff", "response": "r"}',
    "marks of byte order": b'\xef\xbb\xbf{"response_id": "x", "prompt": "p", "response": "r"}',
    "a Windows line": b'{"response_id": "x", "prompt": "p", "response": "r"}\r',
    "a space after": b'{"response_id": "x", "prompt": "p", "response": "r"} ',
}


def both(path, monkeypatch):
    """The import by column, and the one record by record."""
    by_column = import_log("generic", path, scale=(1, 5))
    monkeypatch.setattr(staging, "JSON_LINES", ())
    by_record = import_log("generic", path, scale=(1, 5))
    monkeypatch.setattr(staging, "JSON_LINES", (".jsonl", ".ndjson"))
    return by_column, by_record


def staged(path, kinds, monkeypatch):
    """All rows before they are merged, and the account of the others."""
    monkeypatch.setattr(staging, "JSON_LINES", kinds)
    found = staging.stage(
        source_named("generic"), [path], UserMapping(), scratch.Scratch(), no_progress
    )
    tables = []
    for frames, schema in (
        (found.responses, schemas.STAGED_RESPONSES),
        (found.events, schemas.STAGED_EVENTS),
    ):
        even = merge._with_equal_types(frames, schema)
        rows = pl.concat(even, how="diagonal_relaxed").collect().sort("line")
        tables.append(rows.select(sorted(rows.columns)))
    rejected = pl.concat([pl.DataFrame(schema=schemas.REJECTED), *found.rejected])
    return [*tables, rejected.sort("line", "reason")], found.read, found.skipped


def assert_same(one, two):
    assert one.log.equals(two.log)
    assert one.log.schema == two.log.schema
    assert one.tables.responses.equals(two.tables.responses)
    assert one.tables.events.equals(two.tables.events)
    assert one.tables.rejected.equals(two.tables.rejected)
    assert one.summary == two.summary


@pytest.mark.parametrize("name", [*ODD, *RAW])
def test_an_odd_line_is_read_as_by_the_row_reader(name, tmp_path, monkeypatch):
    monkeypatch.setattr(json_columns, "FEW", 2)
    odd = RAW[name] if name in RAW else json.dumps(ODD[name]).encode()
    plain = [json.dumps(response(i)).encode() for i in range(1, 12)]
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"\n".join([odd, *plain[:6], odd, *plain[6:], odd]) + b"\n")
    by_column = staged(path, (".jsonl",), monkeypatch)
    by_record = staged(path, (), monkeypatch)
    for one, two in zip(by_column[0], by_record[0], strict=True):
        assert one.schema == two.schema
        assert one.equals(two)
    assert by_column[1:] == by_record[1:]


@pytest.mark.parametrize("seed", [2, 3])
def test_any_mixture_of_lines_in_blocks_of_any_size(seed, tmp_path, monkeypatch):
    rng = random.Random(seed)
    monkeypatch.setattr(json_columns, "BLOCK", rng.choice([300, 3_000, 30_000]))
    monkeypatch.setattr(json_columns, "FEW", rng.choice([1, 8]))
    # a context of numbers and text has the type of its batch, in which a number may be 1 or 1.0
    odd = [value for name, value in ODD.items() if "context" not in name]
    found = []
    for i in range(150):
        row = response(i, extra=i) if rng.random() < 0.7 else event(i)
        found.append(json.dumps(rng.choice(odd) if rng.random() < 0.1 else row).encode())
        if rng.random() < 0.05:
            found.append(rng.choice([*RAW.values()]))
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join(found)))
    assert_same(*both(path, monkeypatch))


def test_plain_lines_are_read_by_column_alone(tmp_path, monkeypatch):
    """The row reader sees the sample that decides on types, and no more."""
    rows = [response(i, prompt=chat("x"), extra=i, **{"context.n": i}) for i in range(500)]
    rows[300] |= {"extra": "another type"}
    path = lines(tmp_path / "log.jsonl", rows)
    seen = []
    monkeypatch.setattr(staging, "json_line", lambda *line: seen.append(line))
    assert import_log("generic", path).log.height == 500
    assert not seen


def test_a_column_that_begins_late_is_not_lost(tmp_path, monkeypatch):
    """In a block that has no odd value, only the names of its keys tell."""
    monkeypatch.setattr(json_columns, "BLOCK", 5_000)
    rows = [response(i) for i in range(200)]
    rows[150] |= {"context.place": "home", "context": {"device": "tv"}}
    rows[160] |= {"context": {"device": "pc", "late": 1}}
    rows[170] |= {"position": 3, "p_ask": 1, "model": "m", "parent_response_id": "r1"}
    result, slow = both(lines(tmp_path / "log.jsonl", rows), monkeypatch)
    assert_same(result, slow)
    log = result.log.filter(result.log["context.device"].is_not_null()).sort("context.device")
    assert log["context.device"].to_list() == ["pc", "tv"]
    assert log["context.late"].to_list() == [1, None]
    assert log["context.place"].to_list() == [None, "home"]
    assert column(result, "model")["r170"] == "m"
    assert column(result, "p_ask")["r170"] == 1.0


def test_deep_nesting_and_long_lines_are_no_crash(tmp_path, monkeypatch):
    deep = b"[" * 200_000 + b"]" * 200_000
    head = b'{"response_id": "x", "prompt": '
    good = json.dumps(response(1)).encode()
    path = tmp_path / "log.jsonl"
    path.write_bytes(good + b"\n" + head + deep + b', "response": "r"}\n' + good + b"\n")
    result, slow = both(path, monkeypatch)
    assert_same(result, slow)
    assert result.tables.rejected["line"].to_list() == [2]
    monkeypatch.setattr(records, "MAX_LENGTH", 1000)
    result, slow = both(path, monkeypatch)
    assert_same(result, slow)
    assert result.tables.rejected["reason"].to_list() == ["the line is longer than 1,000 bytes"]


@pytest.mark.parametrize("size", [300, 5000])
def test_a_cut_off_file_gives_the_lines_before_the_cut(size, tmp_path, monkeypatch):
    monkeypatch.setattr(json_columns, "BLOCK", size)
    rng = random.Random(size)
    rows = [response(i, response=str(rng.random()) * 20) for i in range(400)]
    packed = gzip.compress(lines(tmp_path / "all.jsonl", rows).read_bytes())
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(packed[: len(packed) * 2 // 3])
    result, slow = both(path, monkeypatch)
    assert_same(result, slow)
    assert 100 < result.log.height < 400
    assert ["cut off" in reason for reason in result.tables.rejected["reason"]] == [True]
    path.write_bytes(b"no gzip")
    with pytest.raises(TruewardError):
        import_log("generic", path)
