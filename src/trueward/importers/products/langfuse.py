"""Langfuse: observations, traces and scores, from the blob export, the UI export or pages of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import brief, channel_of, number, signal
from trueward.importers.contract import Actor, Ask, Bad, Event, Record, Response, Row, Skip, Source
from trueward.importers.values import answer, conversation, moment, snake, word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ACTORS: dict[str, Actor] = {"API": "user", "ANNOTATION": "annotator", "EVAL": "judge"}


def shape(record: Mapping[str, Any]) -> str | None:
    """Tell scores, observations and traces apart, in snake_case, in camelCase and of the API."""
    keys = {snake(key) for key in record}
    if {"data_type", "source", "name"} <= keys and ("trace_id" in keys or "subject" in keys):
        return "score"
    if (
        "trace_id" in keys
        and "type" in keys
        and ("start_time" in keys or "parent_observation_id" in keys)
    ):
        return "observation"
    named = {"session_id", "user_id", "public", "bookmarked", "release", "tags"}
    return "trace" if {"id", "timestamp"} <= keys and len(named & keys) > 1 else None


def rows(unit: Sequence[Record], ask: Ask) -> Iterator[Row]:
    """Give generations as responses, traces as those without one, and scores as events."""
    for record in unit:
        value = {snake(key): held for key, held in record.value.items()}
        if record.shape == "score":
            yield from _score(value, ask)
        elif record.shape == "trace":
            yield _trace(value)
        elif value["type"] != "GENERATION":
            yield Skip(f"an observation of type {value['type']} is no answer")
        else:
            yield _generation(value)


def _texts(value: Mapping[str, Any]) -> dict[str, Any]:
    if "input" not in value and "output" not in value:
        raise Bad("has neither input nor output: export these field groups too")
    return {"prompt": conversation(value.get("input")), "response": answer(value.get("output"))}


def _generation(value: Mapping[str, Any]) -> Response:
    return Response(
        response_id=f"langfuse:{value['id']}",
        **_texts(value),
        user_id=word(value.get("user_id")),
        session_id=word(value.get("session_id")),
        shown_at=moment(value.get("start_time")),
        model=word(value.get("provided_model_name") or value.get("model")),
        group=word(value.get("trace_id")),
        updated=moment(value.get("updated_at")),
    )


def _trace(value: Mapping[str, Any]) -> Row:
    """Give the trace's own texts, which count where it has no generation; its columns of scores do not."""
    whole = bool(value.get("input") and value.get("output"))
    return Response(
        response_id=f"langfuse:trace:{value['id']}",
        **(_texts(value) if whole else {"prompt": [], "response": ""}),
        user_id=word(value.get("user_id")),
        session_id=word(value.get("session_id")),
        shown_at=moment(value.get("timestamp")),
        group=word(value["id"]),
        standing="fallback" if whole else "owner",
        updated=moment(value.get("updated_at")),
    )


def _score(value: Mapping[str, Any], ask: Ask) -> Iterator[Row]:
    source = ACTORS.get(str(value["source"]))
    if source is None:
        raise Bad(
            f"the source of a score should be API, ANNOTATION or EVAL, and is {brief(value['source'])}"
        )
    trace, observation = _subject(value)
    if trace is None and observation is None:
        yield Skip("a score of a session or an experiment belongs to no single response")
        return
    about: dict[str, Any] = {
        "response_id": None if observation is None else f"langfuse:{observation}",
        "group": trace if observation is None else None,
        "source": source,
        "at": moment(value.get("timestamp")),
        "event_id": word(value.get("id")),
        "actor_id": word(value.get("author_user_id")),
        "key": word(value.get("id")),
        "updated": moment(value.get("updated_at")),
    }
    yield _signal(value, about, ask)
    if value.get("comment") and channel_of(value["name"], ask):
        key = f"{about['key']}/comment"
        yield Event(
            "comment", 1.0, **{**about, "event_id": key, "key": key}, text=str(value["comment"])
        )


def _signal(value: Mapping[str, Any], about: dict[str, Any], ask: Ask) -> Row:
    """Give the score in its channel; a judge's number needs no mapping, as it is never a label."""
    kind, name = value["data_type"], value["name"]
    held = value.get("value")
    if kind in {"CATEGORICAL", "TEXT"}:
        held = value.get("string_value") or held
    if kind == "CORRECTION":
        text = value.get("string_value") or held
        return Event("correction", 1.0, **about, text=word(text))
    channel = channel_of(name, ask)
    if channel is None and about["source"] == "judge" and kind in {"NUMERIC", "BOOLEAN"}:
        return Event("rating", number(held), **about)
    if channel is None:
        return Skip(f"the score name {name!r} is not mapped")
    return signal(channel, held, **about)


def _subject(value: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Give the trace and the observation that a score is about."""
    subject = value.get("subject")
    if not isinstance(subject, dict):
        return word(value.get("trace_id")), word(value.get("observation_id"))
    name = word(subject.get("id"))
    kind = subject.get("kind")
    return (name if kind == "trace" else None), (name if kind == "observation" else None)


SOURCE = Source(
    title="Langfuse observations, traces and scores (blob export, UI export, API pages)",
    levels={"observation": "full", "trace": "full", "score": None},
    shape=shape,
    rows=rows,
    covers="`full`, given observations or traces beside the scores; scores alone hold no text",
    wider="export observations (or traces) beside the scores",
    names={"user-feedback": "thumbs"},
)
