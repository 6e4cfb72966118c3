"""Feedback of W&B Weave: reactions, notes, annotations, results of scorers, and types of one's own.

Fields read: ``id``, ``weave_ref``, ``feedback_type``, ``payload``, ``creator``, ``wb_user_id``,
``created_at``. Reactions, notes and types of one's own are users'; ``wandb.annotation.NAME`` is an
annotator's, ``wandb.runnable.NAME`` a judge's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import THUMBS, finite_number, mapped_channel, signal_event
from trueward.importers.contract import Event, InvalidRecord, Row, Skip, UserMapping
from trueward.importers.spans import LABELS, SCORES, stated
from trueward.importers.values import decode_json, id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FEEDBACK = "summary.weave.feedback"
REACTIONS = frozenset({"wandb.reaction.1", "wandb.agent_user_feedback"})
NOTE = "wandb.note.1"
ANNOTATION = "wandb.annotation."
RUNNABLE = "wandb.runnable."
Value = dict[str, Any]


def feedback_rows(
    value: Mapping[str, Any] | None, mapping: UserMapping, **about: Any
) -> Iterator[Row]:
    """Yield the signal of one piece of feedback.

    Parameters
    ----------
    value : mapping or None
        The feedback; None stands for feedback in columns that hold only a part of it.
    mapping : UserMapping
        Channels of feedback by type or name.
    **about
        ``response_id`` and ``group``, if it stands inside its call.

    Yields
    ------
    Row
        An event, or a Skip for what is no signal.

    Raises
    ------
    InvalidRecord
        If it names no type.

    """
    if value is None:
        yield Skip("feedback in columns of a table is not whole: export as JSONL")
        return
    kind = value.get("feedback_type")
    if not isinstance(kind, str):
        raise InvalidRecord("feedback needs a feedback_type, and has none")
    if not about:
        entity, _, own = str(value["weave_ref"]).rpartition("/")
        if not entity.endswith("/call"):
            yield Skip("feedback on an object that is no call")
            return
        about = {"response_id": f"weave:{own}"}
    payload = decode_json(value.get("payload"))
    payload = payload if isinstance(payload, dict) else {"value": payload}
    fields: Value = {
        **about,
        "at": parse_time(value.get("created_at")),
        "event_id": id_text(value.get("id")),
        "actor_id": id_text(value.get("creator") or value.get("wb_user_id")),
    }
    if kind in REACTIONS:
        yield _reaction(kind, payload, fields, mapping)
    elif kind == NOTE:
        yield Event("comment", 1.0, "user", **fields, text=str(payload.get("note") or ""))
    elif kind.startswith(RUNNABLE):
        yield from _judgement(kind.removeprefix(RUNNABLE), payload.get("output"), fields)
    elif kind.startswith(ANNOTATION):
        name = kind.removeprefix(ANNOTATION)
        yield _signal(name, payload.get("value"), fields, mapping, source="annotator")
    else:
        yield from _own_type(kind, payload, fields, mapping)


def _reaction(kind: str, payload: Value, fields: Value, mapping: UserMapping) -> Row:
    emoji = payload.get("detoned") or payload.get("emoji")
    channel = mapped_channel(kind, mapping)
    if channel == THUMBS and mapping.words.meaning(emoji) is None:
        return Skip(
            f"the reaction {emoji!r} is neither up nor down: give it a meaning by --positive or --negative"
        )
    return signal_event(channel or THUMBS, emoji, source="user", **fields)


def _judgement(name: str, output: Any, fields: Value) -> Iterator[Row]:
    """Yield the one number of a scorer's result; it is never a label."""
    found = output if isinstance(output, dict) else {"": output}
    numbers = [v for v in found.values() if isinstance(v, bool | int | float)]
    if len(numbers) == 1:
        # people see the response; a scorer may judge any call
        own = {k: v for k, v in fields.items() if k != "group" or "response_id" not in fields}
        yield Event("rating", finite_number(numbers[0]), "judge", **own)
    else:
        yield Skip(f"a result of the scorer {name!r} that is not one number")


def _signal(
    name: str, value: Any, fields: Value, mapping: UserMapping, source: str = "user"
) -> Row:
    channel = mapped_channel(name, mapping)
    if channel is None:
        return Skip(f"the feedback {name!r} is not mapped")
    value = stated(channel, value, None) if isinstance(value, dict) else value
    if value is None:
        return Skip(f"the feedback {name!r} has no value")
    return signal_event(channel, value, source=source, **fields)


def _own_type(kind: str, payload: Value, fields: Value, mapping: UserMapping) -> Iterator[Row]:
    """Yield feedback of a type of one's own: its value, or the keys of its payload that are mapped."""
    named = {key: f"{kind}.{key}" for key in payload if f"{kind}.{key}" in mapping.signals}
    for key, name in named.items():
        own = {**fields, "event_id": f"{fields['event_id']}/{key}"}
        yield _signal(name, payload[key], own, mapping)
    if named:
        return
    known = [key for key in payload if key in (*LABELS, *SCORES)]
    only = next(iter(payload.values())) if len(payload) == 1 else None
    yield _signal(kind, payload if known else only, fields, mapping)
