"""Open WebUI: the feedback export with its snapshots, and the full export of chats."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from trueward.importers.channels import signal
from trueward.importers.contract import (
    ODD,
    Ask,
    Bad,
    Event,
    Record,
    Reject,
    Response,
    Row,
    Skip,
    Source,
)
from trueward.importers.trees import Node, Tree, chat_rows, grown
from trueward.importers.values import moment, said, word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

REASONING = re.compile(r"<details\b[^>]*>.*?</details>\s*", re.DOTALL)


def shape(record: Mapping[str, Any]) -> str | None:
    """Tell a feedback record from a chat."""
    meta, chat = record.get("meta"), record.get("chat")
    if isinstance(meta, dict) and "message_id" in meta and ("type" in record or "data" in record):
        return "feedback"
    return "chat" if isinstance(chat, dict) and isinstance(chat.get("history"), dict) else None


def bundle(record: Record) -> str | None:
    """Keep a chat and the feedback on it together."""
    value = record.value
    return word(value.get("id")) if record.shape == "chat" else _chat_id(value)


def rows(unit: Sequence[Record], _: Ask) -> Iterator[Row]:
    """Give the newest copy of a chat, the feedback on it, and rated answers that it lost since."""
    chats = [r.value for r in unit if r.shape == "chat"]
    ratings = [r.value for r in unit if r.shape == "feedback"]
    snapshots = [s for s in map(_snapshot, ratings) if s]
    whole = sorted(chats or snapshots, key=_age)
    yield from (Skip("an older copy of a chat") for _ in whole[:-1])
    trees = [_tree(chat) for chat in whole[-1:]]
    for chat, tree in zip(whole[-1:], trees, strict=True):
        prefix, user = f"openwebui:{_name(chat)}/", word(chat.get("user_id"))
        current = _history(chat).get("currentId")
        yield from chat_rows(tree, prefix, user, _name(chat), word(current))
        yield from _on_messages(chat, tree, prefix, user)
    for rating in ratings:
        try:
            yield from _rating(rating, trees)
        except (Bad, *ODD):  # one bad rating is no reason to lose the chat
            yield Reject(
                "a rating that cannot be read: it names no chat or message, or has odd values"
            )


def _snapshot(rating: Mapping[str, Any]) -> dict[str, Any] | None:
    held = (rating.get("snapshot") or {}).get("chat")
    return held if isinstance(held, dict) and _history(held).get("messages") else None


def _history(chat: Mapping[str, Any]) -> dict[str, Any]:
    inner = chat.get("chat") if isinstance(chat.get("chat"), dict) else chat
    return (inner or {}).get("history") or {}


def _name(chat: Mapping[str, Any]) -> str:
    return str(chat.get("id"))


def _age(chat: Mapping[str, Any]) -> tuple[float, int, str]:
    """Order copies of one chat: by time, then by how much they hold."""
    at = moment(chat.get("updated_at"))
    held = _history(chat).get("messages") or {}
    return (at.timestamp() if at else 0.0, len(held), repr(sorted(map(str, _messages(chat)))))


def _chat_id(rating: Mapping[str, Any]) -> str | None:
    chat = (rating.get("snapshot") or {}).get("chat") or {}
    return word((rating.get("meta") or {}).get("chat_id")) or word(chat.get("id"))


def _messages(chat: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the messages, which may be an object by id or a list."""
    held = _history(chat).get("messages") or {}
    named = held.items() if isinstance(held, dict) else ((m.get("id"), m) for m in held)
    return [{**m, "id": word(m.get("id")) or str(name)} for name, m in named if isinstance(m, dict)]


def _tree(chat: Mapping[str, Any]) -> Tree:
    return grown(
        Node(
            id=m["id"],
            parent=word(m.get("parentId")),
            role=str(m.get("role")),
            text=_text(m),
            at=moment(m.get("timestamp")),
            model=word(m.get("selectedModelId") or m.get("model")),
            index=m.get("modelIdx") if isinstance(m.get("modelIdx"), int) else None,
            unfit=_unfit(m),
        )
        for m in _messages(chat)
    )


def _unfit(m: Mapping[str, Any]) -> str:
    if m.get("error"):
        return "an answer that ended in an error"
    return "an answer that was not finished" if m.get("done") is False else ""


def _text(m: Mapping[str, Any]) -> str:
    """Give the text as shown: of the output items, else before a change, else the content."""
    items = [i for i in m.get("output") or () if isinstance(i, dict) and i.get("type") == "message"]
    if items:
        return "".join(said(i.get("content")) for i in items).strip()
    text = said(m.get("originalContent") or m.get("content"))
    return REASONING.sub("", text).strip() if m.get("role") == "assistant" else text


def _on_messages(
    chat: Mapping[str, Any], tree: Tree, prefix: str, user: str | None
) -> Iterator[Row]:
    """Give what stands on the messages: a rating, a star, a text that was changed later."""
    for m in _messages(chat):
        node = tree.nodes[m["id"]]
        if (
            node.role != "assistant"
            or node.id in tree.lost
            or node.unfit
            or not node.text
            or not node.parent
        ):
            continue
        about: dict[str, Any] = {
            "response_id": f"{prefix}{node.id}",
            "source": "user",
            "actor_id": user,
        }
        noted = m.get("annotation")
        annotation: dict[str, Any] = noted if isinstance(noted, dict) else {}
        rating = annotation.get("rating", m.get("rating"))
        if rating not in (None, "", 0, "0"):
            yield from _thumb(rating, annotation, about)
        if isinstance(m.get("favorite"), bool):
            yield Event("save", float(m["favorite"]), **about, key="save")
        before, after = m.get("originalContent"), m.get("content")
        if (
            isinstance(before, str)
            and isinstance(after, str)
            and before != after
            and not m.get("output")
        ):
            # a filter or an action of the server sets it too, so 1 is weak and its absence says nothing
            yield Event("edit", _changed(before, after), **about, key="edit")


def _changed(before: str, after: str) -> float:
    """Give the share of characters between the common beginning and the common end."""
    start = _common(before, after)
    same = start + _common(before[start:][::-1], after[start:][::-1])
    return 1 - same / max(len(before), len(after))


def _common(one: str, other: str) -> int:
    """Count the characters with which both begin."""
    return next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )


def _rating(record: Mapping[str, Any], trees: list[Tree]) -> Iterator[Row]:
    """Give a feedback record; where the chat lost the message since, its snapshot has the text."""
    if record.get("type", "rating") != "rating":
        yield Skip(f"feedback of type {record['type']} is no rating")
        return
    chat, message = _chat_id(record), word(record["meta"].get("message_id"))
    if chat is None or message is None:
        raise Bad("a rating names no chat or no message")
    prefix, snapshot = f"openwebui:{chat}/", _snapshot(record)
    if snapshot and not any(message in tree.nodes for tree in trees):
        for row in chat_rows(_tree(snapshot), prefix, word(snapshot.get("user_id")), chat):
            if isinstance(row, Response) and row.response_id == prefix + message:
                row.standing, row.siblings = "echo", None
                yield row
    data = record.get("data") or {}
    about = {
        "response_id": prefix + message,
        "source": "user",
        "at": moment(record.get("updated_at") or record.get("created_at")),
        "event_id": word(record.get("id")),
        "actor_id": word(record.get("user_id")),
        "updated": moment(record.get("updated_at")),
    }
    if data.get("rating") in (None, "", 0, "0"):
        yield Skip("a feedback record without a rating")
    else:
        details = data.get("details") or record.get("details")
        yield from _thumb(data["rating"], {**data, "details": details}, about)


def _thumb(rating: Any, about_it: Mapping[str, Any], about: Mapping[str, Any]) -> Iterator[Row]:
    """Give thumb, grade and comment; the same user's on the same message is one, the newest."""
    user = about.get("actor_id")
    try:
        thumb = signal("thumbs", rating, **{**about, "key": f"thumbs/{user}"})
    except Bad as e:
        yield Reject(str(e))
        return
    thumb.text = word(about_it.get("reason"))
    yield thumb
    details = about_it.get("details")
    grade = details.get("rating") if isinstance(details, dict) else None
    beside = {k: v for k, v in about.items() if k != "event_id"}
    named = about.get("event_id")
    if grade is not None:
        event = named and f"{named}/details"
        yield signal("rating", grade, **{**beside, "key": f"rating/{user}", "event_id": event})
    if about_it.get("comment"):
        event = named and f"{named}/comment"
        more = {**beside, "key": f"comment/{user}", "event_id": event}
        yield Event("comment", 1.0, **more, text=str(about_it["comment"]))


SOURCE = Source(
    title="Open WebUI feedback export and chats",
    levels={"chat": "full", "feedback": "rated_chats_only"},
    shape=shape,
    rows=rows,
    bundle=bundle,
    covers="chats: `full`; the feedback export alone: `rated_chats_only`",
    wider="export all chats (GET /api/v1/chats/all/db, which needs ENABLE_ADMIN_EXPORT)",
    scales={"rating": (1.0, 10.0)},
    available=frozenset({"regenerate", "prompt_edit"}),
)
