"""LangSmith: runs and feedback, from the SDK or the bulk export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import channel_of, number, signal
from trueward.importers.contract import Actor, Ask, Bad, Event, Record, Response, Row, Skip, Source
from trueward.importers.values import answer, conversation, decoded, first, moment, word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PATHS = {
    "prompt": ("inputs.messages", "inputs.input"),
    "response": ("outputs.messages[-1]", "outputs.output", "outputs.generations[0][0].text"),
    # session_id of a run is its project, so the chat is what the app put into the metadata
    "session": tuple(
        f"extra.metadata.{key}" for key in ("session_id", "thread_id", "conversation_id")
    ),
    "user": ("extra.metadata.user_id",),
}
ACTORS: dict[str, Actor] = {"model": "judge", "api": "user", "app": "annotator"}


def shape(record: Mapping[str, Any]) -> str | None:
    """Tell runs from feedback."""
    if {"run_type", "trace_id", "inputs"} <= record.keys() or {
        "run_type",
        "session_id",
    } <= record.keys():
        return "run"
    return "feedback" if {"feedback_source", "run_id", "key"} <= record.keys() else None


def rows(unit: Sequence[Record], ask: Ask) -> Iterator[Row]:
    """Give root runs as responses, runs of a model that feedback names in their place, and feedback."""
    for record in unit:
        yield from (
            _feedback(record.value, ask) if record.shape == "feedback" else _run(record.value, ask)
        )


def _run(value: Mapping[str, Any], ask: Ask) -> Iterator[Row]:
    root = value.get("parent_run_id") in (None, "")
    if not root and value["run_type"] != "llm":
        yield Skip(f"a {value['run_type']} run below the root is no answer")
    elif value.get("error"):
        yield Skip("a run that ended in an error showed no answer")
    else:
        plain = {**value, "extra": decoded(value.get("extra"), 1)}
        prompt, reply, session, user = (
            first(plain, (*ask.paths.get(what, ()), *PATHS[what]))
            for what in ("prompt", "response", "session", "user")
        )
        if (prompt is None or reply is None) and not root:
            yield Skip("an llm run below the root without texts that are known")
            return
        for what, held, field in (("prompt", prompt, "inputs"), ("response", reply, "outputs")):
            if held is None:
                keys = ", ".join(decoded(value.get(field) or {}, 1))
                raise Bad(
                    f"no {what} in {field} ({keys or 'empty'}): say where by --map {what}={field}.NAME"
                )
        yield Response(
            response_id=f"langsmith:{value['id']}",
            prompt=conversation(prompt),
            response=answer(reply),
            user_id=word(user),
            session_id=word(session),
            shown_at=moment(value.get("start_time")),
            model=word(
                first(plain, ("extra.metadata.ls_model_name", "extra.invocation_params.model"))
            ),
            group=word(value.get("trace_id")) or word(value["id"]),
            standing="answer" if root else "named",
        )


def _feedback(value: Mapping[str, Any], ask: Ask) -> Iterator[Row]:
    told = decoded(value["feedback_source"], 1) or {}
    kind = told.get("type")
    if kind not in ACTORS:
        raise Bad(f"the type of feedback_source should be api, app or model, and is {kind!r}")
    pairwise = value.get("comparative_experiment_id") or value.get("feedback_group_id")
    name, run = value["key"], word(value["run_id"])
    user = word(told.get("user_id")) or word(first(told, ("metadata.user_id",)))
    about: dict[str, Any] = {
        "response_id": None if run is None else f"langsmith:{run}",
        "group": word(value.get("trace_id")) if run is None else None,
        "source": "annotator" if pairwise and kind == "api" else ACTORS[kind],
        "at": moment(value.get("created_at")),
        "event_id": word(value.get("id")),
        "actor_id": user,
        "key": f"{name}/{user}" if user else f"id/{value.get('id')}",  # one a run, key and user
        "updated": moment(value.get("modified_at")),
    }
    correction = decoded(value.get("correction"), 1)
    if correction:
        text = (
            correction
            if isinstance(correction, str)
            else first(correction, ("output", "answer", "text"))
        )
        yield Event("correction", 1.0, **_beside(about, "correction"), text=word(text))
    channel = channel_of(name, ask)
    held = value.get("score") if value.get("score") is not None else decoded(value.get("value"), 1)
    if channel is None and about["source"] == "judge" and value.get("score") is not None:
        yield Event("rating", number(held), **about)
    elif channel is None:
        yield Skip(f"the feedback key {name!r} is not mapped")
    elif held is None:
        yield Skip("feedback without score and value says nothing")
    else:
        yield signal(channel, held, **about)
        if value.get("comment"):
            yield Event("comment", 1.0, **_beside(about, "comment"), text=str(value["comment"]))


def _beside(about: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Give the same facts for a second event of one record."""
    return {**about, "key": f"{about['key']}/{what}", "event_id": f"{about['event_id']}/{what}"}


SOURCE = Source(
    title="LangSmith runs and feedback (SDK or bulk export)",
    levels={"run": "full", "feedback": None},
    shape=shape,
    rows=rows,
    covers="`full` within the base retention; older exports keep rated runs only, which is checked",
    wider="export the runs, those without feedback too, from within the base retention",
    names={"user_score": "thumbs"},
    paths=frozenset(PATHS),
)
