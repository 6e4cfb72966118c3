"""PostHog: events of LLM analytics and of surveys, from batch exports, the events API or queries.

Fields read: ``event``, ``uuid`` or ``id``, ``timestamp``, ``distinct_id``, and of ``properties`` (an object,
JSON of it, or columns ``properties.NAME``): ``$ai_trace_id``, ``$ai_span_id``, ``$ai_parent_id``,
``$ai_span_name``, ``$ai_session_id``, ``$ai_model``, ``$ai_input``, ``$ai_output_choices``,
``$ai_input_state``, ``$ai_output_state``, ``$ai_is_error``; ``$ai_feedback_text``; ``$ai_metric_name`` and
``$ai_metric_value``; results of ``$ai_evaluation``; ``p_ask``, ``asked`` and ``ask_level`` of a lottery;
those of surveys, see `_posthog_surveys`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trueward.data.feedback_words import FeedbackWords
from trueward.importers.channels import finite_number, mapped_channel, shortened, signal_event
from trueward.importers.contract import Event, InvalidRecord, Record, Row, Skip, Source, UserMapping
from trueward.importers.spans import (
    TEXTS,
    attribute_signals,
    call_row,
    mapped,
    read_parts,
    span_row,
)
from trueward.importers.values import decode_json, id_text, parse_time

from ._posthog_surveys import SURVEY_EVENTS, survey_id, survey_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

KINDS = {
    "$ai_generation": "generation",
    "$ai_trace": "trace",
    "$ai_span": "span",
    "$ai_feedback": "feedback",
    "$ai_metric": "metric",
    "$ai_evaluation": "evaluation",
    **dict.fromkeys(SURVEY_EVENTS, "survey"),
}
OF_TRACE = "a trace, read for its user, session and output"
OTHER = "an event that is neither of a model nor of a survey"
PREFIX = "properties."
Value = dict[str, Any]


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: an event by its name, or a page of events.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        ``generation``, ``trace``, ``span``, ``survey``, ``feedback``, ``metric``, ``evaluation``, other
        ``event``, ``page``, or None if the record is not of this source.

    """
    if isinstance(record.get("results"), list):
        return "page" if any(record_kind(row) for row in _page_rows(record, limit=1)) else None
    has_properties = "properties" in record or any(key.startswith(PREFIX) for key in record)
    if not isinstance(record.get("event"), str) or not has_properties:
        return None
    kind = KINDS.get(record["event"])
    has_id = "distinct_id" in record or "uuid" in record or "person_id" in record
    return kind or ("event" if has_id else None)


def _page_rows(page: Mapping[str, Any], limit: int | None = None) -> list[Value]:
    """Return the events of a page, or the rows of a query with their columns."""
    found = page["results"][:limit]
    columns = page.get("columns")
    if isinstance(columns, list):
        found = [dict(zip(columns, row, strict=False)) for row in found if isinstance(row, list)]
    return [row for row in found if isinstance(row, dict)]


def group_key(record: Record) -> str | None:
    """Return the survey of an answer: what 1 and 2 mean can be seen from all its answers only.

    Parameters
    ----------
    record : Record
        Any record.

    Returns
    -------
    str or None
        Key of a survey, or of all pages; None for other events.

    """
    if record.kind == "page":
        return "pages"
    return survey_id(_event(record.value)) if record.kind == "survey" else None


def _event(record: Mapping[str, Any]) -> Value:
    """Return an event with its properties as an object."""
    inner = decode_json(record.get("properties"), 1)
    if not isinstance(inner, dict):
        if record.get("properties") not in (None, ""):
            raise InvalidRecord(f"its properties should be an object, and are {shortened(inner)}")
        inner = {}
    columns = {k[len(PREFIX) :]: v for k, v in record.items() if k.startswith(PREFIX)}
    return {**record, "properties": {**inner, **{k: v for k, v in columns.items() if v != ""}}}


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield model calls, the traces and spans around them, and feedback of users as events.

    Parameters
    ----------
    records : sequence of Record
        One event, all pages, or all events of one survey.
    mapping : UserMapping
        Channels of surveys and metrics, paths of texts.

    Yields
    ------
    Row
        A response, an event, or a Skip for what gives neither.

    Raises
    ------
    InvalidRecord
        If a record cannot be used.

    """
    found: list[Record] = []
    for record in records:
        if record.kind == "page":
            parts = _page_rows(record.value)
            found += [replace(record, value=v, kind=record_kind(v) or "") for v in parts]
        else:
            found.append(record)
    if len(found) == 1 and found[0].kind != "survey":
        yield from _rows(found[0], mapping)
        return
    surveys: dict[str, list[Record]] = {}
    others = []
    for record in found:
        if record.kind == "survey":
            read = replace(record, value=_event(record.value))
            surveys.setdefault(survey_id(read.value), []).append(read)
        else:
            others.append(record)
    yield from read_parts(others, lambda record: _rows(record, mapping), _place)
    for answers in surveys.values():
        yield from survey_rows(answers, mapping)


def _place(record: Record) -> tuple[str, int]:
    return record.file, record.line


def _rows(record: Record, mapping: UserMapping) -> Iterator[Row]:
    if record.kind in {"event", ""}:
        yield Skip(OTHER)
        return
    event = _event(record.value)
    properties = event["properties"]
    trace = id_text(properties.get("$ai_trace_id"))
    if record.kind in {"generation", "trace", "span"}:
        yield from _call(event, record.kind, trace, mapping)
        return
    if trace is None and not properties.get("$ai_target_event_id"):
        yield Skip(f"a {record.kind} without $ai_trace_id is about no response")
        return
    fields: Value = {
        "group": trace,
        "at": parse_time(event.get("timestamp")),
        "event_id": id_text(event.get("uuid") or event.get("id")),
    }
    if span := id_text(properties.get("$ai_span_id")):
        fields["response_id"] = f"posthog:{span}"
    if record.kind == "evaluation":
        yield _evaluation(properties, fields)
        return
    fields |= {"source": "user", "actor_id": id_text(event.get("distinct_id"))}
    if record.kind == "metric":
        yield _metric(properties, fields, mapping)
        return
    text = properties.get("$ai_feedback_text")
    if FeedbackWords().meaning(text) in {"good", "bad"} and not str(text).strip("+-").isdigit():
        yield signal_event("thumbs", text, **fields)
    elif text:
        yield Event("comment", 1.0, **fields, text=str(text))
    else:
        yield Skip("feedback without text")


def _call(event: Value, kind: str, trace: str | None, mapping: UserMapping) -> Iterator[Row]:
    """Yield a generation as a model call, a trace or span as what is around it."""
    properties = event["properties"]
    own = id_text(event.get("uuid") or event.get("id"))
    span = id_text(properties.get("$ai_span_id") or properties.get("$ai_generation_id"))
    parent = id_text(properties.get("$ai_parent_id"))
    name = f"trace:{trace}" if kind == "trace" and trace else span or own
    if name is None:
        raise InvalidRecord(
            "an event needs a uuid, and has none: add the column uuid to the export"
        )
    if properties.get("$ai_is_error") in (True, "true", "True", 1):
        yield Skip(f"a {kind} that ended in an error")
        return
    person = id_text(event.get("distinct_id"))
    above = None if kind == "trace" else f"posthog:trace:{trace}" if trace else None
    fields: Value = {
        "response_id": f"posthog:{name}",
        # the SDK writes the trace in place of a user that it was not told
        "user_id": id_text(mapped(event, mapping, "user", None if person == trace else person)),
        "session_id": id_text(
            mapped(event, mapping, "session", properties.get("$ai_session_id"))
            or properties.get("$session_id")
        ),
        "shown_at": parse_time(event.get("timestamp")),
        "model": id_text(properties.get("$ai_model")),
        "group": trace,
        "alias": own,
        "parent_span": f"posthog:{parent}" if parent and parent != trace else above,
        "span_name": id_text(properties.get("$ai_span_name") or properties.get("$ai_model")),
    }
    if (chance := properties.get("p_ask")) not in (None, ""):
        fields["p_ask"] = finite_number(chance, "p_ask")
    is_call = kind == "generation"
    given, put_out = properties.get("$ai_input"), properties.get("$ai_output_choices")
    put_out = properties.get("$ai_output") if put_out is None else put_out
    if not is_call:
        given, put_out = properties.get("$ai_input_state"), properties.get("$ai_output_state")
    asked = mapped(event, mapping, "prompt", given)
    answered = mapped(event, mapping, "response", put_out)
    if is_call and asked is None and answered is None:
        yield Skip("a generation without texts: privacy mode, or an export without them")
    elif is_call:
        yield call_row(asked, answered, **fields)
    else:
        reason = OF_TRACE if kind == "trace" else "a span around its answer"
        yield span_row(asked, answered, reason, **fields)
    about = {"response_id": fields["response_id"], "group": trace}
    for name in ("asked", "ask_level") if "p_ask" in fields else ():
        if (value := _unspelled(properties.get(name))) not in (None, ""):
            yield Event(name, finite_number(value, name), "user", **about)
    own_names = {k: v for k, v in properties.items() if not k.startswith("$")}
    yield from attribute_signals(own_names, mapping, "property", **about)


def _evaluation(properties: Value, fields: Value) -> Row:
    """Return a judgement of a model about the event that it names."""
    target = id_text(properties.get("$ai_target_event_id"))
    fields = {**fields, "group": target or fields["group"], "response_id": None}
    result = properties.get("$ai_evaluation_numeric_result")
    result = _unspelled(properties.get("$ai_evaluation_result") if result is None else result)
    if properties.get("$ai_evaluation_applicable") in (False, "false") or result is None:
        return Skip("an evaluation without a number")
    key = f"evaluation/{properties.get('$ai_evaluation_name')}"
    return Event("rating", finite_number(result), "judge", **fields, key=key)


def _metric(properties: Value, fields: Value, mapping: UserMapping) -> Row:
    name = properties.get("$ai_metric_name")
    channel = mapped_channel(name, mapping)
    if channel is None:
        return Skip(f"the metric {name!r} is not mapped")
    value = _unspelled(properties.get("$ai_metric_value"))
    return signal_event(channel, value, **fields)


def _unspelled(value: Any) -> Any:
    """Return a boolean that the SDK wrote as text."""
    return (
        {"true": True, "false": False}.get(value.lower(), value)
        if isinstance(value, str)
        else value
    )


SOURCE = Source(
    title="PostHog events of LLM analytics and surveys (batch export, API pages, queries)",
    levels={
        "generation": "full",
        "trace": "full",
        "span": None,
        "page": "full",
        **dict.fromkeys(("survey", "feedback", "metric", "evaluation", "event"), None),
    },
    record_kind=record_kind,
    rows=rows,
    covers="`full`, given the events `$ai_generation` or `$ai_trace`; surveys alone hold no text",
    wider="export the events $ai_generation and $ai_trace beside those of the surveys",
    group_key=group_key,
    mappable=TEXTS,
)
