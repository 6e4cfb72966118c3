"""MLflow: traces with their assessments, as `Trace.to_dict`, `search_traces` or the REST API gives them.

Fields read of ``info`` (or of a row of `search_traces`): ``trace_id`` or ``request_id``, ``state`` or
``status``, ``request_time`` or ``timestamp_ms``, ``trace_metadata`` or ``request_metadata`` (user and
session), ``assessments``. The texts are those of the root span (``mlflow.spanInputs``,
``mlflow.spanOutputs``), else ``request`` and ``response``. Of assessments: ``assessment_id``,
``assessment_name`` or ``name``, ``source``, ``feedback``, ``expectation``, ``rationale``, ``valid``,
``create_time``, ``last_update_time``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import finite_number, mapped_channel, signal_event
from trueward.importers.contract import (
    WRONG_TYPE,
    Actor,
    Event,
    InvalidRecord,
    Record,
    Reject,
    Response,
    Row,
    Skip,
    Source,
    UserMapping,
)
from trueward.importers.messages import answer_text, to_messages
from trueward.importers.values import decode_json, first_value, id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ACTORS: dict[str, Actor] = {
    "HUMAN": "user",
    "LLM_JUDGE": "judge",
    "AI_JUDGE": "judge",
    "CODE": "judge",
}
TEXTS = {"prompt": ("inputs", "request"), "response": ("outputs", "response")}


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: trace or assessment.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        ``trace`` or ``assessment``, or None if the record is not of this source.

    """
    keys = record.keys()
    if "assessment_name" in keys and "trace_id" in keys:
        return "assessment"
    info = decode_json(record.get("info"))
    if isinstance(info, dict) and "data" in keys and _trace_id(info) is not None:
        return "trace"
    has_texts = any(name in keys for name in (*TEXTS["prompt"], "trace"))
    return "trace" if {"trace_id", "assessments"} <= keys and has_texts else None


def _trace_id(info: Mapping[str, Any]) -> str | None:
    return id_text(info.get("trace_id") or info.get("request_id"))


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield what a trace answered, and its assessments as signals.

    Parameters
    ----------
    records : sequence of Record
        One record.
    mapping : UserMapping
        Channels of assessments by name, and paths of ``prompt`` and ``response``.

    Yields
    ------
    Row
        A response, an event, a Skip, or a Reject for an assessment that cannot be read.

    Raises
    ------
    InvalidRecord
        If a record cannot be used.
    NoAnswer
        If a trace has no text.

    """
    (record,) = records
    value = record.value
    if record.kind == "assessment":
        yield from _assessment(value, f"mlflow:{value['trace_id']}", mapping)
        return
    whole = decode_json(value.get("trace"))
    value = {**value, **whole} if isinstance(whole, dict) else value
    info = decode_json(value.get("info"))
    info = {**value, **info} if isinstance(info, dict) else value
    name = f"mlflow:{_trace_id(info)}"
    assessments = decode_json(info.get("assessments")) or []
    state = str(info.get("state") or info.get("status") or "OK").rpartition(".")[2]
    if state != "OK":
        yield Skip(f"a trace that ended in the state {state}")
        yield from [Skip("an assessment of a trace without an answer")] * len(assessments)
        return
    root = _root(value)
    texts = {
        role: first_value({**value, **root}, (*mapping.paths.get(role, ()), *names))
        for role, names in TEXTS.items()
    }
    if texts["prompt"] is None or texts["response"] is None:
        raise InvalidRecord(
            "a trace needs inputs and outputs, and one of them is empty: name their place by --map "
            "prompt=PATH --map response=PATH"
        )
    metadata = decode_json(info.get("trace_metadata") or info.get("request_metadata")) or {}
    yield Response(
        name,
        to_messages(texts["prompt"]),
        answer_text(texts["response"]),
        user_id=id_text(metadata.get("mlflow.trace.user")),
        session_id=id_text(metadata.get("mlflow.trace.session")),
        shown_at=parse_time(info.get("request_time") or info.get("timestamp_ms")),
    )
    for assessment in assessments:
        try:
            yield from _assessment(assessment, name, mapping)
        except (InvalidRecord, *WRONG_TYPE) as e:  # one bad assessment must not reject the trace
            yield Reject(f"an assessment that cannot be read: {e}", (record.file, record.line))


def _root(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return inputs and outputs of the root span."""
    data = decode_json(value.get("data"))
    spans = data.get("spans") if isinstance(data, dict) else decode_json(value.get("spans"))
    for span in spans or ():
        if isinstance(span, dict) and not (span.get("parent_span_id") or span.get("parent_id")):
            attributes = decode_json(span.get("attributes")) or {}
            found = {
                "inputs": decode_json(attributes.get("mlflow.spanInputs")) or span.get("inputs"),
                "outputs": decode_json(attributes.get("mlflow.spanOutputs")) or span.get("outputs"),
            }
            return {key: text for key, text in found.items() if text is not None}
    return {}


def _assessment(value: Mapping[str, Any], name: str, mapping: UserMapping) -> Iterator[Row]:
    called = value.get("assessment_name") or value.get("name")
    kind = str((value.get("source") or {}).get("source_type") or "").rpartition(".")[2]
    source = ACTORS.get(kind)
    if source is None:
        raise InvalidRecord(f"the source of {called!r} should be one of {', '.join(ACTORS)}")
    if value.get("valid") is False:
        yield Skip("an assessment that a later one overrides")
        return
    key = id_text(value.get("assessment_id")) or f"{called}/{source}"
    fields: dict[str, Any] = {"response_id": name, "event_id": id_text(value.get("assessment_id"))}
    fields |= {
        "at": parse_time(value.get("create_time") or value.get("create_time_ms")),
        "updated_at": parse_time(value.get("last_update_time")),
        "actor_id": id_text((value.get("source") or {}).get("source_id")),
    }
    expected = (value.get("expectation") or {}).get("value")
    if isinstance(expected, str) and called in {"expected_response", "expected_output"}:
        yield Event("correction", 1.0, "annotator", **fields, key=key, text=expected)
        return
    stated = (value.get("feedback") or {}).get("value")
    channel = mapped_channel(called, mapping)
    if stated is None:
        yield Skip("an assessment without feedback")
    elif channel is not None:
        yield signal_event(channel, stated, source=source, **fields, key=key)
        if value.get("rationale"):
            more = {**fields, "event_id": f"{key}/comment", "key": f"{key}/comment"}
            yield Event("comment", 1.0, source, **more, text=str(value["rationale"]))
    elif source == "judge" and isinstance(stated, bool | int | float):
        yield Event("rating", finite_number(stated), source, **fields, key=key)
    else:
        yield Skip(f"the assessment {called!r} is not mapped")


SOURCE = Source(
    title="MLflow traces with their assessments (JSON, `search_traces`, API pages)",
    levels={"trace": "full", "assessment": None},
    record_kind=record_kind,
    rows=rows,
    covers="`full`, given every trace; assessments alone hold no text",
    wider="export all traces (mlflow.search_traces), not those with assessments only",
    signals={"user_feedback": "thumbs"},
    mappable=frozenset(TEXTS),
)
