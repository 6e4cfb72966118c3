"""OpenTelemetry: GenAI spans and events, as OTLP/JSON or one record per line.

Attributes read of spans: ``gen_ai.operation.name``, ``gen_ai.input.messages``, ``gen_ai.output.messages``,
``gen_ai.system_instructions`` (older: ``gen_ai.prompt.N.*``, ``gen_ai.completion.N.*``, and span events per
message), ``gen_ai.response.id``, ``gen_ai.response.model`` or ``gen_ai.request.model``,
``gen_ai.conversation.id`` or ``session.id``, ``user.id`` or ``enduser.id``, ``traceloop.entity.input`` and
``.output``; and ``trace_id``, ``span_id``, ``parent_span_id``, ``name``, ``start``, ``events``. Of the event
``gen_ai.client.inference.operation.details``: the same texts. Of evaluations: ``gen_ai.evaluation.name``,
``.score.value``, ``.score.label``, ``.explanation``, ``gen_ai.response.id``.
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
from trueward.importers.otlp import (
    attributes_of,
    is_envelope,
    is_openinference,
    nested,
    plain_span,
    unpack,
)
from trueward.importers.spans import (
    TEXTS,
    attribute_signals,
    call_row,
    mapped,
    read_parts,
    span_row,
    stated,
)
from trueward.importers.values import decode_json, id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

EVALUATION = "gen_ai.evaluation.result"
DETAILS = "gen_ai.client.inference.operation.details"
ANSWERS = {"chat", "text_completion", "generate_content", "completion"}
NO_TEXT = "has no text: the application does not capture content, switch it on"
USERS = ("user.id", "enduser.id", "traceloop.association.properties.user_id")
TRACELOOP = "traceloop.association.properties"
SESSIONS = (
    *("gen_ai.conversation.id", "session.id", f"{TRACELOOP}.session_id"),
    *(f"{TRACELOOP}.thread_id", f"{TRACELOOP}.chat_id"),
)
INPUTS = ("gen_ai.input.messages", "traceloop.entity.input", "input.value")
OUTPUTS = ("gen_ai.output.messages", "traceloop.entity.output", "output.value", "final_result")
Attributes = dict[str, Any]


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: otlp (an envelope of many), span, event, or texts (of a call).

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        One of these kinds, or None if the record is not of this source.

    """
    if is_envelope(record):
        return None if is_openinference(record) else "otlp"
    keys = record.keys() | attributes_of(record).keys()
    name = _event_name(record)
    if name == DETAILS:
        return "texts"
    if name is not None:
        is_known = name.startswith("gen_ai.") or "gen_ai.evaluation.name" in keys
        return "event" if is_known else None
    known = {"gen_ai.operation.name", "gen_ai.input.messages", "gen_ai.prompt.0.content"}
    names = {"trace_id", "span_id"} <= keys or {"traceId", "spanId"} <= keys
    is_span = names and "attributes" in keys and "span_kind" not in keys
    is_span = (is_span or not known.isdisjoint(keys)) and not is_openinference(record)
    return "span" if is_span else None


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield spans of model answers as calls, spans around them, and evaluations with a mapped name.

    Parameters
    ----------
    records : sequence of Record
        Any number of records.
    mapping : UserMapping
        Channels of evaluation names, paths of texts.

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
        if record.kind == "otlp":
            yield from read_parts(unpack(record.value), lambda value: _record(value, mapping))
        else:
            yield from _record(plain_span(record.value), mapping)


def _record(value: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    if _event_name(value) is not None:
        yield from _event(value, mapping)
        return
    yield from _span(value, mapping)
    a = attributes_of(value)
    if "gen_ai.evaluation.name" in a:  # an evaluation as attributes of the span that it is about
        own = {"span_id": value.get("span_id"), "trace_id": value.get("trace_id")}
        yield from _event({**own, "name": EVALUATION, "attributes": a}, mapping)
    given = {k: v for k, v in a.items() if not k.startswith("gen_ai.evaluation.")}
    target = {
        "response_id": f"otel:{value.get('span_id')}",
        "group": id_text(value.get("trace_id")),
    }
    yield from attribute_signals(given, mapping, "attribute", **target)
    span = {"trace_id": value.get("trace_id"), "span_id": value.get("span_id")}
    events = [{**span, **event} for event in value.get("events") or ()]
    yield from read_parts(
        (event for event in events if not _is_message(event)), lambda event: _event(event, mapping)
    )


def _span(value: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    """Yield a model call, or a span around one."""
    a = attributes_of(value)
    is_older = any(key.startswith("gen_ai.prompt.") for key in a)
    operation = a.get("gen_ai.operation.name") or ("chat" if is_older else None)
    asked, answered = _texts(value, a, mapping)
    fields = _fields(value, a, mapping, id_text(value.get("span_id")))
    fields["shown_at"] = parse_time(value.get("start"))
    if operation not in ANSWERS:
        reason = f"a span of the operation {operation} is no answer"
        yield span_row(asked, answered, reason, **fields)
    elif asked or answered:
        yield call_row(asked, answered, **fields)
    else:  # an event may have them
        reference = next((key for key in a if key.endswith("messages_ref")), None)
        reason = f"its texts are in the files that {reference} names: import them as its attributes"
        invalid = reason if reference else NO_TEXT
        yield Response(prompt=[], response="", precedence="owner", invalid=invalid, **fields)


def _fields(
    value: Mapping[str, Any], a: Attributes, mapping: UserMapping, span: str | None
) -> dict[str, Any]:
    texts = {**value, "attributes": nested(a)} if mapping.paths else {}
    user = next((a[key] for key in USERS if a.get(key)), None)
    session = next((a[key] for key in SESSIONS if a.get(key)), None)
    parent = id_text(value.get("parent_span_id"))
    alias = id_text(a.get("gen_ai.response.id"))
    return {
        "response_id": f"otel:{span or alias}",
        "user_id": id_text(mapped(texts, mapping, "user", user)),
        "session_id": id_text(mapped(texts, mapping, "session", session)),
        "model": id_text(a.get("gen_ai.response.model") or a.get("gen_ai.request.model")),
        "group": id_text(value.get("trace_id")),
        "alias": alias,
        "parent_span": f"otel:{parent}" if parent else None,
        "span_name": id_text(value.get("name")),
    }


def _texts(value: Mapping[str, Any], a: Attributes, mapping: UserMapping) -> tuple[Any, Any]:
    """Return input and output of a span or an event; the system instructions are a part of the input."""
    asked = next((a[key] for key in INPUTS if a.get(key)), None)
    answered = next((a[key] for key in OUTPUTS if a.get(key)), None)
    messages = [e for e in value.get("events") or () if _is_message(e)]
    if not asked:
        asked = _numbered(a, "gen_ai.prompt", "user")
        asked = asked or [_message(e) for e in messages if e["name"] != "gen_ai.choice"]
    if not answered:
        answered = _numbered(a, "gen_ai.completion", "assistant")
        answered = answered or [_message(e) for e in messages if e["name"] == "gen_ai.choice"]
    texts = {**value, "attributes": nested(a)} if mapping.paths else {}
    asked = mapped(texts, mapping, "prompt", asked)
    answered = mapped(texts, mapping, "response", answered)
    system = decode_json(a.get("gen_ai.system_instructions"))
    if system and asked:
        asked = {"system": system, "messages": decode_json(asked)}
    return asked or None, answered or None


def _event(value: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    """Yield the texts of a call, or an evaluation: it does not say who judged, so only mapped names count."""
    a = attributes_of(value)
    event, name = _event_name(value) or value.get("name"), a.get("gen_ai.evaluation.name")
    at = parse_time(value.get("time") or value.get("timestamp"))
    if event == DETAILS:
        asked, answered = _texts(value, a, mapping)
        if not asked and not answered:
            yield Skip(f"an event {DETAILS} without text")
            return
        span = id_text(value.get("span_id") or value.get("parent_span_id"))
        fields = _fields(value, a, mapping, span) | {"parent_span": None, "span_name": None}
        yield call_row(asked, answered, shown_at=at, updated_at=at, **fields)
        return
    if event != EVALUATION and name is None:
        yield Skip(f"an event {event} is no evaluation")
        return
    channel = mapped_channel(name, mapping)
    if channel is None:
        yield Skip(f"the evaluation name {name!r} is not mapped, and it may not be from a user")
        return
    score, label = a.get("gen_ai.evaluation.score.value"), a.get("gen_ai.evaluation.score.label")
    judgement = stated(channel, label, score)
    if judgement is None:
        raise InvalidRecord("an evaluation needs a score.value or a score.label, and has neither")
    span = id_text(value.get("parent_span_id") or value.get("span_id"))
    fields = {
        "response_id": None if span is None else f"otel:{span}",
        "group": id_text(a.get("gen_ai.response.id") or value.get("trace_id")),
        "source": "user",
        "at": at,
        "key": f"{name}/{at}",
    }
    yield signal_event(channel, judgement, **fields)
    if a.get("gen_ai.evaluation.explanation"):
        text = str(a["gen_ai.evaluation.explanation"])
        yield Event("comment", 1.0, **{**fields, "key": f"{name}/{at}/comment"}, text=text)


def _event_name(value: Mapping[str, Any]) -> str | None:
    name = value.get("eventName") or value.get("event_name")
    name = name or attributes_of(value).get("event.name")
    if name is None and value.get("name") in {EVALUATION, DETAILS}:
        return str(value["name"])
    return None if name is None else str(name)


def _is_message(event: Mapping[str, Any]) -> bool:
    """Whether an event of a span is one message, as older conventions record them."""
    name = str(event.get("name"))
    return name == "gen_ai.choice" or (name.startswith("gen_ai.") and name.endswith(".message"))


def _message(event: Mapping[str, Any]) -> dict[str, Any]:
    a = attributes_of(event)
    body = decode_json(a.get("gen_ai.event.content") or event.get("body") or a)
    body = body if isinstance(body, dict) else {"content": body}
    inner = decode_json(body.get("message"))
    inner = inner if isinstance(inner, dict) else {"content": inner or body.get("content")}
    role = "assistant" if event["name"] == "gen_ai.choice" else event["name"].split(".")[1]
    return {"role": role, **inner}


def _numbered(a: Mapping[str, Any], prefix: str, role: str) -> list[Any]:
    """Return the messages of older instrumentation: gen_ai.prompt.0.role, gen_ai.prompt.0.content.

    A message that calls tools has no content, and others follow it.
    """
    found: dict[int, dict[str, Any]] = {}
    for key, inner in a.items():
        index, _, name = key.removeprefix(f"{prefix}.").partition(".")
        if key.startswith(f"{prefix}.") and index.isdigit():
            found.setdefault(int(index), {"role": role})[name] = inner
    return [
        {"role": m["role"], "content": decode_json(m.get("content"))}
        for _, m in sorted(found.items())
    ]


SOURCE = Source(
    title="OpenTelemetry GenAI spans and events (OTLP/JSON or JSON lines)",
    levels={"otlp": "full", "span": "full", "texts": "full", "event": None},
    record_kind=record_kind,
    rows=rows,
    covers="`full`, unless spans are sampled by their feedback",
    wider="export all spans, sampled without regard to feedback",
    signals={"user_thumbs": "thumbs"},
    mappable=TEXTS,
)
