"""Label Studio: tasks with annotations and predictions, in the full or the short JSON export.

Fields read of a task: ``id``, ``data`` (prompt, and response or left and right), ``annotations`` (in old
exports ``completions``) and ``predictions``; of each of these ``id``, ``completed_by`` or
``model_version``, ``created_at``, ``updated_at``, ``was_cancelled`` or ``skipped``, ``ground_truth``, and
``result`` with ``type``, ``from_name`` and ``value``. Of the short form: ``id``, ``annotation_id``,
``annotator``, ``created_at``, the data and the controls. Annotations become annotations, predictions become
judgements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import mapped_channel, shortened, signal_event
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
from trueward.importers.messages import answer_text, to_messages
from trueward.importers.values import first_value, id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SIDES = ("left", "right")


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: task, or short task with the data at the top level.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        ``task`` or ``short task``, or None if the record is not of this source.

    """
    if "data" in record and ("annotations" in record or "completions" in record):
        return "task"
    return "short task" if {"annotation_id", "annotator"} <= record.keys() else None


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield the responses of a task, its annotations, and its predictions as judgements.

    Parameters
    ----------
    records : sequence of Record
        One record.
    mapping : UserMapping
        Channels of labels, and paths of ``prompt`` and ``response``.

    Yields
    ------
    Row
        A response, an event, or a Skip for an annotation that does not count.

    Raises
    ------
    InvalidRecord
        If a record cannot be used.
    NoAnswer
        If a record has an answer without text, such as a tool call.

    """
    (record,) = records
    task = record.value
    data = task if record.kind == "short task" else task["data"]
    responses = _responses(f"labelstudio:{task['id']}", data, mapping)
    yield from responses.values()
    ids = {what: response.response_id for what, response in responses.items()}
    if record.kind == "short task":
        actor, at = id_text(task["annotator"]), parse_time(task.get("created_at"))
        fields = {"source": "annotator", "actor_id": actor, "at": at}
        for name in sorted(task.keys() & mapping.signals.keys()):
            key = f"{task['annotation_id']}/{name}"
            yield from _signal(ids, name, task[name], mapping, {"key": key, **fields})
        return
    annotations = task.get("annotations") or task.get("completions") or []
    finished = [a for a in annotations if not a.get("was_cancelled") and not a.get("skipped")]
    yield from [Skip("a cancelled annotation")] * (len(annotations) - len(finished))
    truth = [a for a in finished if a.get("ground_truth")]
    if truth:
        yield from [Skip("an annotation beside the ground truth")] * (len(finished) - len(truth))
    for annotation in truth or finished:
        yield from _annotation(ids, annotation, mapping, "annotator")
    for prediction in task.get("predictions") or []:
        yield from _annotation(ids, prediction, mapping, "judge")


def _responses(name: str, data: Mapping[str, Any], mapping: UserMapping) -> dict[str, Response]:
    """Return the one response of a task, or its two sides, by field."""
    prompt = first_value(data, (*mapping.paths.get("prompt", ()), "prompt"))
    if prompt is None:
        raise InvalidRecord(
            f"no field 'prompt' among {', '.join(data)}: name it by --map prompt=FIELD"
        )
    texts = {
        what: first_value(data, (*mapping.paths.get(what, ()), what))
        for what in ("response", *SIDES)
    }
    texts = {what: text for what, text in texts.items() if text is not None}
    if not texts:
        raise InvalidRecord(
            f"no field 'response' among {', '.join(data)}: name it by --map response=FIELD"
        )
    return {
        what: Response(
            name if what == "response" else f"{name}/{what}",
            to_messages(prompt),
            answer_text(text),
            position=SIDES.index(what) if what in SIDES else None,
        )
        for what, text in texts.items()
    }


def _annotation(
    ids: Mapping[str, str], annotation: Mapping[str, Any], mapping: UserMapping, source: str
) -> Iterator[Row]:
    by = annotation.get("completed_by")
    person = id_text(by.get("id") if isinstance(by, dict) else by)
    fields = {
        "source": source,
        "actor_id": person or id_text(annotation.get("model_version")),
        "at": parse_time(annotation.get("created_at")),
        "updated_at": parse_time(annotation.get("updated_at")),
    }
    for i, result in enumerate(annotation.get("result") or []):
        value, kind = result.get("value") or {}, result.get("type")
        label = _label(value, str(kind))
        if label is None:
            yield Skip(f"a result of type {kind} is no label")
            continue
        key = f"{source}/{annotation.get('id')}/{i}"
        yield from _signal(
            ids, str(result.get("from_name")), label, mapping, {"key": key, **fields}
        )


def _label(value: Mapping[str, Any], kind: str) -> Any:
    """Return the label of a result; None if its type has none."""
    text = value.get("text")
    return {
        "choices": next(iter(value.get("choices") or [None])),
        "rating": value.get("rating"),
        "pairwise": value.get("selected"),
        "textarea": " ".join(text or []) if isinstance(text, list) else None,
    }.get(kind)


def _signal(
    ids: Mapping[str, str], name: str, label: Any, mapping: UserMapping, fields: Mapping[str, Any]
) -> Iterator[Row]:
    """Yield the events of one control."""
    channel = mapped_channel(name, mapping)
    if channel is None:
        yield Skip(f"the control {name!r} is not mapped")
    elif channel == "preferred":
        if label not in SIDES or not set(SIDES) <= ids.keys():
            raise InvalidRecord(
                f"a choice between left and right should name one of them, and is {shortened(label)}"
            )
        for this, other in (SIDES, SIDES[::-1]):
            pair: dict[str, Any] = {"response_id": ids[this], "other_response_id": ids[other]}
            yield Event("preferred", float(this == label), **pair, **fields)
    elif "response" not in ids:
        raise InvalidRecord(
            f"{name!r} is about one answer, and the task has two: map it as preferred, or not at all"
        )
    elif channel in {"comment", "correction"}:
        yield Event(channel, 1.0, response_id=ids["response"], **fields, text=str(label))
    else:
        yield signal_event(channel, label, response_id=ids["response"], **fields)


SOURCE = Source(
    title="Label Studio tasks, as gold labels",
    levels={"task": "annotation", "short task": "annotation"},
    record_kind=record_kind,
    rows=rows,
    covers="`annotation`: labels by design; ground truth counts before other annotations",
    wider="import the log of the product, and join these labels by fit --gold",
    mappable=frozenset({"prompt", "response", *SIDES}),
)
