"""Values at the edges of what a product can write: times out of range, long texts without a space."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from helpers.product_exports import lines

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
