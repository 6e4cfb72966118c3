"""Scores of Langfuse: records of their own, scores inside a trace, and columns of the UI's tables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from trueward.importers.channels import finite_number, mapped_channel, shortened, signal_event
from trueward.importers.contract import Actor, Event, InvalidRecord, Row, Skip, UserMapping
from trueward.importers.spans import attribute_signals, keys_beside, stated
from trueward.importers.values import decode_json, id_text, parse_time, snake_case

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ACTORS: dict[str, Actor] = {"API": "user", "ANNOTATION": "annotator", "EVAL": "judge"}
# a column of the UI that names source and type too: user_feedback-API-BOOLEAN
LONG_COLUMN = re.compile(r"(.+)-(API|ANNOTATION|EVAL)-(?:NUMERIC|CATEGORICAL|BOOLEAN)")
LONG_ENDS = ("-NUMERIC", "-CATEGORICAL", "-BOOLEAN")
LISTS = frozenset(
    "tags input output metadata scores observations comments tool_calls tool_call_names tool_definitions"  # noqa: SIM905
    " trace_tags usage_details cost_details model_parameters labels".split()
)


def score_rows(value: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    """Yield the signal of a score, and its comment.

    Parameters
    ----------
    value : mapping
        A score, with keys in snake_case.
    mapping : UserMapping
        Channels of score names.

    Yields
    ------
    Row
        Events, or a Skip for a score that is none.

    Raises
    ------
    InvalidRecord
        If the source of the score is unknown.

    """
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
        # people score what they saw, even if their observation is not in the export
        "group": trace if observation is None or source != "judge" else None,
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
    channel = mapped_channel(name, mapping)
    if kind in {"CATEGORICAL", "TEXT"}:
        score = value.get("string_value") or score
    elif channel is not None:
        score = stated(channel, value.get("string_value"), score)
    if kind == "CORRECTION":
        text = value.get("string_value") or score
        return Event("correction", 1.0, **fields, text=id_text(text))
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
    if subject.get("kind") == "observation":
        return id_text(subject.get("traceId")), name
    return (name if subject.get("kind") == "trace" else None), None


def column_rows(record: Mapping[str, Any], mapping: UserMapping, **about: Any) -> Iterator[Row]:
    """Yield the scores that stand in columns of a trace or an observation, as the UI exports them.

    Such a cell holds the values of one name, without times: values that differ have no last word.

    Parameters
    ----------
    record : mapping
        The row, with the names of its columns as they are.
    mapping : UserMapping
        Channels of score names.
    **about
        ``response_id`` or ``group`` of the events.

    Yields
    ------
    Row
        An event for each mapped column, or a Skip for one that is not mapped or without a last word.

    """
    beside: dict[str, Any] = {}
    for column, cell in record.items():
        name, source = str(column), "user"
        is_long = name.endswith(LONG_ENDS)
        if name not in mapping.signals and not is_long and not _is_list(name, cell):
            beside[name] = cell
            continue
        values = decode_json(cell)
        if values in (None, "", []):
            continue
        if is_long and (long := LONG_COLUMN.fullmatch(name)):
            underscored = {re.sub(r"[-.]", "_", known): known for known in mapping.signals}
            name, source = underscored.get(long[1], long[1]), ACTORS[long[2]]
        channel = mapped_channel(name, mapping)
        if channel is None:
            yield Skip(f"the column {name!r} looks like scores and is not mapped")
            continue
        spelled = values if isinstance(values, list) else [values]
        fields = {**about, "source": source, "key": f"column/{name}"}
        events = [signal_event(channel, value, **fields) for value in spelled]
        if len({(event.channel, event.value) for event in events}) > 1:
            yield Skip(
                f"the column {name!r} holds different values without times: the last is unknown"
            )
            continue
        yield events[0]
    yield from attribute_signals(keys_beside(beside), mapping, "column", **about)


def _is_list(name: str, cell: Any) -> bool:
    """Whether a cell holds a list of plain values under a name that no table of Langfuse has."""
    is_list = isinstance(cell, list) or (isinstance(cell, str) and cell.startswith("["))
    if not is_list or snake_case(name) in LISTS:
        return False
    values = decode_json(cell)
    return isinstance(values, list) and not any(isinstance(v, dict | list) for v in values)
