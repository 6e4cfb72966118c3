"""Annotations of Phoenix: records of their own, and attributes of the spans that a download holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import finite_number, mapped_channel, signal_event
from trueward.importers.contract import Actor, Event, InvalidRecord, Row, Skip, UserMapping
from trueward.importers.spans import stated
from trueward.importers.values import id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# attributes of a span that hold annotations -> name of one of them
PREFIXES = {
    "annotations": "annotation",
    "evaluations": "evaluation",
    "trace_annotations": "annotation",
}


def annotation_rows(value: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    """Yield the signal of an annotation, and its explanation.

    Parameters
    ----------
    value : mapping
        An annotation with ``span_id`` or ``trace_id``.
    mapping : UserMapping
        Channels of annotation names.

    Yields
    ------
    Row
        Events, or a Skip for an annotation that is none.

    """
    name = value.get("name", value.get("annotation_name"))
    result = value.get("result")
    if not isinstance(result, dict):
        result = {k.removeprefix("result."): v for k, v in value.items() if k.startswith("result.")}
    if name == "note":
        yield Skip("a note without a judgement")
        return
    span = id_text(value.get("span_id") or value.get("context.span_id"))
    score, label = result.get("score"), result.get("label")
    source = _actor(value)
    key = f"{source}/{name}/{value.get('identifier') or ''}"
    fields: dict[str, Any] = {
        "response_id": None if span is None else f"phoenix:{span}",
        "group": id_text(value.get("trace_id")) if span is None else None,
        "source": source,
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
    elif (judgement := stated(channel, label, score)) is None:
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
    return "annotator" if value.get("source") == "APP" else "user"


def attribute_annotations(
    attributes: Mapping[str, Any], about: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield the annotations among the attributes of a span, in the form of records.

    Parameters
    ----------
    attributes : mapping
        Attributes by flat names, such as ``annotations.0.annotation.name``.
    about : mapping
        ``span_id`` and ``trace_id`` of the span.

    Yields
    ------
    dict
        An annotation of the span, or of its trace.

    """
    for prefix, one in PREFIXES.items():
        listed = attributes.get(prefix)
        notes = listed if isinstance(listed, list) else indexed(attributes, prefix)
        notes = [*notes, *_by_name(attributes, prefix)]
        for note in notes:
            inner = note[one] if isinstance(note.get(one), dict) else note
            fields = {key.removeprefix(f"{one}."): given for key, given in inner.items()}
            target = "trace_id" if prefix.startswith("trace") else "span_id"
            yield {
                "annotator_kind": "HUMAN",
                **fields,
                "result": fields,
                target: about[target],
            }


def _by_name(attributes: Mapping[str, Any], prefix: str) -> Iterator[dict[str, Any]]:
    """Yield the annotations whose names stand in the keys, such as ``annotations.user_feedback.label``."""
    fields: dict[str, dict[str, Any]] = {}
    for key, inner in attributes.items():
        name, _, field = key.removeprefix(f"{prefix}.").rpartition(".")
        if not key.startswith(f"{prefix}.") or (name or field).partition(".")[0].isdigit():
            continue
        if isinstance(inner, list):  # several of one name
            name = key.removeprefix(f"{prefix}.")
            yield from ({"name": name, **note} for note in inner if isinstance(note, dict))
        elif name:
            fields.setdefault(name, {"name": name})[field] = inner
    yield from fields.values()


def indexed(attributes: Mapping[str, Any], prefix: str) -> list[dict[str, Any]]:
    """Return the objects that flat names with an index spell, such as ``prefix.0.name``.

    Parameters
    ----------
    attributes : mapping
        Attributes by flat names.
    prefix : str
        The name before the index.

    Returns
    -------
    list of dict
        One for each index, in order.

    """
    found: dict[int, dict[str, Any]] = {}
    for name, inner in attributes.items():
        if name.startswith(f"{prefix}."):
            index, _, rest = name.removeprefix(f"{prefix}.").partition(".")
            if index.isdigit() and rest:
                found.setdefault(int(index), {})[rest] = inner
    return [found[i] for i in sorted(found)]
