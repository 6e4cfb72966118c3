"""Arize Phoenix: spans and their annotations, from the REST API or the dataframe client.

Fields read of spans: ``context.span_id``, ``context.trace_id``, ``span_kind``, ``start_time``, and the
attributes ``llm.input_messages``, ``llm.output_messages``, ``input.value``, ``output.value``, ``user.id``,
``session.id``, ``llm.model_name``. Of annotations: ``id``, ``name``, ``annotator_kind``, ``span_id`` or
``trace_id``, ``result`` (``score``, ``label``, ``explanation``), ``identifier``, ``source``, ``user_id``,
``created_at``, ``updated_at``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import finite_number, mapped_channel, signal_event
from trueward.importers.contract import (
    Actor,
    Event,
    InvalidRecord,
    Record,
    Response,
    Row,
    Skip,
    Source,
    UserMapping,
)
from trueward.importers.messages import answer_text, to_messages
from trueward.importers.values import id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: span, annotation or session annotation.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        ``span``, ``annotation`` or ``session annotation``, or None if the record is not of this source.

    """
    keys = record.keys()
    if "span_kind" in keys and ("context" in keys or "context.span_id" in keys):
        return "span"
    if "annotator_kind" in keys and not {"span_id", "context.span_id", "trace_id"}.isdisjoint(keys):
        return "annotation"
    return "session annotation" if "annotator_kind" in keys else None


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield spans of kind LLM as responses, and annotations as events.

    Parameters
    ----------
    records : sequence of Record
        Any number of records.
    mapping : UserMapping
        Channels of annotation names.

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
        value = record.value
        if record.kind == "session annotation":
            yield Skip("an annotation of a session belongs to no single response")
        elif record.kind == "annotation":
            yield from _annotation(value, mapping)
        elif value["span_kind"] != "LLM":
            yield Skip(f"a span of kind {value['span_kind']} is no answer")
        else:
            yield _span(value)


def _span(value: Mapping[str, Any]) -> Response:
    context = value.get("context")
    context = context if isinstance(context, dict) else {}
    attributes = _attributes(value)
    prompt = _messages(attributes, "llm.input_messages") or attributes.get("input.value")
    reply = _messages(attributes, "llm.output_messages") or attributes.get("output.value")
    return Response(
        response_id=f"phoenix:{context.get('span_id') or value.get('context.span_id')}",
        prompt=to_messages(prompt),
        response=answer_text(reply),
        user_id=id_text(attributes.get("user.id")),
        session_id=id_text(attributes.get("session.id")),
        shown_at=parse_time(value.get("start_time")),
        model=id_text(attributes.get("llm.model_name")),
        group=id_text(context.get("trace_id") or value.get("context.trace_id")),
    )


def _attributes(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes with flat names, however deep they are nested."""
    flat = {
        k.removeprefix("attributes."): v for k, v in value.items() if k.startswith("attributes.")
    }
    stack = [("", value.get("attributes") or {})]
    while stack:
        prefix, level = stack.pop()
        for key, inner in level.items():
            if isinstance(inner, dict):
                stack.append((f"{prefix}{key}.", inner))
            else:
                flat[prefix + key] = inner
    return flat


def _messages(attributes: Mapping[str, Any], name: str) -> list[Any] | None:
    """Return a list of messages, as it is or put together from flat keys with an index."""
    if isinstance(attributes.get(name), list):
        return list(attributes[name])
    messages: dict[int, dict[str, Any]] = {}
    for key, inner in attributes.items():
        index, _, field = key.removeprefix(f"{name}.").partition(".message.")
        if key.startswith(f"{name}.") and index.isdigit():
            messages.setdefault(int(index), {})[field] = inner
    return [_message(messages[i]) for i in sorted(messages)] or None


def _message(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return role and content; a content in parts has an index of its own."""
    parts = {
        int(key.split(".")[1]): str(text)
        for key, text in fields.items()
        if key.startswith("contents.") and key.endswith("message_content.text")
    }
    content = fields.get("content") or "".join(parts[i] for i in sorted(parts))
    return {"role": fields.get("role", "user"), "content": content}


def _annotation(value: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    name = value.get("name", value.get("annotation_name"))
    result = value.get("result")
    if not isinstance(result, dict):
        result = {k.removeprefix("result."): v for k, v in value.items() if k.startswith("result.")}
    if name == "note":
        yield Skip("a note without a judgement")
        return
    span = id_text(value.get("span_id") or value.get("context.span_id"))
    score = result.get("score")
    judgement = score if score is not None else result.get("label")
    key = f"{name}/{value.get('identifier') or ''}"
    fields: dict[str, Any] = {
        "response_id": None if span is None else f"phoenix:{span}",
        "group": id_text(value.get("trace_id")) if span is None else None,
        "source": _actor(value),
        "at": parse_time(value.get("created_at")),
        "event_id": id_text(value.get("id")),
        "actor_id": id_text(value.get("user_id")) or id_text(value.get("identifier")),
        "key": key,
        "updated_at": parse_time(value.get("updated_at")),
    }
    channel = mapped_channel(name, mapping)
    if channel is None and fields["source"] == "judge" and score is not None:
        yield Event("rating", finite_number(score), **fields)
    elif channel is None:
        yield Skip(f"the annotation name {name!r} is not mapped")
    elif judgement is None:
        yield Skip("an annotation without score and label")
    else:
        yield signal_event(channel, judgement, **fields)
        if result.get("explanation"):
            more = {**fields, "key": f"{key}/comment", "event_id": f"{fields['event_id']}/comment"}
            yield Event("comment", 1.0, **more, text=str(result["explanation"]))


def _actor(value: Mapping[str, Any]) -> Actor:
    """Return who annotated: HUMAN through the API is a user, HUMAN in the pages of Phoenix a reviewer."""
    kind = value["annotator_kind"]
    if kind in {"LLM", "CODE"}:
        return "judge"
    if kind != "HUMAN":
        raise InvalidRecord(f"annotator_kind should be HUMAN, LLM or CODE, and is {kind!r}")
    is_on_trace = value.get("trace_id") and "span_id" not in value
    is_review = value.get("source") == "APP" or (
        is_on_trace and value.get("name") == "user_feedback"
    )
    return "annotator" if is_review else "user"


SOURCE = Source(
    title="Arize Phoenix spans and annotations (REST pages or data frames)",
    levels={"span": "full", "annotation": None, "session annotation": None},
    record_kind=record_kind,
    rows=rows,
    covers="`full`, given the spans beside the annotations; annotations alone hold no text",
    wider="export the spans of the project beside the annotations",
    signals={"user_feedback": "thumbs"},
)
