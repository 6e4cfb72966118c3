"""Opik: traces and spans with their feedback scores, from `opik export`, the SDK, API pages or the UI.

Fields read of traces: ``id``, ``name``, ``input``, ``output``, ``start_time``, ``last_updated_at``,
``thread_id``, ``source``, ``metadata``, ``feedback_scores``, and the ``spans`` beside a trace. Of spans also
``trace_id``, ``parent_span_id``, ``type``, ``model``. Of scores: ``name``, ``value``, ``category_name``,
``reason``, ``source``, ``last_updated_by``, ``last_updated_at``, ``value_by_author``; or columns
``feedback_scores.NAME`` of the UI's tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError
from trueward.importers.channels import shortened
from trueward.importers.contract import (
    InvalidRecord,
    Record,
    Row,
    Skip,
    Source,
    UserMapping,
)
from trueward.importers.spans import (
    TEXTS,
    call_row,
    mapped,
    read_parts,
    span_row,
)
from trueward.importers.values import decode_json, id_text, parse_time

from ._dotted import nested
from ._opik_scores import COLUMN, column_rows, score_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SPAN_TYPES = frozenset({"general", "tool", "llm", "guardrail"})
UNSHOWN = frozenset({"experiment", "playground", "optimization", "evaluator"})  # sources of traces
TRACE_KEYS = frozenset(
    "project_id last_updated_at created_by span_count llm_span_count has_tool_spans visibility_mode"  # noqa: SIM905
    " thread_id feedback_scores span_feedback_scores total_estimated_cost ttft providers".split()
)  # at least two
OF_TRACE = "a trace, read for its user, session and output"
CSV = (
    "the CSV of opik export holds values that cannot be read back: export with --format json, or the JSON of "
    "the UI"
)
Value = dict[str, Any]


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: trace, span, thread, page, or table row.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        ``trace`` (alone or beside its spans), ``span``, ``thread``, ``page`` of the API, ``table row`` of the
        UI, or None if the record is not of this source.

    """
    keys = record.keys()
    if isinstance(record.get("trace"), dict) and isinstance(record.get("spans"), list):
        return "trace" if "input" in record["trace"] or "start_time" in record["trace"] else None
    if {"content", "page", "total"} <= keys and isinstance(record["content"], list):
        inner = [part for part in record["content"][:1] if isinstance(part, dict)]
        return "page" if any(record_kind(part) for part in inner) else None
    if "downloaded_at" in keys and not {"items", "current_version"}.isdisjoint(keys):
        return "dataset, prompt or experiment"
    if "number_of_messages" in keys and ("thread_model_id" in keys or "last_message" in keys):
        return "thread"
    if {"trace_id", "type", "start_time"} <= keys:
        return "span" if record["type"] in SPAN_TYPES else None
    if {"trace_id", "trace_input"} <= keys:
        return "table of opik export"
    if any(key.startswith(COLUMN) for key in keys):
        return "table row"
    is_run = "run_type" in keys or "trace_id" in keys
    return "trace" if {"id", "start_time"} <= keys and not is_run and _has(keys) else None


def _has(keys: Any) -> bool:
    return len(TRACE_KEYS & keys) > 1


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield model calls, the traces and spans around them, and feedback scores as events.

    Parameters
    ----------
    records : sequence of Record
        One record.
    mapping : UserMapping
        Channels of score names, paths of texts.

    Yields
    ------
    Row
        A response, an event, or a Skip for what gives neither.

    Raises
    ------
    InvalidRecord
        If a record cannot be used.
    TruewardError
        If the file is a table that cannot be read.

    """
    (record,) = records
    if record.kind == "table of opik export":
        raise TruewardError(f"{record.file}: {CSV}")
    yield from _rows(record.value, record.kind, mapping)


def _rows(value: Mapping[str, Any], kind: str | None, mapping: UserMapping) -> Iterator[Row]:
    if kind == "page":
        yield from read_parts(value["content"], lambda part: _part(part, mapping))
    elif kind == "dataset, prompt or experiment":
        yield Skip("a dataset, prompt or experiment beside the traces")
    elif kind == "thread":
        yield Skip("a thread repeats texts of its traces")
        for _ in decode_json(value.get("feedback_scores")) or ():
            yield Skip("a score of a thread belongs to no single response")
    elif kind == "span":
        yield from _span(value, mapping)
    elif kind == "table row":
        yield from _table_row(value, mapping)
    else:
        yield from _trace(value, mapping)


def _part(value: Any, mapping: UserMapping) -> Iterator[Row]:
    kind = record_kind(value) if isinstance(value, dict) else None
    if kind is None:
        raise InvalidRecord(f"is no trace or span of Opik: {shortened(value)}")
    return _rows(value, kind, mapping)


def _trace(record: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    """Yield a trace with its scores, and the spans beside it."""
    value, spans = record, []
    if isinstance(record.get("trace"), dict):
        value, spans = record["trace"], record["spans"]
    name = id_text(value.get("id"))
    if name is None:
        raise InvalidRecord("a trace needs an id, and has none: add the column id to the export")
    source = "experiment" if value.get("experiment") else value.get("source")
    if source in UNSHOWN:
        yield Skip(f"a trace of source {source}, which users did not see")
        yield from [Skip("a span of a trace that users did not see")] * len(spans)
        return
    asked = mapped(record, mapping, "prompt", nested(value, "input"))
    answered = mapped(record, mapping, "response", nested(value, "output"))
    session = value.get("thread_id")
    yield span_row(
        asked,
        answered,
        OF_TRACE,
        response_id=f"opik:trace:{name}",
        shown_at=parse_time(value.get("start_time")),
        group=name,
        session_id=id_text(mapped(record, mapping, "session", session)),
        **_about(record, value, mapping),
    )
    yield from score_rows(value, mapping, group=name)
    yield from read_parts(spans, lambda span: _span({"trace_id": name, **span}, mapping))
    if value.get("span_feedback_scores") and not spans:
        yield Skip("means of the scores of spans: export the spans beside their traces")


def _span(value: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    """Yield a model call, or a step around or beside one."""
    trace, parent = id_text(value.get("trace_id")), id_text(value.get("parent_span_id"))
    kind = str(value.get("type") or "general")
    if value.get("source") in UNSHOWN:
        yield Skip("a span of a trace that users did not see")
        return
    asked = mapped(value, mapping, "prompt", nested(value, "input"))
    answered = mapped(value, mapping, "response", nested(value, "output"))
    fields: dict[str, Any] = {
        "response_id": f"opik:{value['id']}",
        "shown_at": parse_time(value.get("start_time")),
        "model": id_text(value.get("model")),
        "group": trace,
        "parent_span": f"opik:{parent}" if parent else trace and f"opik:trace:{trace}",
        **_about(value, value, mapping),
    }
    if kind == "llm":
        yield call_row(asked, answered, **fields)
    else:
        asked, answered = (asked, answered) if kind == "general" else (None, None)
        yield span_row(asked, answered, f"a span of type {kind} is no answer", **fields)
    yield from score_rows(value, mapping, response_id=fields["response_id"], group=trace)


def _about(record: Mapping[str, Any], value: Mapping[str, Any], mapping: UserMapping) -> Value:
    return {
        "user_id": id_text(mapped(record, mapping, "user", None)),
        "span_name": id_text(value.get("name")),
        "updated_at": parse_time(value.get("last_updated_at")),
    }


def _table_row(value: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    """Yield a row of the UI's table of traces or spans."""
    texts = {key: cell for key, cell in value.items() if not key.startswith(COLUMN)}
    if value.get("type") in SPAN_TYPES:
        yield from _span(texts, mapping)
        about = {"response_id": f"opik:{value['id']}", "group": id_text(value.get("trace_id"))}
    else:
        yield from _trace(texts, mapping)
        about = {"group": id_text(value["id"])}
    yield from column_rows(value, mapping, **about)


SOURCE = Source(
    title="Opik traces, spans and feedback scores (`opik export`, SDK, API pages, UI export)",
    levels={
        "trace": "full",
        "span": "full",
        "page": "full",
        "table row": "full",
        "thread": None,
        "dataset, prompt or experiment": None,
        "table of opik export": None,
    },
    record_kind=record_kind,
    rows=rows,
    covers="`full`, given every trace; lowered if all of them are scored",
    wider="export all traces of the project, not those with scores only",
    signals={"user_feedback": "thumbs", "User feedback": "thumbs"},
    mappable=TEXTS,
)
