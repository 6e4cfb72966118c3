"""The generic tables: `responses`, one row per shown response, and `events`, one row per signal.

Fields read of responses: ``response_id``, ``prompt`` (text or messages), ``response``; optional
``prompt_id``, ``user_id``, ``session_id``, ``shown_at``, ``model``, ``position``, ``turn``,
``parent_response_id``, ``p_ask``, ``context`` or ``context.NAME``. Of events: ``response_id``, ``channel``,
``value``, ``source``; optional ``at``, ``event_id``, ``actor_id``, ``other_response_id``, ``text``,
``raw``. The value of the channel ``thumbs`` may be a word, such as ``like``.

Fields of other names are read from the paths that the user maps (``prompt=a.b[0]``), and signals of other
names are those that the user maps (``copy=copied``).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trueward.importers.channels import finite_number, shortened, signal_event
from trueward.importers.columns import read_columns
from trueward.importers.contract import (
    Event,
    InvalidRecord,
    Message,
    Record,
    Response,
    Row,
    Source,
    UserMapping,
)
from trueward.importers.messages import content_text
from trueward.importers.schema import EVENTS, RESPONSES
from trueward.importers.spans import mapped
from trueward.importers.values import first_value, id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


STEP = re.compile(r"[.\[]")  # ends the first name of a path
LARGEST = 2**31  # what the columns of whole numbers hold


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: response or event.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        ``response`` or ``event``, or None if the record is not of this source.

    """
    keys = record.keys()
    if {"response_id", "prompt", "response"} <= keys:
        return "response"
    return "event" if {"response_id", "channel", "value"} <= keys else None


def rows(records: Sequence[Record], _: UserMapping) -> Iterator[Row]:
    """Yield each record as a row, with times in UTC and prompts as messages.

    Parameters
    ----------
    records : sequence of Record
        Any number of records.
    _ : UserMapping
        Unused: this source has no names to map.

    Yields
    ------
    Row
        One response or event for each record.

    Raises
    ------
    InvalidRecord
        If a record cannot be used.

    """
    for record in records:
        yield (_response if record.kind == "response" else _event)(record.value)


def with_names(source: Source, mapping: UserMapping) -> Source:
    """Return the source that reads fields and signals under the names that the user gave.

    Parameters
    ----------
    source : Source
        This source.
    mapping : UserMapping
        Paths of fields, names of signals.

    Returns
    -------
    Source
        It reads record by record.

    """

    def renamed(value: Mapping[str, Any]) -> dict[str, Any]:
        fields = dict(value)
        for ours, paths in mapping.paths.items():
            if any(STEP.split(path)[0] in value for path in paths):
                fields[ours] = first_value(value, paths)
        if isinstance(name := fields.get("channel"), str):
            fields["channel"] = mapping.signals.get(name, name)
        return fields

    def mapped_rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
        for record in records:
            value = renamed(record.value)
            for ours in mapping.paths:
                mapped(record.value, mapping, ours, None)  # counts the paths that lead to a value
            name = first_value(record.value, mapping.paths.get("channel", ("channel",)))
            if record.kind == "event" and isinstance(name, str):
                mapping.names_seen[name] += 1
            yield from rows([replace(record, value=value)], mapping)

    def kind(value: Mapping[str, Any]) -> str | None:
        return record_kind(renamed(value))

    return replace(source, record_kind=kind, rows=mapped_rows, read_columns=None)


def _response(value: Mapping[str, Any]) -> Response:
    name = id_text(value["response_id"])
    if name is None or value["response"] is None or not value["prompt"]:
        raise InvalidRecord(
            "a response needs response_id, prompt and response, and one of them is empty"
        )
    context = value.get("context") or {}
    if not isinstance(context, dict):
        raise InvalidRecord("its context should be an object of scalars")
    flat = {k.removeprefix("context."): v for k, v in value.items() if k.startswith("context.")}
    p_ask = value.get("p_ask")
    return Response(
        response_id=name,
        prompt=_messages(value["prompt"]),
        response=content_text(value["response"]),
        prompt_id=id_text(value.get("prompt_id")),
        user_id=id_text(value.get("user_id")),
        session_id=id_text(value.get("session_id")),
        shown_at=parse_time(value.get("shown_at")),
        model=id_text(value.get("model")),
        position=_whole_number(value.get("position")),
        turn=_whole_number(value.get("turn")),
        parent_response_id=id_text(value.get("parent_response_id")),
        p_ask=None if p_ask in (None, "") else finite_number(p_ask, "p_ask"),
        context={**context, **flat},
    )


def _messages(prompt: Any) -> list[Message]:
    """Return messages as they are, and any text as one user message, even if it looks like JSON."""
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    if not isinstance(prompt, list):
        raise InvalidRecord(
            f"a prompt should be text or a list of messages, and is {shortened(prompt)}"
        )
    for message in prompt:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise InvalidRecord(
                f"a message should have role and content, and is {shortened(message)}"
            )
    return [{"role": m["role"], "content": content_text(m.get("content"))} for m in prompt]


def _event(value: Mapping[str, Any]) -> Event:
    if value["value"] in (None, ""):
        raise InvalidRecord("an event needs a value, and has none")
    names = ("source", "response_id", "event_id", "actor_id", "other_response_id", "text", "raw")
    fields: dict[str, Any] = {name: id_text(value.get(name)) for name in names}
    return signal_event(
        str(value["channel"]), value["value"], **fields, at=parse_time(value.get("at"))
    )


def _whole_number(value: Any) -> int | None:
    if value in (None, ""):
        return None
    number = finite_number(value, "place")
    if abs(number) >= LARGEST:
        raise InvalidRecord(f"its place should be a whole number, and is {shortened(value)}")
    return int(number)


SOURCE = Source(
    title="the generic responses and events tables",
    levels={"response": "full", "event": None},
    record_kind=record_kind,
    rows=rows,
    read_columns=read_columns,
    with_names=with_names,
    mappable=frozenset({*RESPONSES, *EVENTS, "context.NAME"}),
    covers="what its `dataset.json` says; without one, `full`",
    wider="write every response that was shown into the responses table",
    hash_ids=False,
)
