"""OpenTelemetry: GenAI spans and evaluation events, as OTLP/JSON or one record per line.

Attributes read of spans: ``gen_ai.operation.name``, ``gen_ai.input.messages``, ``gen_ai.output.messages``,
``gen_ai.system_instructions`` (older: ``gen_ai.prompt.N.*``, ``gen_ai.completion.N.*``),
``gen_ai.response.id``, ``gen_ai.response.model`` or ``gen_ai.request.model``, ``gen_ai.conversation.id`` or
``session.id``, ``user.id`` or ``enduser.id``; and ``trace_id``, ``span_id``, ``start``, ``events``. Of
evaluations: ``gen_ai.evaluation.name``, ``.score.value``, ``.score.label``, ``.explanation``,
``gen_ai.response.id``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import mapped_channel, signal_event
from trueward.importers.contract import (
    Event,
    InvalidRecord,
    Record,
    Response,
    Row,
    Skip,
    Source,
    UserMapping,
)
from trueward.importers.messages import answer_text, content_text, to_message, to_messages
from trueward.importers.values import decode_json, id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

EVALUATION = "gen_ai.evaluation.result"
ANSWERS = {"chat", "text_completion", "generate_content", "completion"}


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: otlp (an envelope of many), span or event.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        ``otlp``, ``span`` or ``event``, or None if the record is not of this source.

    """
    if "resourceSpans" in record or "resourceLogs" in record:
        return "otlp"
    keys = record.keys() | _attributes(record).keys()
    name = _event_name(record)
    if name is not None:
        return "event" if name == EVALUATION or "gen_ai.evaluation.name" in keys else None
    known = {"gen_ai.operation.name", "gen_ai.input.messages", "gen_ai.prompt.0.content"}
    is_span = {"trace_id", "span_id", "attributes"} <= keys and "span_kind" not in keys
    return "span" if is_span or not known.isdisjoint(keys) else None


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield spans of model answers as responses, and evaluations with a mapped name as events.

    Parameters
    ----------
    records : sequence of Record
        Any number of records.
    mapping : UserMapping
        Channels of evaluation names.

    Yields
    ------
    Row
        A response, an event, or a Skip for what gives neither.

    Raises
    ------
    InvalidRecord
        If a record cannot be used.
    NoAnswer
        If a record has an answer without text, such as a tool call.

    """
    for record in records:
        values = _unpack(record.value) if record.kind == "otlp" else iter([record.value])
        for value in values:
            if _event_name(value) is None:
                yield from _span(value)
                span = {"trace_id": value.get("trace_id"), "parent_span_id": value.get("span_id")}
                for event in value.get("events") or ():
                    yield from _event({**span, **event}, mapping)
            else:
                yield from _event(value, mapping)


def _span(value: Mapping[str, Any]) -> Iterator[Row]:
    a = _attributes(value)
    operation = a.get("gen_ai.operation.name", "chat" if "gen_ai.prompt.0.content" in a else None)
    if operation not in ANSWERS:
        yield Skip(f"a span of the operation {operation} is no answer")
        return
    prompt = a.get("gen_ai.input.messages") or _numbered(a, "gen_ai.prompt", "user")
    reply = a.get("gen_ai.output.messages") or _numbered(a, "gen_ai.completion", "assistant")
    if not prompt or not reply:
        raise InvalidRecord("has no text: the application does not capture content, switch it on")
    system = content_text(decode_json(a.get("gen_ai.system_instructions")))
    yield Response(
        response_id=f"otel:{id_text(value.get('span_id')) or a.get('gen_ai.response.id')}",
        prompt=[*([to_message(system, "system")] if system else []), *to_messages(prompt)],
        response=answer_text(reply),
        user_id=id_text(a.get("user.id") or a.get("enduser.id")),
        session_id=id_text(a.get("gen_ai.conversation.id") or a.get("session.id")),
        shown_at=parse_time(value.get("start") or value.get("start_time")),
        model=id_text(a.get("gen_ai.response.model") or a.get("gen_ai.request.model")),
        group=id_text(a.get("gen_ai.response.id")),
    )


def _event(value: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    """Yield an evaluation; it does not name who judged, so only a mapped name counts."""
    a = _attributes(value)
    name = a.get("gen_ai.evaluation.name")
    if _event_name(value) != EVALUATION and name is None:
        yield Skip("an event that is no evaluation")
        return
    channel = mapped_channel(name, mapping)
    if channel is None:
        yield Skip(f"the evaluation name {name!r} is not mapped, and it may not be from a user")
        return
    score = a.get("gen_ai.evaluation.score.value")
    score = a.get("gen_ai.evaluation.score.label") if score is None else score
    if score is None:
        raise InvalidRecord("an evaluation needs a score.value or a score.label, and has neither")
    span = id_text(value.get("parent_span_id") or value.get("span_id"))
    at = parse_time(value.get("time") or value.get("timestamp"))
    fields: dict[str, Any] = {
        "response_id": None if span is None else f"otel:{span}",
        "group": id_text(a.get("gen_ai.response.id")),
        "source": "user",
        "at": at,
        "key": f"{name}/{at}",
    }
    yield signal_event(channel, score, **fields)
    if a.get("gen_ai.evaluation.explanation"):
        text = str(a["gen_ai.evaluation.explanation"])
        yield Event("comment", 1.0, **{**fields, "key": f"{name}/{at}/comment"}, text=text)


def _event_name(value: Mapping[str, Any]) -> str | None:
    name = value.get("eventName") or value.get("event_name") or _attributes(value).get("event.name")
    if name is None and value.get("name") == EVALUATION:
        return EVALUATION
    return None if name is None else str(name)


def _numbered(a: Mapping[str, Any], prefix: str, role: str) -> list[Any]:
    """Return the messages of older instrumentation: gen_ai.prompt.0.role, gen_ai.prompt.0.content."""
    messages: list[Any] = []
    while (key := f"{prefix}.{len(messages)}") and f"{key}.content" in a:
        messages.append({"role": a.get(f"{key}.role", role), "content": a[f"{key}.content"]})
    return messages


def _attributes(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes by name, from an object or from a list of keys and typed values."""
    attributes = value.get("attributes")
    if isinstance(attributes, list):
        return {pair["key"]: _any_value(pair.get("value")) for pair in attributes if "key" in pair}
    flat = {k: v for k, v in value.items() if k.startswith(("gen_ai.", "event.name"))}
    return {**flat, **(attributes if isinstance(attributes, dict) else {})}


def _any_value(value: Any) -> Any:
    """Return the value inside an OTLP AnyValue."""
    if not isinstance(value, dict) or len(value) != 1:
        return value
    (kind, inner), *_ = value.items()
    if kind == "arrayValue":
        return [_any_value(v) for v in inner.get("values", [])]
    if kind == "kvlistValue":
        return {pair["key"]: _any_value(pair.get("value")) for pair in inner.get("values", [])}
    return inner if kind.endswith("Value") else value


def _unpack(envelope: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the spans and log records of an OTLP envelope with the keys of single records."""
    for resource in envelope.get("resourceSpans") or ():
        for scope in resource.get("scopeSpans") or ():
            for span in scope.get("spans") or ():
                events = [{**e, "time": e.get("timeUnixNano")} for e in span.get("events") or ()]
                names = {"trace_id": span.get("traceId"), "span_id": span.get("spanId")}
                yield {**span, **names, "start": span.get("startTimeUnixNano"), "events": events}
    for resource in envelope.get("resourceLogs") or ():
        for scope in resource.get("scopeLogs") or ():
            for log in scope.get("logRecords") or ():
                time = log.get("timeUnixNano") or log.get("observedTimeUnixNano")
                names = {"parent_span_id": log.get("spanId"), "time": time}
                yield {**log, **names, "eventName": _event_name(log) or "unnamed"}


SOURCE = Source(
    title="OpenTelemetry GenAI spans and evaluation events (OTLP/JSON or JSON lines)",
    levels={"otlp": "full", "span": "full", "event": None},
    record_kind=record_kind,
    rows=rows,
    covers="`full`, unless spans are sampled by their feedback",
    wider="export all spans, sampled without regard to feedback",
    signals={"user_thumbs": "thumbs"},
)
