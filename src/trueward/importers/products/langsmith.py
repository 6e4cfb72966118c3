"""LangSmith: runs and feedback, from the SDK or the bulk export.

Fields read of runs: ``id``, ``name``, ``run_type``, ``parent_run_id``, ``trace_id``, ``error``, ``inputs``,
``outputs``, ``start_time``, ``child_runs``, ``feedback``, and of ``extra``: ``metadata`` (session, user,
model) and ``invocation_params.model``. Of feedback: ``id``, ``key``, ``run_id``, ``trace_id``, ``score``,
``value``, ``comment``, ``correction``, ``feedback_source``, ``comparative_experiment_id``,
``feedback_group_id``, ``created_at``, ``modified_at``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.bodies import answer_inside, prompt_inside
from trueward.importers.channels import finite_number, mapped_channel, signal_event
from trueward.importers.contract import (
    Actor,
    Event,
    InvalidRecord,
    NoAnswer,
    Record,
    Response,
    Row,
    Skip,
    Source,
    UserMapping,
)
from trueward.importers.messages import read_turn
from trueward.importers.spans import (
    TEXTS,
    attribute_signals,
    keys_beside,
    mapped,
    read_parts,
    stated,
)
from trueward.importers.values import decode_json, first_value, id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PATHS = {
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
    """Yield a root run as a response, a model run below it in case feedback names it, or a step."""
    parent, kind = id_text(value.get("parent_run_id")), value["run_type"]
    run = {**value, "extra": decode_json(value.get("extra"), 1)}
    session, user = (mapped(run, mapping, what, first_value(run, PATHS[what])) for what in PATHS)
    fields: dict[str, Any] = {
        "response_id": f"langsmith:{value['id']}",
        "user_id": id_text(user),
        "session_id": id_text(session),
        "shown_at": parse_time(value.get("start_time")),
        "model": id_text(first_value(run, MODEL_PATHS)),
        "group": id_text(value.get("trace_id")) or id_text(value["id"]),
        "parent_span": f"langsmith:{parent}" if parent else None,
        "span_name": id_text(value.get("name")),
    }
    yield _run_row(value, str(kind), fields, mapping)
    metadata = first_value(run, ("extra.metadata",))
    target = {"response_id": fields["response_id"], "group": fields["group"]}
    yield from attribute_signals(metadata, mapping, "key of metadata", **target)
    beside = keys_beside(value, {"feedback", "feedback_stats"})
    yield from attribute_signals(beside, mapping, "key", **target)
    for name in decode_json(value.get("feedback_stats"), 1) or ():
        yield Skip(f"feedback_stats of {name!r} is a sum without sources: export the feedback too")
    about = {"run_id": value["id"], "trace_id": value.get("trace_id"), "feedback_source": None}
    given = [{**about, **f} for f in _listed(value, "feedback")]
    yield from read_parts(given, lambda f: _feedback(f, mapping))
    yield from read_parts(_listed(value, "child_runs"), lambda c: _run(c, mapping))


def _listed(value: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the records in a list inside a run."""
    listed = decode_json(value.get(name), 1)
    return [v for v in listed if isinstance(v, dict)] if isinstance(listed, list) else []


def _run_row(
    value: Mapping[str, Any], kind: str, fields: dict[str, Any], mapping: UserMapping
) -> Row:
    """Return the row of a run; its texts are its whole inputs and outputs, or what a path leads to."""
    if value.get("error"):
        return _step("a run that ended in an error showed no answer", fields)
    inputs, outputs = (decode_json(value.get(name) or {}, 1) for name in ("inputs", "outputs"))
    is_known = isinstance(inputs, dict) and prompt_inside(inputs) is not None
    prompt = mapped(value, mapping, "prompt", inputs if is_known else None)
    is_known = isinstance(outputs, dict) and answer_inside(outputs) is not None
    reply = mapped(value, mapping, "response", outputs if is_known else None)
    is_root = fields["parent_span"] is None
    if not is_root and kind != "llm" and not (kind == "chain" and mapping.shown):
        return _step(f"a {kind} run below the root is no answer", fields)
    if not is_root and (prompt is None or reply is None):
        return _step(f"a {kind} run below the root without known texts", fields)
    for what, text, given in (("prompt", prompt, "inputs"), ("response", reply, "outputs")):
        if text is None:
            keys = ", ".join(inputs if given == "inputs" else outputs) or "empty"
            raise InvalidRecord(
                f"no {what} in {given} ({keys}): name its path by --map {what}={given}.NAME"
            )
    try:
        asked, answer = read_turn(prompt, reply)
    except NoAnswer as e:
        return _step(str(e), fields)
    if is_root:
        return Response(prompt=asked, response=answer, **fields)
    reason = "a model run below the root, which no feedback names"
    return Response(prompt=asked, response=answer, precedence="named", unshown=reason, **fields)


def _step(reason: str, fields: dict[str, Any]) -> Response:
    """Return a run that is no answer, and links others to their root."""
    return Response(prompt=[], response="", precedence="owner", unshown=reason, **fields)


def _feedback(value: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    fields = _event_fields(value)
    correction = decode_json(value.get("correction"), 1)
    if correction:
        keys = ("output", "answer", "text")
        text = correction if isinstance(correction, str) else first_value(correction, keys)
        yield Event("correction", 1.0, **_second_event(fields, "correction"), text=id_text(text))
    name, score = value["key"], value.get("score")
    channel = mapped_channel(name, mapping)
    result = stated(channel or "", decode_json(value.get("value"), 1), score)
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
    kind = origin.get("type") or "api"
    if kind not in ACTORS:
        raise InvalidRecord(
            f"the type of feedback_source should be api, app or model, and is {kind!r}"
        )
    is_pairwise = value.get("comparative_experiment_id") or value.get("feedback_group_id")
    run = id_text(value["run_id"])
    user = id_text(origin.get("user_id")) or id_text(first_value(origin, ("metadata.user_id",)))
    return {
        "response_id": None if run is None else f"langsmith:{run}",
        # people rate what they saw, even if the run that they name is not in the export
        "group": id_text(value.get("trace_id")) if run is None or kind != "model" else None,
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
    mappable=TEXTS,
)
