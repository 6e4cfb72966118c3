"""Langfuse: observations, traces and scores, from the blob export, the UI export or API pages.

Fields read (snake_case or camelCase) of observations: ``id``, ``type``, ``name``, ``trace_id``,
``parent_observation_id``, ``input``, ``output``, ``user_id``, ``session_id``, ``start_time``,
``updated_at``, ``provided_model_name`` or ``model``. Of traces: ``id``, ``name``, ``input``, ``output``,
``user_id``, ``session_id``, ``timestamp``, ``updated_at``, and the ``observations`` and ``scores`` inside.
Of scores: ``id``, ``name``, ``value``, ``string_value``, ``data_type``, ``source``, ``trace_id``,
``observation_id`` or ``subject``, ``comment``, ``author_user_id``, ``timestamp``, ``updated_at``; or columns
of the UI's tables with the name of a score.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    attribute_signals,
    call_row,
    mapped,
    read_parts,
    span_row,
)
from trueward.importers.values import decode_json, id_text, parse_time, snake_case

from ._langfuse_scores import column_rows, score_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TRACE_KEYS = {"session_id", "user_id", "public", "bookmarked", "release", "tags"}  # at least two
AROUND = {"SPAN", "AGENT", "CHAIN"}  # observations whose output a user may see
OF_OPIK = {"general", "tool", "llm", "guardrail"}  # types of its spans, which have the same keys
OF_TRACE = "a trace, read for its user, session and output"
Value = dict[str, Any]


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: score, observation, trace, or session.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        ``score``, ``observation``, ``trace`` or ``session``, or None if the record is not of this source.

    """
    keys = {snake_case(key) for key in record}
    if {"data_type", "source", "name"} <= keys and ("trace_id" in keys or "subject" in keys):
        return "score"
    is_step = "start_time" in keys or "parent_observation_id" in keys
    if {"trace_id", "type"} <= keys and is_step and record.get("type") not in OF_OPIK:
        return "observation"
    if {"trace", "observations"} <= keys and isinstance(record["trace"], dict):
        return "trace"
    if {"id", "traces", "project_id"} <= keys and isinstance(record["traces"], list):
        return "session"
    return "trace" if {"id", "timestamp"} <= keys and len(TRACE_KEYS & keys) > 1 else None


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield generations as calls, traces and spans around them, and scores as events.

    Parameters
    ----------
    records : sequence of Record
        Any number of records.
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

    """
    for record in records:
        if record.kind == "score":
            yield from score_rows(_snake(record.value), mapping)
        elif record.kind == "observation":
            yield from _observation(record.value, mapping)
        elif record.kind == "trace":
            yield from _trace(record.value, mapping)
        else:
            traces = record.value["traces"]
            yield from read_parts(traces, lambda trace: _trace(trace, mapping))


def _trace(record: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    """Yield a trace, and the observations and scores inside."""
    if isinstance(record.get("trace"), dict):  # the UI's download of one trace
        record = {**record["trace"], **{k: v for k, v in record.items() if k != "trace"}}
    value = _snake(record)
    name = id_text(value["id"])
    asked = mapped(value, mapping, "prompt", value.get("input"))
    answered = mapped(value, mapping, "response", value.get("output"))
    yield span_row(
        asked,
        answered,
        OF_TRACE,
        response_id=f"langfuse:trace:{name}",
        shown_at=parse_time(value.get("timestamp")),
        group=name,
        **_ids(value, mapping),
    )
    yield from column_rows(record, mapping, group=name)
    yield from attribute_signals(value.get("metadata"), mapping, "key of metadata", group=name)
    yield from _inside(value.get("observations"), "observation", {"group": name}, mapping)
    yield from _inside(value.get("scores"), "score", {"group": name}, mapping)
    if decode_json(value.get("comments")):
        yield Skip("comments of the team on a trace are not read")


def _inside(parts: Any, kind: str, about: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    """Yield the rows of records inside a trace; some exports only name them."""

    def read(part: Any) -> Iterator[Row]:
        if not isinstance(part, dict):
            return iter([Skip(f"a record names its {kind}s by id only: export the {kind}s too")])
        own = _snake(part)
        own["trace_id"] = (
            own.get("trace_id") or about["group"]
        )  # some exports leave it to the place
        if kind == "observation":
            return _observation(own, mapping)
        if "response_id" in about and not own.get("observation_id"):
            own["observation_id"] = str(about["response_id"]).removeprefix("langfuse:")
        return score_rows(own, mapping)

    parts = decode_json(parts)
    if isinstance(parts, dict) and kind == "score":  # sums by name, as the pages show them
        cells = {
            k: v.get("values", v.get("value")) if isinstance(v, dict) else v
            for k, v in parts.items()
        }
        yield from column_rows(cells, mapping, **about)
    yield from read_parts(parts if isinstance(parts, list) else [], read)


def _observation(record: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    """Yield a generation as a model call, and any other observation as a span."""
    value = _snake(record)
    trace, kind = id_text(value.get("trace_id")), str(value["type"])
    parent = id_text(value.get("parent_observation_id"))
    above = f"langfuse:{parent}" if parent else f"langfuse:trace:{trace}"
    fields: dict[str, Any] = {
        "response_id": f"langfuse:{value['id']}",
        "shown_at": parse_time(value.get("start_time")),
        "model": id_text(value.get("provided_model_name") or value.get("model")),
        "group": trace,
        "parent_span": above if parent or trace else None,
        **_ids(value, mapping),
    }
    is_call = kind == "GENERATION"
    if is_call and "input" not in value and "output" not in value:
        raise InvalidRecord("has neither input nor output: export these field groups too")
    asked = mapped(value, mapping, "prompt", value.get("input"))
    answered = mapped(value, mapping, "response", value.get("output"))
    if is_call:
        yield call_row(asked, answered, **fields)
    else:
        asked, answered = (asked, answered) if kind in AROUND else (None, None)
        yield span_row(asked, answered, f"an observation of type {kind} is no answer", **fields)
    about = {"response_id": fields["response_id"], "group": trace}
    yield from column_rows(record, mapping, **about)
    yield from _inside(value.get("scores"), "score", about, mapping)
    yield from attribute_signals(value.get("metadata"), mapping, "key of metadata", **about)


def _snake(record: Mapping[str, Any]) -> Value:
    return {snake_case(key): inner for key, inner in record.items()}


def _ids(value: Value, mapping: UserMapping) -> dict[str, Any]:
    return {
        "user_id": id_text(mapped(value, mapping, "user", value.get("user_id"))),
        "session_id": id_text(mapped(value, mapping, "session", value.get("session_id"))),
        "span_name": id_text(value.get("name")),
        "updated_at": parse_time(value.get("updated_at")),
    }


SOURCE = Source(
    title="Langfuse observations, traces and scores (blob export, UI export, API pages)",
    levels={"observation": "full", "trace": "full", "session": "full", "score": None},
    record_kind=record_kind,
    rows=rows,
    covers="`full`, given observations or traces beside the scores; scores alone hold no text",
    wider="export observations (or traces) beside the scores",
    signals={"user-feedback": "thumbs"},
    mappable=TEXTS,
)
