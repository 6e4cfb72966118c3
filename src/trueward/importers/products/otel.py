"""OpenTelemetry: GenAI spans and evaluation events, as OTLP/JSON or one record a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import channel_of, signal
from trueward.importers.contract import Ask, Bad, Event, Record, Response, Row, Skip, Source
from trueward.importers.values import answer, conversation, decoded, message, moment, said, word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

EVALUATION = "gen_ai.evaluation.result"
ANSWERS = {"chat", "text_completion", "generate_content", "completion"}


def shape(record: Mapping[str, Any]) -> str | None:
    """Tell the envelope of OTLP from single spans and events."""
    if "resourceSpans" in record or "resourceLogs" in record:
        return "otlp"
    keys = record.keys() | _attributes(record).keys()
    name = _event_name(record)
    if name is not None:
        return "event" if name == EVALUATION or "gen_ai.evaluation.name" in keys else None
    known = {"gen_ai.operation.name", "gen_ai.input.messages", "gen_ai.prompt.0.content"}
    if not known.isdisjoint(keys):
        return "span"
    return (
        "span"
        if {"trace_id", "span_id", "attributes"} <= keys and "span_kind" not in keys
        else None
    )


def rows(unit: Sequence[Record], ask: Ask) -> Iterator[Row]:
    """Give spans of a model's answer as responses, and evaluations with a mapped name as events."""
    for record in unit:
        held = _opened(record.value) if record.shape == "otlp" else iter([record.value])
        for value in held:
            if _event_name(value) is None:
                yield from _span(value)
                for event in value.get("events") or ():
                    context = {
                        "trace_id": value.get("trace_id"),
                        "parent_span_id": value.get("span_id"),
                    }
                    yield from _event({**context, **event}, ask)
            else:
                yield from _event(value, ask)


def _span(value: Mapping[str, Any]) -> Iterator[Row]:
    a = _attributes(value)
    operation = a.get("gen_ai.operation.name", "chat" if "gen_ai.prompt.0.content" in a else None)
    if operation not in ANSWERS:
        yield Skip(f"a span of the operation {operation} is no answer")
        return
    asked, reply = a.get("gen_ai.input.messages"), a.get("gen_ai.output.messages")
    asked = asked or _numbered(a, "gen_ai.prompt", "user")
    reply = reply or _numbered(a, "gen_ai.completion", "assistant")
    if not asked or not reply:
        raise Bad("has no text: capturing content is switched off in the application, switch it on")
    system = said(decoded(a.get("gen_ai.system_instructions")))
    yield Response(
        response_id=f"otel:{word(value.get('span_id')) or a.get('gen_ai.response.id')}",
        prompt=[*([message(system, "system")] if system else []), *conversation(asked)],
        response=answer(reply),
        user_id=word(a.get("user.id") or a.get("enduser.id")),
        session_id=word(a.get("gen_ai.conversation.id") or a.get("session.id")),
        shown_at=moment(value.get("start") or value.get("start_time")),
        model=word(a.get("gen_ai.response.model") or a.get("gen_ai.request.model")),
        group=word(a.get("gen_ai.response.id")),
    )


def _event(value: Mapping[str, Any], ask: Ask) -> Iterator[Row]:
    """Give an evaluation; nothing in it says who judged, so only a mapped name counts."""
    a = _attributes(value)
    name = a.get("gen_ai.evaluation.name")
    if _event_name(value) != EVALUATION and name is None:
        yield Skip("an event that is no evaluation")
        return
    channel = channel_of(name, ask)
    if channel is None:
        yield Skip(
            f"the evaluation name {name!r} is not mapped, and nothing says whether a user gave it"
        )
        return
    held = a.get("gen_ai.evaluation.score.value")
    held = a.get("gen_ai.evaluation.score.label") if held is None else held
    if held is None:
        raise Bad("an evaluation needs a score.value or a score.label, and has neither")
    span = word(value.get("parent_span_id") or value.get("span_id"))
    at = moment(value.get("time") or value.get("timestamp"))
    about: dict[str, Any] = {
        "response_id": None if span is None else f"otel:{span}",
        "group": word(a.get("gen_ai.response.id")),
        "source": "user",
        "at": at,
        "key": f"{name}/{at}",
    }
    yield signal(channel, held, **about)
    if a.get("gen_ai.evaluation.explanation"):
        text = str(a["gen_ai.evaluation.explanation"])
        yield Event("comment", 1.0, **{**about, "key": f"{name}/{at}/comment"}, text=text)


def _event_name(value: Mapping[str, Any]) -> str | None:
    name = value.get("eventName") or value.get("event_name") or _attributes(value).get("event.name")
    if name is None and value.get("name") == EVALUATION:
        return EVALUATION
    return None if name is None else str(name)


def _numbered(a: Mapping[str, Any], prefix: str, speaker: str) -> list[Any]:
    """Put messages of older instrumentation together: gen_ai.prompt.0.role, gen_ai.prompt.0.content."""
    found: list[Any] = []
    while f"{prefix}.{len(found)}.content" in a:
        i = len(found)
        found.append(
            {"role": a.get(f"{prefix}.{i}.role", speaker), "content": a[f"{prefix}.{i}.content"]}
        )
    return found


def _attributes(value: Mapping[str, Any]) -> dict[str, Any]:
    """Give attributes by name, from an object or from a list of key and typed value."""
    held = value.get("attributes")
    if isinstance(held, list):
        return {pair["key"]: _typed(pair.get("value")) for pair in held if "key" in pair}
    flat = {k: v for k, v in value.items() if k.startswith(("gen_ai.", "event.name"))}
    return {**flat, **(held if isinstance(held, dict) else {})}


def _typed(value: Any) -> Any:
    """Give the value inside of an OTLP AnyValue."""
    if not isinstance(value, dict) or len(value) != 1:
        return value
    (kind, held), *_ = value.items()
    if kind == "arrayValue":
        return [_typed(v) for v in held.get("values", [])]
    if kind == "kvlistValue":
        return {pair["key"]: _typed(pair.get("value")) for pair in held.get("values", [])}
    return held if kind.endswith("Value") else value


def _opened(envelope: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the spans and the log records of an OTLP envelope under the names of single records."""
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
                yield {
                    **log,
                    "parent_span_id": log.get("spanId"),
                    "time": time,
                    "eventName": _named(log),
                }


def _named(log: Mapping[str, Any]) -> str:
    return _event_name(log) or "unnamed"


SOURCE = Source(
    title="OpenTelemetry GenAI spans and evaluation events (OTLP/JSON or JSON lines)",
    levels={"otlp": "full", "span": "full", "event": None},
    shape=shape,
    rows=rows,
    covers="`full`, unless spans are sampled by their feedback",
    wider="export all spans, sampled without regard to feedback",
    names={"user_thumbs": "thumbs"},
)
