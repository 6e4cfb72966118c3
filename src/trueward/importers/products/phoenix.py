"""Arize Phoenix: spans and their annotations, from the REST API or the dataframe client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import channel_of, number, signal
from trueward.importers.contract import Actor, Ask, Bad, Event, Record, Response, Row, Skip, Source
from trueward.importers.values import answer, conversation, moment, word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def shape(record: Mapping[str, Any]) -> str | None:
    """Tell spans from annotations, of the REST API and of a dataframe."""
    keys = record.keys()
    if "span_kind" in keys and ("context" in keys or "context.span_id" in keys):
        return "span"
    if "annotator_kind" in keys and not {"span_id", "context.span_id", "trace_id"}.isdisjoint(keys):
        return "annotation"
    return "session annotation" if "annotator_kind" in keys else None


def rows(unit: Sequence[Record], ask: Ask) -> Iterator[Row]:
    """Give spans of kind LLM as responses and annotations as events."""
    for record in unit:
        value = record.value
        if record.shape == "session annotation":
            yield Skip("an annotation of a session belongs to no single response")
        elif record.shape == "annotation":
            yield from _annotation(value, ask)
        elif value["span_kind"] != "LLM":
            yield Skip(f"a span of kind {value['span_kind']} is no answer")
        else:
            yield _span(value)


def _span(value: Mapping[str, Any]) -> Response:
    held = value.get("context")
    context: dict[str, Any] = held if isinstance(held, dict) else {}
    attributes = _attributes(value)
    prompt = _messages(attributes, "llm.input_messages") or attributes.get("input.value")
    reply = _messages(attributes, "llm.output_messages") or attributes.get("output.value")
    return Response(
        response_id=f"phoenix:{context.get('span_id') or value.get('context.span_id')}",
        prompt=conversation(prompt),
        response=answer(reply),
        user_id=word(attributes.get("user.id")),
        session_id=word(attributes.get("session.id")),
        shown_at=moment(value.get("start_time")),
        model=word(attributes.get("llm.model_name")),
        group=word(context.get("trace_id") or value.get("context.trace_id")),
    )


def _attributes(value: Mapping[str, Any]) -> dict[str, Any]:
    """Give the attributes under flat names, however deep they are."""
    flat = {
        k.removeprefix("attributes."): v for k, v in value.items() if k.startswith("attributes.")
    }
    stack = [("", value.get("attributes") or {})]
    while stack:
        prefix, level = stack.pop()
        for key, held in level.items():
            if isinstance(held, dict):
                stack.append((f"{prefix}{key}.", held))
            else:
                flat[prefix + key] = held
    return flat


def _messages(attributes: Mapping[str, Any], name: str) -> list[Any] | None:
    """Give a list of messages as it is, or put it together from flat keys with an index."""
    if isinstance(attributes.get(name), list):
        return list(attributes[name])
    said: dict[int, dict[str, Any]] = {}
    for key, held in attributes.items():
        place, _, rest = key.removeprefix(f"{name}.").partition(".message.")
        if key.startswith(f"{name}.") and place.isdigit():
            said.setdefault(int(place), {})[rest] = held
    return [_message(said[i]) for i in sorted(said)] or None


def _message(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Give role and content; a content in parts has an index of its own."""
    parts = {
        int(key.split(".")[1]): str(held)
        for key, held in fields.items()
        if key.startswith("contents.") and key.endswith("message_content.text")
    }
    content = fields.get("content") or "".join(parts[i] for i in sorted(parts))
    return {"role": fields.get("role", "user"), "content": content}


def _annotation(value: Mapping[str, Any], ask: Ask) -> Iterator[Row]:
    name = value.get("name", value.get("annotation_name"))
    result = value.get("result")
    if not isinstance(result, dict):
        result = {k.removeprefix("result."): v for k, v in value.items() if k.startswith("result.")}
    if name == "note":
        yield Skip("a note is no judgement")
        return
    span = word(value.get("span_id") or value.get("context.span_id"))
    held = result.get("score") if result.get("score") is not None else result.get("label")
    key = f"{name}/{value.get('identifier') or ''}"
    about: dict[str, Any] = {
        "response_id": None if span is None else f"phoenix:{span}",
        "group": word(value.get("trace_id")) if span is None else None,
        "source": _actor(value),
        "at": moment(value.get("created_at")),
        "event_id": word(value.get("id")),
        "actor_id": word(value.get("user_id")) or word(value.get("identifier")),
        "key": key,
        "updated": moment(value.get("updated_at")),
    }
    channel = channel_of(name, ask)
    if channel is None and about["source"] == "judge" and result.get("score") is not None:
        yield Event("rating", number(held), **about)
    elif channel is None:
        yield Skip(f"the annotation name {name!r} is not mapped")
    elif held is None:
        yield Skip("an annotation without score and label says nothing")
    else:
        yield signal(channel, held, **about)
        if result.get("explanation"):
            more = {**about, "key": f"{key}/comment", "event_id": f"{about['event_id']}/comment"}
            yield Event("comment", 1.0, **more, text=str(result["explanation"]))


def _actor(value: Mapping[str, Any]) -> Actor:
    """HUMAN by the API is the app's user, HUMAN in Phoenix's own pages a reviewer, the rest judges."""
    kind = value["annotator_kind"]
    if kind in {"LLM", "CODE"}:
        return "judge"
    if kind != "HUMAN":
        raise Bad(f"annotator_kind should be HUMAN, LLM or CODE, and is {kind!r}")
    reviewed = value.get("source") == "APP" or (
        value.get("trace_id") and "span_id" not in value and value.get("name") == "user_feedback"
    )
    return "annotator" if reviewed else "user"


SOURCE = Source(
    title="Arize Phoenix spans and annotations (REST pages or data frames)",
    levels={"span": "full", "annotation": None, "session annotation": None},
    shape=shape,
    rows=rows,
    covers="`full`, given the spans beside the annotations; annotations alone hold no text",
    wider="export the spans of the project beside the annotations",
    names={"user_feedback": "thumbs"},
)
