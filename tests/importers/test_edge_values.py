"""Values at the edges of what a product can write: times out of range, long texts without a space."""

import json
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from helpers.product_exports import lines

from trueward.core.errors import TruewardError
from trueward.importers import import_log, patterns
from trueward.importers.contract import InvalidRecord
from trueward.importers.values import parse_time


def phoenix_span(name, start):
    texts = {"input.value": "Which cable?", "output.value": "The blue one."}
    context = {"span_id": name, "trace_id": f"t-{name}"}
    return {
        "name": "answer",
        "span_kind": "LLM",
        "context": context,
        "start_time": start,
        "attributes": texts,
    }


@pytest.mark.parametrize(
    "start",
    ["9999-12-31T23:59:59-23:59", "Infinity", "nan", float("inf"), float("nan"), 10**400, -1e300],
)
def test_a_time_out_of_range_rejects_its_row_only(tmp_path, start):
    rows = [phoenix_span("s1", start), phoenix_span("s2", "2025-05-01T10:00:00Z")]
    result = import_log("phoenix", [lines(tmp_path / "spans.jsonl", rows)])
    assert result.log["response_id"].to_list() == ["phoenix:s2"]
    assert result.tables.rejected.height == 1


def test_a_datetime_whose_utc_does_not_exist_is_invalid():
    last = datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))
    with pytest.raises(InvalidRecord, match="out of range"):
        parse_time(last)
    assert parse_time(datetime(2025, 5, 1, tzinfo=UTC)) == datetime(2025, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "unit", ["x", "sk-", "password:", "eyJabcdefghij-", "a.", "1", "key=", "bearer "]
)
def test_redaction_is_linear_in_the_length_of_a_text(unit):
    text = (unit * 70_000)[:70_000]
    start = time.process_time()
    for pattern in (
        patterns.SHAPE,
        patterns.NAMED,
        patterns.EMAIL,
        patterns.CUT,
        patterns.CUT_EMAIL,
    ):
        pattern.sub("", text)
    patterns.CUT_SECRET.sub("", text)
    assert time.process_time() - start < 5  # a quadratic search takes minutes


def test_half_of_a_character_in_any_value_rejects_its_row_only(tmp_path):
    texts = {"input": "Which pump?", "output": "The red one.", "startTime": "2025-05-01T10:00:00Z"}
    base = {"type": "GENERATION", "name": "answer", **texts}
    rows = [base | {"id": f"o{i}", "traceId": f"t{i}"} for i in range(4)]
    rows[1] |= {"name": "\ud83d"}
    rows[2] |= {"traceId": "\ud83d"}
    path = tmp_path / "observations.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    result = import_log("langfuse", [path])
    assert sorted(result.log["response_id"]) == ["langfuse:o0", "langfuse:o3"]
    assert result.tables.rejected["line"].to_list() == [2, 3]


def test_a_time_out_of_range_rejects_one_answer_of_a_chat(tmp_path):
    def message(name, parent, role, at, **more):
        fields = {"id": name, "parentId": parent, "role": role, "content": f"text {name}"}
        return fields | {"timestamp": at} | more

    messages = [
        message("q1", None, "user", 1746093600),
        message("a1", "q1", "assistant", 1746093601, annotation={"rating": 1}),
        message("q2", "a1", "user", float("inf")),
        message("a2", "q2", "assistant", float("inf"), annotation={"rating": -1}),
    ]
    history = {"messages": {m["id"]: m for m in messages}, "currentId": "a2"}
    chat = {"id": "c", "user_id": "u", "title": "t", "chat": {"history": history}}
    result = import_log("openwebui", [lines(tmp_path / "chats.jsonl", [chat])])
    assert result.log["response_id"].to_list() == ["openwebui:c/a1"]
    assert result.log["feedback"].to_list() == [1.0]
    assert all("its time" in reason for reason in result.tables.rejected["reason"])
    assert result.tables.rejected.height == 2  # the answer and its rating


@pytest.mark.parametrize("number", [253402300800, -(2**40)])
def test_a_model_number_that_no_table_holds_is_no_place_among_the_answers(tmp_path, number):
    user = {"id": "q", "parentId": None, "role": "user", "content": "Which?", "timestamp": 1}
    sides = [
        {"id": f"a{i}", "parentId": "q", "role": "assistant", "content": f"side {i}"}
        | {"timestamp": 2, "modelIdx": i * number}
        for i in range(2)
    ]
    history = {"messages": {m["id"]: m for m in (user, *sides)}, "currentId": "a1"}
    chat = {"id": "c", "user_id": "u", "title": "t", "chat": {"history": history}}
    result = import_log("openwebui", [lines(tmp_path / "chats.jsonl", [chat])])
    assert "openwebui:c/a1" in result.tables.responses["response_id"].to_list()


def test_a_column_name_that_is_no_utf_8_is_shown_in_the_reason(tmp_path):
    (tmp_path / "export.csv").write_bytes(b"id,cha\xfft,rating\nf1,x,1\n")
    with pytest.raises(TruewardError) as e:
        import_log("weave", [tmp_path / "export.csv"])
    str(e.value).encode()
