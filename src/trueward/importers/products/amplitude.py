"""Amplitude: events of Agent Analytics, from the Export API, a warehouse, or the requests of the HTTP API.

Fields read of an event: ``event_type``, ``event_properties``, ``user_id`` or ``device_id``, ``event_time`` or
``time``, ``$insert_id`` or ``insert_id``. Of the properties, with the prefix ``[Agent]``: ``Session ID``,
``Trace ID``, ``Turn ID``, ``Message ID``, ``Agent ID``, ``Parent Agent ID``, ``Prompt ID``, ``Model Name``,
``System Prompt``, ``Tool Calls``, ``Tool Output``, ``Attachments``, ``Is Error``, ``Is Regeneration``,
``Is Edit``, ``Edited Message ID``, ``Message Source``, ``Was Copied``; of scores ``Score Name``,
``Score Value``, ``Target ID``, ``Target Type``, ``Evaluation Source``, ``Comment``; and ``$llm_message``.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from trueward.importers.channels import finite_number
from trueward.importers.chat_rows import chat_rows
from trueward.importers.contract import (
    Event,
    InvalidRecord,
    NoAnswer,
    Record,
    Response,
    Row,
    Skip,
    Source,
    UserMapping,
)
from trueward.importers.messages import answer_text, content_text, to_messages
from trueward.importers.spans import attribute_signals, mapped, read_parts
from trueward.importers.values import decode_json, id_text

from ._amplitude_scores import PREFIX, event_rows, event_time, insert_id, score_rows
from ._amplitude_sessions import Step, message_text, read_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

KINDS = {
    "[Agent] User Message": "message",
    "[Agent] AI Response": "answer",
    "[Agent] Tool Call": "tool call",
    "[Agent] Score": "score",
}
ROLES = {"message": "user", "answer": "assistant", "tool call": "tool"}
WHO = {"user_id", "device_id", "amplitude_id", "$insert_id", "insert_id", "uuid"}
CALL = "a call of tools without a text"
NO_TEXT = "an answer whose content was not recorded (content mode metadata_only, or privacy mode)"
NO_PROMPT = "an answer whose prompt was not recorded: its session has no text of the user before it"
NO_SESSION = "an answer without a Session ID, so that its prompt is unknown"
UNREAD = [
    {"role": "user", "content": ""}
]  # the prompt of an answer that was not shown, which nobody reads
Props = dict[str, Any]


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of an event: message, answer, tool call, score, or another event.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        None if the record is not of this source.

    """
    keys = {key.lower() for key in record}
    if not {"event_type", "event_properties"} <= keys or keys.isdisjoint(WHO):
        return None
    return KINDS.get(str(_event(record)["event_type"]), "other event")


def _event(record: Mapping[str, Any]) -> Props:
    """Return an event with the keys of the Export API; warehouses write them in capitals."""
    event = {key.lower(): value for key, value in record.items()}
    properties = decode_json(event.get("event_properties"), 1)
    properties = properties if isinstance(properties, dict) else {}
    event["event_properties"] = {k.removeprefix(PREFIX): v for k, v in properties.items()}
    return event


def group_key(record: Record) -> str | None:
    """Return the session of an event of an agent, whose messages are read together.

    Parameters
    ----------
    record : Record
        An event.

    Returns
    -------
    str or None
        None for other events, and for those without a session.

    """
    is_agent = record.kind in KINDS.values()
    return id_text(_event(record.value)["event_properties"].get("Session ID")) if is_agent else None


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield the answers of a session, its scores, and what the user did next.

    Parameters
    ----------
    records : sequence of Record
        The events of one `group_key`, or one event.
    mapping : UserMapping
        Channels of scores and events by name, paths of texts, and names of shown answers.

    Yields
    ------
    Row
        A response, an event, a Skip, or a Reject for an event that cannot be read.

    """

    def read(record: Record) -> Iterator[Row]:
        event = _event(record.value)
        if record.kind == "score":
            return score_rows(event, mapping)
        if record.kind == "other event":
            return event_rows(event, mapping)
        steps.append(_step(event, record, mapping))
        return iter(())

    steps: list[Step] = []
    scores = list(read_parts(records, read, lambda record: (record.file, record.line)))
    session = id_text(steps[0].props.get("Session ID")) if steps else None
    answers = list(_answers(steps, session, mapping)) if steps else []
    shown = sorted(
        (row.shown_at, row.response_id)
        for row in answers
        if isinstance(row, Response) and row.precedence == "answer" and row.shown_at is not None
    )
    yield from answers
    for row in scores:
        if isinstance(row, Event) and session is not None and row.group == session and row.at:
            before = bisect_right(shown, row.at, key=lambda answer: answer[0])
            row.response_id = shown[before - 1][1] if before else row.response_id
        yield row


def _step(event: Props, record: Record, mapping: UserMapping) -> Step:
    props, role = event["event_properties"], ROLES[record.kind]
    at = event_time(event)
    name = id_text(props.get("Message ID") or props.get("Invocation ID")) or insert_id(event)
    if name is None:
        raise InvalidRecord(
            "an event of an agent needs a Message ID or an $insert_id, and has none"
        )
    text, prompt = message_text(props), []
    props = {
        **props,
        "user": mapped(event, mapping, "user", event.get("user_id") or event.get("device_id")),
    }
    if role == "tool":
        output = props.get("Tool Output")
        text = output if isinstance(output, str) else content_text(output)
    elif role == "assistant":
        answered = mapped(event, mapping, "response", None)
        text = text if answered is None else _answer(answered)
        asked = mapped(event, mapping, "prompt", None)
        prompt = [] if asked is None else to_messages(asked)
    bad = "an answer that ended in an error" if props.get("Is Error") is True else ""
    if role == "assistant" and not text:
        bad = bad or (CALL if props.get("Tool Calls") else NO_TEXT)
    number = props.get("Turn ID")
    order = 0.0 if number in (None, "") else finite_number(number, "Turn ID")
    return Step(role, name, text, props, (record.file, record.line), at, order, bad, prompt)


def _answer(answered: Any) -> str:
    try:
        return answer_text(answered)
    except NoAnswer:
        return ""


def _answers(steps: list[Step], session: str | None, mapping: UserMapping) -> Iterator[Row]:
    """Yield the answers that were shown, with their prompts, and those that were not."""
    read = read_session(steps, mapping.shown)
    yield from read.rows
    user = next((u for s in steps if s.role == "user" and (u := id_text(s.props["user"]))), None)
    failed = {name: s.unusable for name, s in read.steps.items() if s.unusable}
    reasons, empty = {*read.hidden.values(), *failed.values()}, set()
    for row in chat_rows(read.tree, "amplitude:", user, session):
        if isinstance(row, Skip) and row.reason in reasons:
            continue  # below, with its name
        if isinstance(row, Skip) and session is None:
            yield Skip(NO_SESSION)
            continue
        if isinstance(row, Event) and (row.channel == "continue" or row.response_id in empty):
            continue  # events have no branches to choose from
        if isinstance(row, Response):
            node = read.tree.nodes[row.response_id.removeprefix("amplitude:")]
            step = read.steps[node.id]
            if not any(m["content"] for m in row.prompt if m["role"] != "system"):
                empty.add(row.response_id)
                yield Skip(NO_PROMPT)
                continue
            row.user_id = id_text(step.props["user"]) or user
            row.span_name = _span_name(step, mapping)
            row.group, row.alias = _turn(step, read.turns[node.id], session), session
            row.parent_span = f"amplitude:turn/{session}/{read.turns[node.id]}"
        yield row
    for name, reason in read.hidden.items():
        step = read.steps[name]
        group = _turn(step, read.turns[name], session)
        fields: dict[str, Any] = {"span_name": _span_name(step, mapping), "place": step.place}
        fields |= {"shown_at": step.at, "unshown": reason, "group": group, "precedence": "hidden"}
        yield Response(f"amplitude:{name}", UNREAD, step.text, **fields)
    for name, reason in failed.items():  # a thumb on a call of tools is about the answer after it
        step = read.steps[name]
        above = f"amplitude:turn/{session}/{read.turns[name]}" if reason == CALL else None
        fields = {"group": _turn(step, read.turns[name], session), "parent_span": above}
        fields |= {"unshown": reason, "precedence": "owner", "place": step.place}
        yield Response(f"amplitude:{name}", [], "", shown_at=step.at, **fields)
    for name, step in read.steps.items():
        about: dict[str, Any] = {"response_id": f"amplitude:{name}", "place": step.place}
        if step.props.get("Was Copied") is True and name not in read.hidden and not step.unusable:
            yield Event("copy", 1.0, "user", actor_id=user, key="copy", **about)
        beside = {k: v for k, v in step.props.items() if PREFIX not in k and k not in KNOWN}
        yield from attribute_signals(beside, mapping, "event property", **about)


KNOWN = frozenset({"user", "$llm_message", "Has User Feedback", "User Score"})


def _turn(step: Step, turn: str, session: str | None) -> str:
    return id_text(step.props.get("Trace ID")) or f"{session or step.name}/{turn}"


def _span_name(step: Step, mapping: UserMapping) -> str | None:
    named = [name for name in step.names if name in mapping.shown]
    return next(iter([*named, *step.names]), None)


SOURCE = Source(
    title="Amplitude Agent Analytics events (Export API, warehouse)",
    levels={"answer": "full", **dict.fromkeys(("message", "tool call", "score", "other event"))},
    record_kind=record_kind,
    rows=rows,
    group_key=group_key,
    covers="`full`, given every event of the agents; content mode `metadata_only` has no texts",
    wider="export all [Agent] events of the period, with content mode full",
    signals={"user-feedback": "thumbs", "user_feedback": "thumbs"},
    mappable=frozenset({"prompt", "response", "user"}),
)
