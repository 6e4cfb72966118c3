"""LibreChat: the collection `messages`, as mongoexport or a driver writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import signal
from trueward.importers.contract import Ask, Event, Record, Reject, Row, Skip, Source
from trueward.importers.trees import Node, chat_rows, grown
from trueward.importers.values import moment, said, word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = "00000000-0000-0000-0000-000000000000"


def shape(record: Mapping[str, Any]) -> str | None:
    """Know a message."""
    return (
        "message" if {"messageId", "conversationId", "isCreatedByUser"} <= record.keys() else None
    )


def bundle(record: Record) -> str | None:
    """Keep the messages of a conversation together."""
    return f"{record.value['conversationId']}\n{record.value.get('user')}"


def rows(unit: Sequence[Record], _: Ask) -> Iterator[Row]:
    """Give the answers of a conversation, what its user did, and the thumbs."""
    messages, torn = _one_each([record.value for record in unit])
    yield from (Skip("an older copy of a message") for _ in range(len(unit) - len(messages) - torn))
    yield from (
        Reject("two messages of one id with different texts, as new as each other")
        for _ in range(torn)
    )
    user, session = word(unit[0].value.get("user")), word(unit[0].value["conversationId"])
    tree = grown(_node(m) for m in messages)
    prefix = f"librechat:{session}/"  # two users may hold messages of one id
    yield from chat_rows(tree, prefix, user, session)
    for m in messages:
        node, feedback = tree.nodes[str(m["messageId"])], m.get("feedback")
        if node.id in tree.lost or node.unfit or not node.text or not isinstance(feedback, dict):
            continue
        yield from _feedback(prefix + node.id, feedback, m, user)


def _one_each(found: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """Keep the newest of each id; of two that are as new and differ in text, neither."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for m in found:
        groups.setdefault(str(m["messageId"]), []).append(m)
    kept, torn = [], 0
    for copies in groups.values():
        newest = max(_updated(m) for m in copies)
        last = [m for m in copies if _updated(m) == newest]
        if len({_text(m) for m in last}) > 1:
            torn += len(copies)
        else:
            kept.append(min(last, key=lambda m: repr(sorted(m.items(), key=lambda item: item[0]))))
    return kept, torn


def _updated(m: Mapping[str, Any]) -> float:
    at = moment(m.get("updatedAt"))
    return at.timestamp() if at else 0.0


def _node(m: Mapping[str, Any]) -> Node:
    parent = word(m.get("parentMessageId"))
    return Node(
        id=str(m["messageId"]),
        parent=None if parent == ROOT else parent,
        role="user" if m["isCreatedByUser"] else "assistant",
        text=_text(m),
        at=moment(m.get("createdAt")),
        model=word(m.get("model")),
        unfit=_unfit(m),
    )


def _unfit(m: Mapping[str, Any]) -> str:
    reasons = {
        "isTemporary": "a message of a temporary chat",
        "error": "an answer that ended in an error",
        "unfinished": "an answer that was not finished",
    }
    return next((reason for key, reason in reasons.items() if m.get(key)), "")


def _text(m: Mapping[str, Any]) -> str:
    """Give the text, or where that is empty the parts of type text."""
    if m.get("text"):
        return said(m["text"])
    parts = m.get("content") or []
    return "".join(
        said(p.get("text")) for p in parts if isinstance(p, dict) and p.get("type") == "text"
    )


def _feedback(
    name: str, feedback: Mapping[str, Any], m: Mapping[str, Any], user: str | None
) -> Iterator[Row]:
    """Give the thumb; the tag, which deployments name as they like, says nothing of good and bad."""
    at = moment(m.get("updatedAt"))
    about: dict[str, Any] = {"response_id": name, "source": "user", "actor_id": user, "at": at}
    if feedback.get("rating"):
        tag = feedback.get("tag")
        thumb = signal("thumbs", feedback["rating"], **about, key="thumbs")
        thumb.text = word(tag.get("key") if isinstance(tag, dict) else tag)
        yield thumb
    if feedback.get("text"):
        yield Event("comment", 1.0, **about, key="comment", text=str(feedback["text"]))


SOURCE = Source(
    title="LibreChat messages (mongoexport or JSON of the collection)",
    levels={"message": "full"},
    shape=shape,
    rows=rows,
    bundle=bundle,
    covers="`full`; do not also read the Langfuse scores that recent versions forward",
    wider="export the whole collection, with messages that have no feedback",
    available=frozenset({"regenerate", "prompt_edit"}),
)
