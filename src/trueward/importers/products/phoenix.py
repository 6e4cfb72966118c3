"""Arize Phoenix: spans and their annotations, from the REST API, the downloads or the dataframe client.

Fields read of spans (OTLP JSON too): ``context.span_id``, ``context.trace_id``, ``parent_id``, ``name``,
``span_kind`` or ``openinference.span.kind``, ``start_time``, and the attributes ``llm.input_messages``,
``llm.output_messages``, ``input.value``, ``output.value``, ``user.id``, ``session.id``, ``llm.model_name``.
Of annotations: ``id``, ``name``, ``annotator_kind``, ``span_id`` or ``trace_id``, ``result`` (``score``,
``label``, ``explanation``), ``identifier``, ``source``, ``user_id``, ``created_at``, ``updated_at``; or the
attributes ``annotations.N.annotation.*``, ``evaluations.N.evaluation.*`` and
``trace_annotations.N.annotation.*`` of a span.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.bodies import system_inside
from trueward.importers.contract import Record, Row, Skip, Source, UserMapping
from trueward.importers.otlp import (
    OPENINFERENCE,
    attributes_of,
    is_envelope,
    is_openinference,
    nested,
    plain_span,
    unpack,
)
from trueward.importers.spans import (
    TEXTS,
    attribute_signals,
    call_row,
    keys_beside,
    mapped,
    read_parts,
    span_row,
)
from trueward.importers.values import decode_json, id_text, parse_time

from ._phoenix_annotations import PREFIXES, annotation_rows, attribute_annotations, indexed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LISTS = ("annotations", "span_annotations", "spanAnnotations")  # of a span, beside its attributes
AROUND = {"CHAIN", "AGENT"}  # spans whose output a user may see


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: span, otlp (spans as OTLP JSON), annotation or session annotation.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        One of these kinds, or None if the record is not of this source.

    """
    keys = record.keys()
    if is_envelope(record):
        return "otlp" if is_openinference(record) else None
    if "span_kind" in keys and ("context" in keys or "context.span_id" in keys):
        return "span"
    if "annotator_kind" in keys and not {"span_id", "context.span_id", "trace_id"}.isdisjoint(keys):
        return "annotation"
    if "annotator_kind" in keys:
        return "session annotation"
    return "otlp" if "attributes" in keys and is_openinference(record) else None


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield spans of kind LLM as model calls, spans around them, and annotations as events.

    Parameters
    ----------
    records : sequence of Record
        Any number of records.
    mapping : UserMapping
        Channels of annotation names, paths of texts.

    Yields
    ------
    Row
        A response, an event, or a Skip for what gives neither.

    Raises
    ------
    InvalidRecord
        If a record cannot be used.

    """
    for record in records:
        value = record.value
        if record.kind == "session annotation":
            yield Skip("an annotation of a session belongs to no single response")
        elif record.kind == "annotation":
            yield from annotation_rows(value, mapping)
        elif record.kind == "span":
            yield from _span(value, _attributes(value), mapping)
        elif is_envelope(value):
            yield from read_parts(unpack(value), lambda span: _otlp_span(span, mapping))
        else:
            yield from _otlp_span(plain_span(value), mapping)


def _otlp_span(span: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    """Yield the rows of a span with the keys and typed values of OTLP."""
    if "event_name" in span:
        yield Skip("a log record is no span")
        return
    attributes = attributes_of(span)
    names = {"context": span, "parent_id": span.get("parent_span_id"), "start_time": span["start"]}
    kind = attributes.get(OPENINFERENCE, "unknown")
    yield from _span({**span, **names, "span_kind": kind}, attributes, mapping)


def _span(
    value: Mapping[str, Any], attributes: Mapping[str, Any], mapping: UserMapping
) -> Iterator[Row]:
    context = value.get("context")
    context = context if isinstance(context, dict) else {}
    span, trace = (
        id_text(context.get(name) or value.get(f"context.{name}"))
        for name in ("span_id", "trace_id")
    )
    kind = str(value["span_kind"])
    is_call = kind == "LLM"
    asked, answered = attributes.get("input.value"), attributes.get("output.value")
    if is_call:
        asked = _with_system(_messages(attributes, "llm.input_messages"), attributes) or asked
        answered = _messages(attributes, "llm.output_messages") or answered
    tree = nested(attributes) if mapping.paths else {}
    texts = {**tree, **value, "attributes": tree}
    asked, answered, user, session = (
        mapped(texts, mapping, name, found)
        for name, found in (
            ("prompt", asked),
            ("response", answered),
            ("user", attributes.get("user.id")),
            ("session", attributes.get("session.id")),
        )
    )
    parent = id_text(value.get("parent_id"))
    fields: dict[str, Any] = {
        "response_id": f"phoenix:{span}",
        "user_id": id_text(user),
        "session_id": id_text(session),
        "shown_at": parse_time(value.get("start_time")),
        "model": id_text(attributes.get("llm.model_name")),
        "group": trace,
        "parent_span": f"phoenix:{parent}" if parent else None,
        "span_name": id_text(value.get("name")),
    }
    if is_call:
        yield call_row(asked, answered, **fields)
    else:
        asked, answered = (asked, answered) if kind in AROUND else (None, None)
        yield span_row(asked, answered, f"a span of kind {kind} is no answer", **fields)
    about = {"span_id": span, "trace_id": trace}
    notes = [*attribute_annotations(attributes, about), *_listed(value, about)]
    own = {k: v for k, v in attributes.items() if not k.startswith(tuple(PREFIXES))}
    target = {"response_id": fields["response_id"], "group": trace}
    yield from attribute_signals(own, mapping, "attribute", **target)
    flat = [key for key in value if key.startswith("attributes.")]
    yield from attribute_signals(keys_beside(value, flat), mapping, "key", **target)
    yield from read_parts(notes, lambda note: annotation_rows(note, mapping))
    for name, inner in value.items():
        if name.startswith("eval.") and name.endswith((".score", ".label")) and inner is not None:
            yield Skip(f"the column {name!r} is not read: export the annotations")


def _with_system(messages: list[Any] | None, attributes: Mapping[str, Any]) -> Any:
    """Return the messages with the instructions that stand beside them in the request."""
    if not messages or any(m.get("role") in {"system", "developer"} for m in messages):
        return messages
    for name in ("input.value", "llm.invocation_parameters"):
        request = decode_json(attributes.get(name))
        system = system_inside(request) if isinstance(request, dict) else None
        if system:
            return {"system": system, "messages": messages}
    return messages


def _listed(value: Mapping[str, Any], about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the annotations in a list beside the attributes of a span."""
    found = [note for key in LISTS for note in decode_json(value.get(key)) or ()]
    listed = [note for note in found if isinstance(note, dict)]
    return [{"span_id": about["span_id"], **note} for note in (*listed, *_evaluations(value))]


def _evaluations(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield evaluations among the events of a span; they do not say who judged: only mapped names count."""
    events = value.get("events")
    for event in events if isinstance(events, list) else ():
        if isinstance(event, dict) and event.get("name") == "gen_ai.evaluation.result":
            a = attributes_of(event)
            score, label = (a.get(f"gen_ai.evaluation.score.{key}") for key in ("value", "label"))
            result = {"score": score, "label": label}
            result["explanation"] = a.get("gen_ai.evaluation.explanation")
            name = a.get("gen_ai.evaluation.name")
            at = event.get("time") or event.get("timestamp")
            yield {"name": name, "annotator_kind": "HUMAN", "result": result, "created_at": at}


def _attributes(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes with flat names, however deep they are nested."""
    flat = {
        k.removeprefix("attributes."): v for k, v in value.items() if k.startswith("attributes.")
    }
    stack = [("", value.get("attributes") or {})]
    while stack:
        prefix, level = stack.pop()
        for key, inner in level.items():
            if isinstance(inner, dict):
                stack.append((f"{prefix}{key}.", inner))
            else:
                flat[prefix + key] = inner
    return flat


def _messages(attributes: Mapping[str, Any], name: str) -> list[Any] | None:
    """Return a list of messages, as it is or put together from flat keys with an index."""
    if isinstance(attributes.get(name), list):
        return list(attributes[name])
    messages = [
        {key.removeprefix("message."): inner for key, inner in fields.items()}
        for fields in indexed(attributes, name)
    ]
    return [
        {**m, "contents": m.get("contents") or indexed(m, "contents")} for m in messages
    ] or None


SOURCE = Source(
    title="Arize Phoenix spans and annotations (REST pages, downloads or data frames)",
    levels={"span": "full", "otlp": "full", "annotation": None, "session annotation": None},
    record_kind=record_kind,
    rows=rows,
    covers="`full`, given the spans beside the annotations; annotations alone hold no text",
    wider="export the spans of the project beside the annotations",
    signals={"user_feedback": "thumbs"},
    mappable=TEXTS,
)
