"""The generic tables: `responses`, one row per response that was shown, and `events`, one per signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import brief, number
from trueward.importers.columns import columns
from trueward.importers.contract import Ask, Bad, Event, Message, Record, Response, Row, Source
from trueward.importers.values import moment, said, word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def shape(record: Mapping[str, Any]) -> str | None:
    """Tell a response from an event."""
    keys = record.keys()
    if {"response_id", "prompt", "response"} <= keys:
        return "response"
    return "event" if {"response_id", "channel", "value"} <= keys else None


def rows(unit: Sequence[Record], _: Ask) -> Iterator[Row]:
    """Give the row as it is, with times and messages in one spelling."""
    for record in unit:
        yield (_response if record.shape == "response" else _event)(record.value)


def _response(value: Mapping[str, Any]) -> Response:
    name = word(value["response_id"])
    if name is None or value["response"] is None or not value["prompt"]:
        raise Bad("a response needs response_id, prompt and response, and one of them is empty")
    context = value.get("context") or {}
    if not isinstance(context, dict):
        raise Bad("its context should be an object of scalars")
    flat = {k.removeprefix("context."): v for k, v in value.items() if k.startswith("context.")}
    return Response(
        response_id=name,
        prompt=_messages(value["prompt"]),
        response=said(value["response"]),
        prompt_id=word(value.get("prompt_id")),
        user_id=word(value.get("user_id")),
        session_id=word(value.get("session_id")),
        shown_at=moment(value.get("shown_at")),
        model=word(value.get("model")),
        position=_whole(value.get("position")),
        turn=_whole(value.get("turn")),
        parent_response_id=word(value.get("parent_response_id")),
        p_ask=None if value.get("p_ask") in (None, "") else number(value["p_ask"], "p_ask"),
        context={**context, **flat},
    )


def _messages(prompt: Any) -> list[Message]:
    """Give messages as they are, and text as one message of the user, whatever the text looks like."""
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    if not isinstance(prompt, list):
        raise Bad(f"a prompt should be text or a list of messages, and is {brief(prompt)}")
    for said_here in prompt:
        if not isinstance(said_here, dict) or not isinstance(said_here.get("role"), str):
            raise Bad(f"a message should have role and content, and is {brief(said_here)}")
    return [{"role": m["role"], "content": said(m.get("content"))} for m in prompt]


def _event(value: Mapping[str, Any]) -> Event:
    if value["value"] in (None, ""):
        raise Bad("an event needs a value, and has none")
    return Event(
        channel=str(value["channel"]),
        value=number(value["value"]),
        source=word(value.get("source")),
        response_id=word(value["response_id"]),
        at=moment(value.get("at")),
        event_id=word(value.get("event_id")),
        actor_id=word(value.get("actor_id")),
        other_response_id=word(value.get("other_response_id")),
        text=word(value.get("text")),
        raw=word(value.get("raw")),
    )


def _whole(value: Any) -> int | None:
    return None if value in (None, "") else int(number(value, "place"))


SOURCE = Source(
    title="the generic responses and events tables",
    levels={"response": "full", "event": None},
    shape=shape,
    rows=rows,
    columns=columns,
    covers="what its `dataset.json` says; without one, `full`",
    wider="write every response that was shown into the responses table",
    hashes=False,
)
