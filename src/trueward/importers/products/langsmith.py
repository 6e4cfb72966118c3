"""LangSmith: runs and feedback, from the SDK or the bulk export.

Fields read of runs: ``id``, ``run_type``, ``parent_run_id``, ``trace_id``, ``error``, ``inputs``,
``outputs``, ``start_time``, and of ``extra``: ``metadata`` (session, user, model) and
``invocation_params.model``. Of feedback: ``id``, ``key``, ``run_id``, ``trace_id``, ``score``, ``value``,
``comment``, ``correction``, ``feedback_source``, ``comparative_experiment_id``, ``feedback_group_id``,
``created_at``, ``modified_at``.
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
from trueward.importers.values import decode_json, first_value, id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PATHS = {
    "prompt": ("inputs.messages", "inputs.input"),
    "response": ("outputs.messages[-1]", "outputs.output", "outputs.generations[0][0].text"),
    # session_id of a run is its project, so the chat is what the application put into the metadata
    "session": tuple(
        f"extra.metadata.{key}" for key in ("session_id", "thread_id", "conversation_id")
    ),
    "user": ("extra.metadata.user_id",),
}
MODEL_PATHS = ("extra.metadata.ls_model_name", "extra.invocation_params.model")
ACTORS: dict[str, Actor] = {"model": "judge", "api": "user", "app": "annotator"}


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: run or feedback.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        ``run`` or ``feedback``, or None if the record is not of this source.

    """
    keys = record.keys()
    if {"run_type", "trace_id", "inputs"} <= keys or {"run_type", "session_id"} <= keys:
        return "run"
    return "feedback" if {"feedback_source", "run_id", "key"} <= keys else None


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield root runs as responses, model runs that feedback names in their place, and feedback.

    Parameters
    ----------
    records : sequence of Record
        Any number of records.
    mapping : UserMapping
        Channels of feedback keys, and paths of texts and ids.

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
        read = _feedback if record.kind == "feedback" else _run
        yield from read(record.value, mapping)


def _run(value: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    is_root = value.get("parent_run_id") in (None, "")
    if not is_root and value["run_type"] != "llm":
        yield Skip(f"a {value['run_type']} run below the root is no answer")
        return
    if value.get("error"):
        yield Skip("a run that ended in an error showed no answer")
        return
    run = {**value, "extra": decode_json(value.get("extra"), 1)}
    prompt, reply, session, user = (
        first_value(run, (*mapping.paths.get(what, ()), *PATHS[what]))
        for what in ("prompt", "response", "session", "user")
    )
    if (prompt is None or reply is None) and not is_root:
        yield Skip("an llm run below the root without known texts")
        return
    for what, text, field in (("prompt", prompt, "inputs"), ("response", reply, "outputs")):
        if text is None:
            keys = ", ".join(decode_json(value.get(field) or {}, 1))
            raise InvalidRecord(
                f"no {what} in {field} ({keys or 'empty'}): name its path by --map {what}={field}.NAME"
            )
    yield Response(
        response_id=f"langsmith:{value['id']}",
        prompt=to_messages(prompt),
        response=answer_text(reply),
        user_id=id_text(user),
        session_id=id_text(session),
        shown_at=parse_time(value.get("start_time")),
        model=id_text(first_value(run, MODEL_PATHS)),
        group=id_text(value.get("trace_id")) or id_text(value["id"]),
        precedence="answer" if is_root else "named",
    )


def _feedback(value: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    fields = _event_fields(value)
    correction = decode_json(value.get("correction"), 1)
    if correction:
        keys = ("output", "answer", "text")
        text = correction if isinstance(correction, str) else first_value(correction, keys)
        yield Event("correction", 1.0, **_second_event(fields, "correction"), text=id_text(text))
    name, score = value["key"], value.get("score")
    channel = mapped_channel(name, mapping)
    result = score if score is not None else decode_json(value.get("value"), 1)
    if channel is None and fields["source"] == "judge" and score is not None:
        yield Event("rating", finite_number(score), **fields)
    elif channel is None:
        yield Skip(f"the feedback key {name!r} is not mapped")
    elif result is None:
        yield Skip("feedback without score and value")
    else:
        yield signal_event(channel, result, **fields)
        if value.get("comment"):
            text = str(value["comment"])
            yield Event("comment", 1.0, **_second_event(fields, "comment"), text=text)


def _event_fields(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that all events of one feedback record share."""
    origin = decode_json(value["feedback_source"], 1) or {}
    kind = origin.get("type")
    if kind not in ACTORS:
        raise InvalidRecord(
            f"the type of feedback_source should be api, app or model, and is {kind!r}"
        )
    is_pairwise = value.get("comparative_experiment_id") or value.get("feedback_group_id")
    run = id_text(value["run_id"])
    user = id_text(origin.get("user_id")) or id_text(first_value(origin, ("metadata.user_id",)))
    return {
        "response_id": None if run is None else f"langsmith:{run}",
        "group": id_text(value.get("trace_id")) if run is None else None,
        "source": "annotator" if is_pairwise and kind == "api" else ACTORS[kind],
        "at": parse_time(value.get("created_at")),
        "event_id": id_text(value.get("id")),
        "actor_id": user,
        # one signal a run, feedback key and user
        "key": f"{value['key']}/{user}" if user else f"id/{value.get('id')}",
        "updated_at": parse_time(value.get("modified_at")),
    }


def _second_event(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the fields of a second event of one record."""
    return {**fields, "key": f"{fields['key']}/{name}", "event_id": f"{fields['event_id']}/{name}"}


SOURCE = Source(
    title="LangSmith runs and feedback (SDK or bulk export)",
    levels={"run": "full", "feedback": None},
    record_kind=record_kind,
    rows=rows,
    covers="`full` within the base retention; older exports keep rated runs only, which is checked",
    wider="export the runs, those without feedback too, from within the base retention",
    signals={"user_score": "thumbs"},
    mappable=frozenset(PATHS),
)
