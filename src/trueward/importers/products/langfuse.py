"""Langfuse: observations, traces and scores, from the blob export, the UI export or API pages.

Fields read (snake_case or camelCase) of observations: ``id``, ``type``, ``trace_id``, ``input``,
``output``, ``user_id``, ``session_id``, ``start_time``, ``updated_at``, ``provided_model_name`` or
``model``. Of traces: ``id``, ``input``, ``output``, ``user_id``, ``session_id``, ``timestamp``,
``updated_at``. Of scores: ``id``, ``name``, ``value``, ``string_value``, ``data_type``, ``source``,
``trace_id``, ``observation_id`` or ``subject``, ``comment``, ``author_user_id``, ``timestamp``,
``updated_at``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import finite_number, mapped_channel, shortened, signal_event
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
from trueward.importers.values import id_text, parse_time, snake_case

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ACTORS: dict[str, Actor] = {"API": "user", "ANNOTATION": "annotator", "EVAL": "judge"}
TRACE_KEYS = {"session_id", "user_id", "public", "bookmarked", "release", "tags"}  # at least two


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: score, observation or trace.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        ``score``, ``observation`` or ``trace``, or None if the record is not of this source.

    """
    keys = {snake_case(key) for key in record}
    if {"data_type", "source", "name"} <= keys and ("trace_id" in keys or "subject" in keys):
        return "score"
    is_step = "start_time" in keys or "parent_observation_id" in keys
    if {"trace_id", "type"} <= keys and is_step:
        return "observation"
    return "trace" if {"id", "timestamp"} <= keys and len(TRACE_KEYS & keys) > 1 else None


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield generations as responses, traces as fallbacks for them, and scores as events.

    Parameters
    ----------
    records : sequence of Record
        Any number of records.
    mapping : UserMapping
        Channels of score names.

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
        value = {snake_case(key): inner for key, inner in record.value.items()}
        if record.kind == "score":
            yield from _score(value, mapping)
        elif record.kind == "trace":
            yield _trace(value)
        elif value["type"] != "GENERATION":
            yield Skip(f"an observation of type {value['type']} is no answer")
        else:
            yield _generation(value)


def _texts(value: Mapping[str, Any]) -> dict[str, Any]:
    if "input" not in value and "output" not in value:
        raise InvalidRecord("has neither input nor output: export these field groups too")
    return {
        "prompt": to_messages(value.get("input")),
        "response": answer_text(value.get("output")),
    }


def _generation(value: Mapping[str, Any]) -> Response:
    return Response(
        response_id=f"langfuse:{value['id']}",
        **_texts(value),
        user_id=id_text(value.get("user_id")),
        session_id=id_text(value.get("session_id")),
        shown_at=parse_time(value.get("start_time")),
        model=id_text(value.get("provided_model_name") or value.get("model")),
        group=id_text(value.get("trace_id")),
        updated_at=parse_time(value.get("updated_at")),
    )


def _trace(value: Mapping[str, Any]) -> Row:
    """Return a trace: its texts count if it has no generation; its columns of scores never do."""
    has_texts = bool(value.get("input") and value.get("output"))
    return Response(
        response_id=f"langfuse:trace:{value['id']}",
        **(_texts(value) if has_texts else {"prompt": [], "response": ""}),
        user_id=id_text(value.get("user_id")),
        session_id=id_text(value.get("session_id")),
        shown_at=parse_time(value.get("timestamp")),
        group=id_text(value["id"]),
        precedence="fallback" if has_texts else "owner",
        updated_at=parse_time(value.get("updated_at")),
    )


def _score(value: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    source = ACTORS.get(str(value["source"]))
    if source is None:
        raise InvalidRecord(
            f"the source of a score should be API, ANNOTATION or EVAL, and is {shortened(value['source'])}"
        )
    trace, observation = _subject(value)
    if trace is None and observation is None:
        yield Skip("a score of a session or an experiment belongs to no single response")
        return
    fields: dict[str, Any] = {
        "response_id": None if observation is None else f"langfuse:{observation}",
        "group": trace if observation is None else None,
        "source": source,
        "at": parse_time(value.get("timestamp")),
        "event_id": id_text(value.get("id")),
        "actor_id": id_text(value.get("author_user_id")),
        "key": id_text(value.get("id")),
        "updated_at": parse_time(value.get("updated_at")),
    }
    yield _signal(value, fields, mapping)
    if value.get("comment") and mapped_channel(value["name"], mapping):
        key = f"{fields['key']}/comment"
        text = str(value["comment"])
        yield Event("comment", 1.0, **{**fields, "event_id": key, "key": key}, text=text)


def _signal(value: Mapping[str, Any], fields: dict[str, Any], mapping: UserMapping) -> Row:
    """Return the event of a score; a judge's number needs no mapping, since it is never a label."""
    kind, name = value["data_type"], value["name"]
    score = value.get("value")
    if kind in {"CATEGORICAL", "TEXT"}:
        score = value.get("string_value") or score
    if kind == "CORRECTION":
        text = value.get("string_value") or score
        return Event("correction", 1.0, **fields, text=id_text(text))
    channel = mapped_channel(name, mapping)
    if channel is None and fields["source"] == "judge" and kind in {"NUMERIC", "BOOLEAN"}:
        return Event("rating", finite_number(score), **fields)
    if channel is None:
        return Skip(f"the score name {name!r} is not mapped")
    return signal_event(channel, score, **fields)


def _subject(value: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the trace and the observation that a score is about."""
    subject = value.get("subject")
    if not isinstance(subject, dict):
        return id_text(value.get("trace_id")), id_text(value.get("observation_id"))
    name = id_text(subject.get("id"))
    kind = subject.get("kind")
    return (name if kind == "trace" else None), (name if kind == "observation" else None)


SOURCE = Source(
    title="Langfuse observations, traces and scores (blob export, UI export, API pages)",
    levels={"observation": "full", "trace": "full", "score": None},
    record_kind=record_kind,
    rows=rows,
    covers="`full`, given observations or traces beside the scores; scores alone hold no text",
    wider="export observations (or traces) beside the scores",
    signals={"user-feedback": "thumbs"},
)
