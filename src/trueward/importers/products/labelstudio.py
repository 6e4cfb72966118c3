"""Label Studio: tasks with what annotators chose, as gold labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import brief, channel_of, signal
from trueward.importers.contract import Ask, Bad, Event, Record, Response, Row, Skip, Source
from trueward.importers.values import answer, conversation, first, moment, word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SIDES = ("left", "right")


def shape(record: Mapping[str, Any]) -> str | None:
    """Know a task, and the short form with the data at the top."""
    if "data" in record and ("annotations" in record or "completions" in record):
        return "task"
    return "short task" if {"annotation_id", "annotator"} <= record.keys() else None


def rows(unit: Sequence[Record], ask: Ask) -> Iterator[Row]:
    """Give the answers of a task as responses, annotations as annotators' and predictions as a judge's."""
    (record,) = unit
    task = record.value
    data = task if record.shape == "short task" else task["data"]
    ids = yield from _responses(f"labelstudio:{task['id']}", data, ask)
    if record.shape == "short task":
        about = {
            "source": "annotator",
            "actor_id": word(task["annotator"]),
            "at": moment(task.get("created_at")),
        }
        for name in sorted(task.keys() & ask.names.keys()):
            yield from _said(ids, name, task[name], ask, f"{task['annotation_id']}/{name}", about)
        return
    given = task.get("annotations") or task.get("completions") or []
    made = [a for a in given if not a.get("was_cancelled") and not a.get("skipped")]
    yield from (Skip("a cancelled annotation") for _ in range(len(given) - len(made)))
    true = [a for a in made if a.get("ground_truth")]
    yield from (
        Skip("an annotation beside the ground truth") for _ in range(len(made) - len(true)) if true
    )
    for annotation in true or made:
        yield from _annotation(ids, annotation, ask, "annotator")
    for prediction in task.get("predictions") or []:
        yield from _annotation(ids, prediction, ask, "judge")


def _responses(name: str, data: Mapping[str, Any], ask: Ask) -> Any:
    """Yield the one answer, or the two sides, and return their ids by field."""
    prompt = first(data, (*ask.paths.get("prompt", ()), "prompt"))
    if prompt is None:
        raise Bad(f"no field 'prompt' among {', '.join(data)}: say which by --map prompt=FIELD")
    held = {what: first(data, (*ask.paths.get(what, ()), what)) for what in ("response", *SIDES)}
    there = {what: text for what, text in held.items() if text is not None}
    if not there:
        raise Bad(f"no field 'response' among {', '.join(data)}: say which by --map response=FIELD")
    ids = {what: name if what == "response" else f"{name}/{what}" for what in there}
    for what, text in there.items():
        place = SIDES.index(what) if what in SIDES else None
        yield Response(ids[what], conversation(prompt), answer(text), position=place)
    return ids


def _annotation(
    ids: Mapping[str, str], annotation: Mapping[str, Any], ask: Ask, source: str
) -> Iterator[Row]:
    by = annotation.get("completed_by")
    actor = word(by.get("id") if isinstance(by, dict) else by) or word(
        annotation.get("model_version")
    )
    about = {
        "source": source,
        "actor_id": actor,
        "at": moment(annotation.get("created_at")),
        "updated": moment(annotation.get("updated_at")),
    }
    for i, result in enumerate(annotation.get("result") or []):
        value, kind = result.get("value") or {}, result.get("type")
        held = {
            "choices": next(iter(value.get("choices") or [None])),
            "rating": value.get("rating"),
            "pairwise": value.get("selected"),
            "textarea": " ".join(value.get("text") or [])
            if isinstance(value.get("text"), list)
            else None,
        }.get(str(kind))
        if held is None:
            yield Skip(f"a result of type {kind} is no label")
            continue
        name = str(result.get("from_name"))
        yield from _said(ids, name, held, ask, f"{source}/{annotation.get('id')}/{i}", about)


def _said(
    ids: Mapping[str, str], name: str, held: Any, ask: Ask, key: str, about: Mapping[str, Any]
) -> Iterator[Row]:
    channel = channel_of(name, ask)
    if channel is None:
        yield Skip(f"the control {name!r} is not mapped")
    elif channel == "preferred":
        if held not in SIDES or not set(SIDES) <= ids.keys():
            raise Bad(
                f"a choice between left and right should name one of the two, and is {brief(held)}"
            )
        for this, other in (SIDES, SIDES[::-1]):
            worth = {"response_id": ids[this], "other_response_id": ids[other], "key": key, **about}
            yield Event("preferred", float(this == held), **worth)
    elif "response" not in ids:
        raise Bad(
            f"{name!r} is about one answer, and the task has two: map it as preferred, or not"
        )
    elif channel in {"comment", "correction"}:
        yield Event(
            channel, 1.0, **{"response_id": ids["response"], "key": key, **about}, text=str(held)
        )
    else:
        yield signal(channel, held, response_id=ids["response"], key=key, **about)


SOURCE = Source(
    title="Label Studio tasks, as gold labels",
    levels={"task": "annotation", "short task": "annotation"},
    shape=shape,
    rows=rows,
    covers="`annotation`: labels by design; ground truth counts before other annotations",
    wider="import the log of the product, and join these labels by fit --gold",
    paths=frozenset({"prompt", "response", *SIDES}),
)
