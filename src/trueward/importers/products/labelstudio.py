"""Label Studio: tasks with annotations and predictions, in the full or the short JSON export.

Fields read of a task: ``id``, ``data`` (prompt, and response, or left and right, or answer1 and answer2;
messages, if an annotation is a chat), ``annotations`` (in old exports ``completions``) and
``predictions``; of each of these ``id``, ``completed_by`` or ``model_version``, ``created_at``,
``updated_at``, ``was_cancelled`` or ``skipped``, ``ground_truth``, and ``result`` with ``id``, ``type``,
``from_name`` and ``value``. Of the short form: ``id``, ``annotation_id``, ``annotator``, ``created_at``, the
data and the controls. Annotations become annotations, predictions become judgements.
"""

from __future__ import annotations

from functools import partial
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

from ._labelstudio_chats import chat_rows_of, is_chat

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SIDES = ("left", "right")
FIELDS = {"left": ("left", "answer1"), "right": ("right", "answer2")}  # the template has the latter
CHATS = ("messages", "chat", "conversation")  # a chat with one answer, at its end
BY_TYPE = {
    "rating": "rating",
    "pairwise": "preferred",
}  # where one control of a type is all there is
TASK_KEYS = frozenset(  # of a short task; its other keys may be controls
    "id annotation_id annotator created_at updated_at lead_time prompt response left right answer1"  # noqa: SIM905
    " answer2 gold_weight item batch labels".split()
)


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
    if record.kind == "short task":
        yield from _short_task(task, mapping)
        return
    everything = task.get("annotations") or task.get("completions") or []
    finished = [a for a in everything if not a.get("was_cancelled") and not a.get("skipped")]
    yield from [Skip("a cancelled annotation")] * (len(everything) - len(finished))
    truth = [a for a in finished if a.get("ground_truth")]
    if truth:
        yield from [Skip("an annotation beside the ground truth")] * (len(finished) - len(truth))
    annotations = [(a, "annotator") for a in truth or finished]
    annotations += [(p, "judge") for p in task.get("predictions") or []]
    if is_chat([a for a, _ in annotations]):
        for annotation, source in annotations:
            label = partial(_labels, annotation, mapping=mapping, source=source)
            yield from chat_rows_of(task, annotation, label)
        return
    responses = _responses(f"labelstudio:{task['id']}", task["data"], mapping)
    yield from responses.values()
    yield from _weights(responses, task["data"])
    ids = {what: response.response_id for what, response in responses.items()}
    for annotation, source in annotations:
        for i, result in enumerate(annotation.get("result") or []):
            yield from _labels(annotation, ids, result, str(i), mapping=mapping, source=source)


def _short_task(task: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    responses = _responses(f"labelstudio:{task['id']}", task, mapping)
    yield from responses.values()
    yield from _weights(responses, task)
    ids = {what: response.response_id for what, response in responses.items()}
    actor, at = id_text(task["annotator"]), parse_time(task.get("created_at"))
    fields = {"source": "annotator", "actor_id": actor, "at": at}
    texts = {path.partition(".")[0] for paths in mapping.paths.values() for path in paths}
    for name in sorted(task.keys() - TASK_KEYS - texts):
        key = f"{task['annotation_id']}/{name}"
        yield from _signal(ids, name, task[name], mapping, {"key": key, **fields})


def _weights(responses: Mapping[str, Response], data: Mapping[str, Any]) -> Iterator[Event]:
    """Yield the weight of the draw that a task of `trueward label --to label-studio` carries."""
    if "response" in responses and (weight := data.get("gold_weight")) is not None:
        name = responses["response"].response_id
        yield signal_event(
            "gold_weight", weight, response_id=name, source="annotator", key="weight"
        )


def _responses(name: str, data: Mapping[str, Any], mapping: UserMapping) -> dict[str, Response]:
    """Return the one response of a task, or its two sides, by field."""
    prompt = first_value(data, (*mapping.paths.get("prompt", ()), "prompt"))
    if prompt is None and (turns := first_value(data, CHATS)) is not None:
        messages = to_messages(turns)
        answers = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
        if answers == [len(messages) - 1] and len(messages) > 1:
            return {"response": Response(name, messages[:-1], messages[-1]["content"])}
    if prompt is None:
        raise InvalidRecord(
            f"no field 'prompt' among {', '.join(data)}: name it by --map prompt=FIELD"
        )
    texts = {
        what: first_value(data, (*mapping.paths.get(what, ()), *FIELDS.get(what, (what,))))
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


def _labels(
    annotation: Mapping[str, Any],
    ids: Mapping[str, str],
    result: Mapping[str, Any],
    key: str,
    *,
    mapping: UserMapping,
    source: str,
) -> Iterator[Row]:
    """Yield the events of one result; a rating and a choice between two answers need no mapping."""
    kind, name = str(result.get("type")), str(result.get("from_name"))
    label = _label(result.get("value") or {}, kind)
    if label is None:
        yield Skip(f"a result of type {kind} is no label")
        return
    by = annotation.get("completed_by")
    person = id_text(by.get("id") if isinstance(by, dict) else by)
    fields = {
        "source": source,
        "actor_id": person or id_text(annotation.get("model_version")),
        "at": parse_time(annotation.get("created_at")),
        "updated_at": parse_time(annotation.get("updated_at")),
        "key": f"{source}/{annotation.get('id')}/{key}",
    }
    default = None
    same = [r for r in annotation.get("result") or [] if r.get("type") == kind]
    is_only = len({r.get("from_name") for r in same}) == 1
    if is_only and BY_TYPE.get(kind) not in mapping.signals.values():
        default = BY_TYPE.get(kind)
    yield from _signal(ids, name, label, mapping, fields, default)


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
    ids: Mapping[str, str],
    name: str,
    label: Any,
    mapping: UserMapping,
    fields: Mapping[str, Any],
    default: str | None = None,
) -> Iterator[Row]:
    """Yield the events of one control, under its mapping or the channel of its type."""
    channel = mapped_channel(name, mapping) or default
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
    scales={"rating": (1.0, 5.0)},
    mappable=frozenset({"prompt", "response", *SIDES}),
)
