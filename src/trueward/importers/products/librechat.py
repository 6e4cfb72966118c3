"""LibreChat: the collection `messages`, as mongoexport or a driver writes it.

Fields read: ``messageId``, ``conversationId``, ``parentMessageId``, ``user``, ``isCreatedByUser``, ``text``
or ``content``, ``model``, ``feedback`` (``rating``, ``tag``, ``text``), ``isTemporary``, ``error``,
``unfinished``, ``createdAt``, ``updatedAt``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import signal_event
from trueward.importers.contract import Event, Record, Reject, Row, Skip, Source, UserMapping
from trueward.importers.messages import content_text
from trueward.importers.trees import Node, build_tree, chat_rows
from trueward.importers.values import id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = "00000000-0000-0000-0000-000000000000"
UNUSABLE = {  # flag -> why the message is no response
    "isTemporary": "a message of a temporary chat",
    "error": "an answer that ended in an error",
    "unfinished": "an answer that was not finished",
}


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: message.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        ``message``, or None if the record is not of this source.

    """
    needed = {"messageId", "conversationId", "isCreatedByUser"}
    return "message" if needed <= record.keys() else None


def group_key(record: Record) -> str | None:
    """Return the conversation and the user, whose messages are read together.

    Parameters
    ----------
    record : Record
        A message.

    Returns
    -------
    str
        The two ids, joined by a line break.

    """
    return f"{record.value['conversationId']}\n{record.value.get('user')}"


def rows(records: Sequence[Record], _: UserMapping) -> Iterator[Row]:
    """Yield the answers of a conversation, the implicit signals of its user, and the thumbs.

    Parameters
    ----------
    records : sequence of Record
        The messages of one `group_key`.
    _ : UserMapping
        Unused: this source has no names to map.

    Yields
    ------
    Row
        A response, an event, a Skip, or a Reject for messages that conflict.

    Raises
    ------
    InvalidRecord
        If a record cannot be used.

    """
    messages, conflicts = _one_per_id([record.value for record in records])
    older = len(records) - len(messages) - conflicts
    yield from [Skip("an older copy of a message")] * older
    reason = "two messages of one id with different texts, as new as each other"
    yield from [Reject(reason)] * conflicts
    user = id_text(records[0].value.get("user"))
    session = id_text(records[0].value["conversationId"])
    tree = build_tree(_node(m) for m in messages)
    prefix = f"librechat:{session}/"  # two users may have messages of one id
    yield from chat_rows(tree, prefix, user, session)
    for m in messages:
        node, feedback = tree.nodes[str(m["messageId"])], m.get("feedback")
        is_response = node.id not in tree.lost and not node.unusable and node.text
        if is_response and isinstance(feedback, dict):
            yield from _feedback(prefix + node.id, feedback, m, user)


def _one_per_id(messages: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """Keep the newest copy of each id, and count copies that are as new but differ in text."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for m in messages:
        groups.setdefault(str(m["messageId"]), []).append(m)
    kept, conflicts = [], 0
    for copies in groups.values():
        newest = max(_updated_at(m) for m in copies)
        latest = [m for m in copies if _updated_at(m) == newest]
        if len({_text(m) for m in latest}) > 1:
            conflicts += len(copies)
        else:
            kept.append(min(latest, key=lambda m: repr(sorted(m.items(), key=lambda i: i[0]))))
    return kept, conflicts


def _updated_at(m: Mapping[str, Any]) -> float:
    at = parse_time(m.get("updatedAt"))
    return at.timestamp() if at else 0.0


def _node(m: Mapping[str, Any]) -> Node:
    parent = id_text(m.get("parentMessageId"))
    return Node(
        id=str(m["messageId"]),
        parent=None if parent == ROOT else parent,
        role="user" if m["isCreatedByUser"] else "assistant",
        text=_text(m),
        at=parse_time(m.get("createdAt")),
        model=id_text(m.get("model")),
        unusable=next((reason for key, reason in UNUSABLE.items() if m.get(key)), ""),
    )


def _text(m: Mapping[str, Any]) -> str:
    """Return the text, or if it is empty the parts of type text."""
    if m.get("text"):
        return content_text(m["text"])
    parts = [p for p in m.get("content") or [] if isinstance(p, dict) and p.get("type") == "text"]
    return "".join(content_text(p.get("text")) for p in parts)


def _feedback(
    name: str, feedback: Mapping[str, Any], m: Mapping[str, Any], user: str | None
) -> Iterator[Row]:
    """Yield the thumb and the comment; tags have names of the deployment, and are kept as text only."""
    at = parse_time(m.get("updatedAt"))
    fields: dict[str, Any] = {"response_id": name, "source": "user", "actor_id": user, "at": at}
    if feedback.get("rating"):
        tag = feedback.get("tag")
        text = id_text(tag.get("key") if isinstance(tag, dict) else tag)
        yield signal_event("thumbs", feedback["rating"], **fields, key="thumbs", text=text)
    if feedback.get("text"):
        yield Event("comment", 1.0, **fields, key="comment", text=str(feedback["text"]))


SOURCE = Source(
    title="LibreChat messages (mongoexport or JSON of the collection)",
    levels={"message": "full"},
    record_kind=record_kind,
    rows=rows,
    group_key=group_key,
    covers="`full`; do not also read the Langfuse scores that recent versions forward",
    wider="export the whole collection, with messages that have no feedback",
    always_logged=frozenset({"regenerate", "prompt_edit"}),
)
