"""Damaged and unexpected input: wrong records are rejected with file, line and reason, the rest is read."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.product_exports import FIXTURES, column, fixture_records, lines

from trueward.core.errors import TruewardError, UsageError
from trueward.data.readers import json_stream
from trueward.importers import import_log
from trueward.importers import records as reading
from trueward.importers.values import parse_time

RESPONSES = fixture_records("generic_responses.jsonl")
EVENTS = fixture_records("generic_events.jsonl")
REQUESTS = fixture_records("helicone.jsonl")


def response(name, **more):
    return {"response_id": name, "prompt": f"p {name}", "response": f"r {name}"} | more


def event(name, channel="thumbs_up", value=1, **more):
    return {"response_id": name, "channel": channel, "value": value, "source": "user"} | more


def imported(tmp_path, *records):
    return import_log("generic", [lines(tmp_path / "log.jsonl", records)])


def rejected(result):
    return result.tables.rejected.select("line", "reason").rows()


def test_a_line_cut_off_in_the_middle_is_one_rejected_row(tmp_path):
    result = imported(tmp_path, response("a"), json.dumps(response("b"))[:-9], response("c"))
    assert column(result, "response") == {"a": "r a", "c": "r c"}
    ((line, reason),) = rejected(result)
    assert line == 2
    assert reason.startswith("invalid JSON (Unterminated string")
    assert result.tables.rejected["file"].to_list() == [str(tmp_path / "log.jsonl")]


@pytest.mark.parametrize(
    "line", ["[1, 2]", "3", '"text"', "null", "NaN", "{", "[" * 100_000, "1" * 5000]
)
def test_lines_that_are_no_objects_are_rejected(line, tmp_path):
    result = imported(tmp_path, response("a"), line)
    assert result.log.height == 1
    assert [row[0] for row in rejected(result)] == [2]


def test_an_array_cut_off_gives_what_is_before_the_cut(tmp_path):
    path = tmp_path / "requests.json"
    path.write_text(json.dumps(REQUESTS, indent=1)[:-200])
    result = import_log("helicone", [path])
    assert result.log.height == 2
    ((line, reason),) = rejected(result)
    assert line > 2
    assert "cut-off JSON" in reason


def test_a_damaged_element_ends_an_array_in_words(tmp_path):
    path = tmp_path / "requests.json"
    path.write_text(f"[{json.dumps(REQUESTS[0])}, {{broken, {json.dumps(REQUESTS[1])}]")
    result = import_log("helicone", [path])
    assert result.log.height == 1
    assert "the rest cannot be read" in rejected(result)[0][1]


def test_an_array_is_read_in_pieces_of_any_size(monkeypatch):
    values = [{"a": i, "text": "ä" * i, "n": [1.5, -2, None]} for i in range(60)]
    text = json.dumps(values, indent=1, ensure_ascii=False).encode()
    for size in (1, 7, 64):
        monkeypatch.setattr(json_stream, "CHUNK", size)
        found = list(json_stream.json_documents(io.BytesIO(text), 10_000))
        assert [value for _, value, _ in found] == values
        assert [line for line, _, _ in found] == [2 + 9 * i for i in range(60)]


def test_documents_one_after_another_are_records_too(tmp_path):
    path = tmp_path / "log.json"
    path.write_text("\n".join(json.dumps(response(name), indent=1) for name in "ab"))
    assert column(import_log("generic", [path]), "response") == {"a": "r a", "b": "r b"}


def test_bytes_that_are_no_utf_8_lose_their_row_only(tmp_path):
    good, bad = json.dumps(response("a")).encode(), b'{"response_id": "b\xff"}'
    (tmp_path / "log.jsonl").write_bytes(good + b"\n" + bad + b"\n")
    assert rejected(import_log("generic", [tmp_path / "log.jsonl"])) == [
        (2, "invalid UTF-8: byte 0xff at place 19")
    ]
    (tmp_path / "log.json").write_bytes(b"[" + good + b",\n" + bad + b"]")
    assert rejected(import_log("generic", [tmp_path / "log.json"])) == [(2, "invalid UTF-8")]
    (tmp_path / "log.csv").write_bytes(
        b"response_id,prompt,response\na,p,r\nb,p\xff,r\nc,p\nd,p,r\n"
    )
    result = import_log("generic", [tmp_path / "log.csv"])
    assert sorted(column(result, "response")) == ["a", "d"]
    assert rejected(result) == [(3, "invalid UTF-8"), (4, "has 2 cells where the header has 3")]


def test_a_csv_with_a_column_twice_is_not_guessed_at(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("response_id,prompt,response,response\na,p,r,s\n")
    with pytest.raises(TruewardError, match="names a column twice"):
        import_log("generic", [path])


@pytest.mark.parametrize(
    "channels",
    [
        {"copy": {"available": [["soon", None]]}},
        {"copy": {"available": 3}},
        {"copy": "always"},
        {"rating": {"min": "low", "max": 5}},
        {"rating": {"min": 5, "max": 5}},
        [],
        ["copy"],
    ],
)
def test_a_wrong_dataset_json_is_one_sentence(channels, tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps({"channels": channels}))
    lines(tmp_path / "responses.jsonl", [response("a"), event("a", channel="copy")])
    if channels == []:
        assert import_log("generic", [tmp_path]).log.height == 1
        return
    with pytest.raises(TruewardError, match=r"dataset\.json"):
        import_log("generic", [tmp_path])


def test_a_channel_that_is_somewhere_we_do_not_know_is_null_there(tmp_path):
    channels = {"copy": {"available": [["2026-01-01", None]], "where": {"context.device": "web"}}}
    (tmp_path / "dataset.json").write_text(json.dumps({"channels": channels}))
    lines(tmp_path / "responses.jsonl", [response("a"), response("b"), event("a", channel="copy")])
    assert column(import_log("generic", [tmp_path]), "channel.copy") == {"a": 1.0, "b": None}


def test_half_of_a_character_loses_its_row_only(tmp_path):
    result = imported(tmp_path, response("a"), json.dumps(response("b") | {"response": "\ud83d"}))
    assert rejected(result) == [(2, "half of a surrogate pair (a character that was cut in two)")]


def test_a_line_that_is_too_long_is_passed_over_without_being_held(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_LENGTH", 1000)
    result = imported(
        tmp_path, response("a"), response("b", response="x" * 3_000_000), response("c")
    )
    assert sorted(column(result, "response")) == ["a", "c"]
    assert rejected(result) == [(2, "the line is longer than 1,000 bytes")]


LONG = "y" * 9_000_000
ROWS = [json.dumps(row) for row in (response("a"), response("b", response=LONG), response("c"))]


@pytest.mark.parametrize(
    ("name", "text", "after"),
    [
        ("log.jsonl", "\n".join(ROWS), [("c", 3)]),
        ("log.jsonl.gz", "\n".join(ROWS), [("c", 3)]),
        ("log.csv", f"response_id,prompt,response\na,p,r\nb,p,{LONG}\nc,p,r\n", [("c", 4)]),
        ("log.json", f"[{','.join(ROWS)}]", []),  # nothing says where the next one would begin
    ],
    ids=["lines", "packed", "csv", "array"],
)
def test_a_record_of_any_length_takes_no_more_memory_than_the_limit(
    name, text, after, tmp_path, monkeypatch
):
    monkeypatch.setattr(reading, "MAX_LENGTH", 100_000)
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode(), 1) if name.endswith(".gz") else text.encode())
    tracemalloc.start()
    found = list(reading.read_records(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 7_000_000  # a megabyte is read at a time, decoded and joined to the one before
    (lost,) = [record for record in found if isinstance(record, reading.UnreadableRecord)]
    assert "longer than 100,000" in lost.reason
    kept = [(r.value["response_id"], r.line) for r in found if r is not lost]
    assert kept[0][0] == "a"
    assert kept[1:] == after


def test_a_long_line_within_the_limit_is_read(tmp_path):
    result = imported(tmp_path, response("a", response="x" * 30_000_000))
    assert result.log["response"].str.len_bytes().to_list() == [30_000_000]


def test_packed_files_are_read_and_cut_off_ones_counted(tmp_path):
    text = "".join(
        json.dumps(response(f"r{i}", response=str(i) * 99)) + "\n" for i in range(500)
    ).encode()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(text))
    with pa.output_stream(str(tmp_path / "b.jsonl.zst"), compression="zstd") as file:
        file.write(text)
    for name in ("a.jsonl.gz", "b.jsonl.zst"):
        assert import_log("generic", [tmp_path / name]).log.height == 500
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(text)[:-300])
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    result = import_log(
        "generic", [tmp_path / "a.jsonl.gz", tmp_path / "cut.jsonl.gz", tmp_path / "cut.parquet"]
    )
    assert result.log.height == 500
    assert sum("cut off" in reason for _, reason in rejected(result)) >= 2


@pytest.mark.parametrize("time", [datetime(2026, 1, 1, tzinfo=UTC), 1_767_225_600])
def test_a_parquet_file_damaged_in_the_middle_is_named(tmp_path, time):
    rows = [response(f"r{i}") for i in range(50)]
    path = tmp_path / "log.parquet"
    pl.DataFrame(rows).with_columns(pl.lit(time).alias("shown_at")).write_parquet(path)
    there = bytearray(path.read_bytes())
    group = pq.ParquetFile(path).metadata.row_group(0)
    (texts,) = [c for c in map(group.column, range(4)) if c.path_in_schema == "response"]
    start = texts.dictionary_page_offset or texts.data_page_offset
    there[start : start + 20] = b"\xff" * 20  # the header of its first page
    path.write_bytes(there)
    with pytest.raises(TruewardError, match="should be a whole Parquet file"):
        import_log("generic", [path])


def test_ids_with_different_texts_are_no_responses_unless_one_is_newer(tmp_path):
    twin = response("a", response="other")
    result = imported(
        tmp_path, response("a"), twin, response("b"), response("b"), event("a"), event("b")
    )
    assert column(result, "feedback") == {"b": 1.0}
    assert result.summary["duplicates"]["responses"] == 1
    assert [reason for _, reason in rejected(result)] == [
        "the id a has two texts, so its feedback could be about either",
        "the id a has two texts, so its feedback could be about either",
        "a thumbs_up without its response: a is not among the responses",
    ]


def test_events_without_a_response_a_channel_or_a_value_are_rejected(tmp_path):
    result = imported(
        tmp_path,
        response("a"),
        event("gone"),
        event("a", channel="applause"),
        event("a", value="much"),
        event("a", value=None),
        event("a", source="robot"),
        event(None),
        response("b", response=None),
        response(None),
        response("c", prompt=[]),
    )
    assert result.log.height == 1
    assert [line for line, _ in rejected(result)] == list(range(2, 11))
    assert result.tables.events_without_response == 1


def test_ratings_that_are_text_are_numbers(tmp_path):
    result = import_log(
        "generic",
        [lines(tmp_path / "l.jsonl", [response("a"), event("a", channel="rating", value="4.5")])],
        scale=(1, 5),
    )
    assert result.log.select("rating", "feedback").rows() == [(4.5, 1.0)]


@pytest.mark.parametrize(
    "spelled",
    [
        1772000000,
        "1772000000",
        1772000000.0,
        1772000000000,
        "1772000000000",
        1772000000000000,
        "1772000000000000000",
        "2026-02-25T06:13:20Z",
        "2026-02-25 06:13:20.000",
        "2026-02-25T07:13:20+01:00",
        {"$date": "2026-02-25T06:13:20Z"},
        {"$date": {"$numberLong": "1772000000000"}},
        datetime(2026, 2, 25, 6, 13, 20),  # noqa: DTZ001
    ],
)
def test_times_in_any_spelling_are_utc(spelled):
    assert parse_time(spelled) == datetime(2026, 2, 25, 6, 13, 20, tzinfo=UTC)


def test_times_that_are_none_reject_their_row(tmp_path):
    result = imported(
        tmp_path, response("a", shown_at="yesterday"), response("b", shown_at=1e30), response("c")
    )
    assert sorted(column(result, "response")) == ["c"]
    assert rejected(result)[0] == (1, "its time should be ISO 8601 or a number, and is 'yesterday'")


def test_feedback_from_before_its_response_is_kept_and_said(tmp_path):
    result = imported(
        tmp_path,
        response("a", shown_at="2026-01-01T00:00:10Z"),
        event("a", at="2026-01-01T00:00:00Z"),
        response("b", shown_at="2026-01-01T00:00:00Z"),
        event("b", at="2026-01-01T00:01:00Z"),
    )
    assert column(result, "feedback") == {"a": 1.0, "b": 1.0}
    assert column(result, "first_feedback_s") == {"a": None, "b": 60.0}
    assert any("a time before their response was shown" in note for note in result.notes)


def test_records_of_another_source_in_the_folder_are_rejected_by_name(tmp_path):
    lines(tmp_path / "a.jsonl", REQUESTS)
    lines(tmp_path / "b.jsonl", [{"hello": 1}, response("a")])
    result = import_log("helicone", [tmp_path])
    assert rejected(result) == [
        (1, "is not a record of helicone: its keys are hello"),
        (2, "is not a record of helicone, but of generic"),
    ]
    with pytest.raises(TruewardError, match="records of the same known source"):
        import_log("auto", [tmp_path])


def test_what_is_asked_for_wrongly_is_refused(tmp_path):
    path = lines(tmp_path / "log.jsonl", [response("a")])
    for asked, words in (
        ({"mapping": [("applause", "x")]}, "nothing called 'applause'"),
        ({"positive": ["applause"]}, "a label comes from a channel"),
        ({"positive": ["rating>=high"]}, "a label comes from a channel"),
    ):
        with pytest.raises(UsageError, match=words):
            import_log("generic", [path], **asked)
    with pytest.raises(UsageError, match="did you mean langfuse"):
        import_log("langfuze", [path])
    with pytest.raises(TruewardError, match="there is no file"):
        import_log("auto", [tmp_path / "none.jsonl"])
    with pytest.raises(UsageError, match=r"should end in one of \.jsonl"):
        import_log("auto", [lines(tmp_path / "log.txt", [])])


def test_an_empty_export_is_refused(tmp_path):
    path = lines(tmp_path / "log.jsonl", [])
    for source in ("auto", "generic"):
        with pytest.raises(TruewardError):
            import_log(source, [path])


@pytest.mark.parametrize("name", sorted(p.name for p in FIXTURES.iterdir()))
def test_no_value_of_a_wrong_type_ends_an_import_in_a_traceback(name, tmp_path):
    """Each field of each record in turn becomes a number, a list, an object, a text and null."""
    if name.endswith(".csv"):
        records = pl.read_csv(FIXTURES / name, infer_schema=False).to_dicts()
    elif name.endswith("_v3.json"):
        records = json.loads((FIXTURES / name).read_text())["data"]
    else:
        records = fixture_records(name)
    source = source_of(name)
    spoilt = [
        {**record, key: value}
        for record in records
        for key in record
        for value in (7, [1], {"a": {"b": None}}, "?", None, [], {}, True)
    ]
    try:
        result = import_log(source, [lines(tmp_path / "spoilt.jsonl", [*records, *spoilt])])
    except TruewardError:
        return
    assert sum(result.tables.read.values()) == len(records) + len(spoilt)


def source_of(name):
    known = {"repaired_chat": "openwebui"}
    stem = name.split(".")[0]
    return known.get(stem, stem.split("_")[0])
