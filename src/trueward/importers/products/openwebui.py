"""Open WebUI: the feedback export with its snapshots, and the export of all chats.

Fields read of chats: ``id``, ``user_id``, ``updated_at``, ``chat.params.system`` and ``chat.history``
(``messages``, ``currentId``); of each message ``id``, ``parentId``, ``role``, ``content``,
``originalContent``, ``output``, ``model``, ``selectedModelId``, ``modelIdx``, ``timestamp``, ``done``,
``error``, ``rating``, ``annotation``, ``favorite``, ``files``. Of feedback: ``id``, ``user_id``, ``type``,
``meta`` (``chat_id``, ``message_id``), ``data`` (``rating``, ``reason``, ``comment``, ``details``),
``snapshot.chat``, ``created_at``, ``updated_at``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import signal_event
from trueward.importers.chat_rows import (
    chat_rows,
    message_text,
    rated_message,
    sent_messages,
)
from trueward.importers.contract import (
    WRONG_TYPE,
    Event,
    InvalidRecord,
    Place,
    Record,
    Reject,
    Response,
    Row,
    Skip,
    Source,
    UserMapping,
)
from trueward.importers.messages import content_text
from trueward.importers.trees import Node, Tree, build_tree, node_time
from trueward.importers.values import id_text, parse_time

from ._openwebui_texts import changed_share, passages, shown_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NO_RATING = (None, "", 0, "0")
NO_TEXTS = (
    "the feedback export as CSV has neither prompts nor responses: export it as JSON (Admin Panel, "
    "Evaluations, Feedbacks: GET /api/v1/evaluations/feedbacks/all/export), or all chats"
)


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: feedback, chat, or a row of the feedback table, which has no texts.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        ``feedback``, ``chat`` or ``feedback table``, or None if the record is not of this source.

    """
    meta, chat = record.get("meta"), record.get("chat")
    if {"sibling_model_ids", "chat_id", "rating"} <= record.keys():
        return "feedback table"
    if isinstance(meta, dict) and "message_id" in meta and ("type" in record or "data" in record):
        return "feedback"
    return "chat" if isinstance(chat, dict) and isinstance(chat.get("history"), dict) else None


def group_key(record: Record) -> str | None:
    """Return the id of the chat, so that a chat and its feedback are read together.

    Parameters
    ----------
    record : Record
        A chat or a feedback record.

    Returns
    -------
    str or None
        The id; None if the record has none.

    """
    value = record.value
    if record.kind == "feedback table":
        return None
    return id_text(value.get("id")) if record.kind == "chat" else _chat_id(value)


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield the newest copy of a chat, the feedback on it, and rated answers that it lost since.

    Parameters
    ----------
    records : sequence of Record
        The chats and feedback records of one `group_key`.
    mapping : UserMapping
        Paths of texts, which start at a message.

    Yields
    ------
    Row
        A response, an event, a Skip, or a Reject for a rating that cannot be read.

    Raises
    ------
    InvalidRecord
        If a record cannot be used.

    """
    if records[0].kind == "feedback table":
        raise InvalidRecord(NO_TEXTS)
    ratings = [r for r in records if r.kind == "feedback"]
    chats = [(r.value, (r.file, r.line)) for r in records if r.kind == "chat"]
    snapshots = [(s, (r.file, r.line)) for r in ratings if (s := _snapshot(r.value))]
    copies = sorted(chats or snapshots, key=lambda copy: _age(copy[0]))
    yield from [Skip("an older copy of a chat")] * len(copies[:-1])
    trees = [_tree(chat, place, mapping) for chat, place in copies[-1:]]
    for (chat, _place), tree in zip(copies[-1:], trees, strict=True):
        name, user = str(chat.get("id")), id_text(chat.get("user_id"))
        current, system = id_text(_history(chat).get("currentId")), _system(chat)
        yield from chat_rows(tree, f"openwebui:{name}/", user, name, current, system=system)
        yield from _message_events(chat, tree, f"openwebui:{name}/", user)
    for rating in ratings:
        place = (rating.file, rating.line)
        try:
            yield from _rating(rating.value, trees, place, mapping)
        except (InvalidRecord, *WRONG_TYPE):  # one bad rating must not reject the chat
            yield Reject(
                "a rating that cannot be read: it names no chat or message, or has unexpected values",
                place,
            )


def _snapshot(rating: Mapping[str, Any]) -> dict[str, Any] | None:
    chat = (rating.get("snapshot") or {}).get("chat")
    return chat if isinstance(chat, dict) and _history(chat).get("messages") else None


def _inner(chat: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = chat.get("chat")
    return inner if isinstance(inner, dict) else chat


def _history(chat: Mapping[str, Any]) -> dict[str, Any]:
    return _inner(chat).get("history") or {}


def _system(chat: Mapping[str, Any]) -> str:
    """Return the system prompt of a chat: that of its parameters, in old versions its own."""
    inner = _inner(chat)
    params = inner.get("params")
    system = params.get("system") if isinstance(params, dict) else None
    return content_text(system or inner.get("system")).strip()


def _age(chat: Mapping[str, Any]) -> tuple[float, int, str]:
    """Order the copies of one chat by time, then by their number of messages."""
    at = parse_time(chat.get("updated_at"))
    messages = _history(chat).get("messages") or {}
    text = repr(sorted(map(str, _messages(chat))))
    return (at.timestamp() if at else 0.0, len(messages), text)


def _chat_id(rating: Mapping[str, Any]) -> str | None:
    chat = (rating.get("snapshot") or {}).get("chat") or {}
    return id_text((rating.get("meta") or {}).get("chat_id")) or id_text(chat.get("id"))


def _messages(chat: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the messages, which are an object by id or a list."""
    messages = _history(chat).get("messages") or {}
    pairs = messages.items() if isinstance(messages, dict) else ((m.get("id"), m) for m in messages)
    return [
        {**m, "id": id_text(m.get("id")) or str(name)} for name, m in pairs if isinstance(m, dict)
    ]


def _tree(chat: Mapping[str, Any], place: Place, mapping: UserMapping) -> Tree:
    return build_tree(
        Node(
            id=m["id"],
            parent=id_text(m.get("parentId")),
            role=str(m.get("role")),
            text=message_text(m, mapping, str(m.get("role")), shown_text(m)),
            **node_time(m.get("timestamp")),
            model=id_text(m.get("selectedModelId") or m.get("model")),
            index=i if isinstance(i := m.get("modelIdx"), int) and abs(i) < 2**31 else None,
            unusable=_unusable(m),
            place=place,
            sent=sent_messages(m, mapping) if m.get("role") == "assistant" else [],
            system=passages(m),
        )
        for m in _messages(chat)
    )


def _unusable(m: Mapping[str, Any]) -> str:
    if m.get("error"):
        return "an answer that ended in an error"
    return "an answer that was not finished" if m.get("done") is False else ""


def _message_events(
    chat: Mapping[str, Any], tree: Tree, prefix: str, user: str | None
) -> Iterator[Row]:
    """Yield what is stored with a message: a rating, a star, a later edit."""
    for m in _messages(chat):
        node = tree.nodes[m["id"]]
        annotation = m.get("annotation")
        annotation = annotation if isinstance(annotation, dict) else {}
        rating = annotation.get("rating", m.get("rating"))
        if (problem := rated_message(node, tree)) is not None:
            if rating not in NO_RATING:
                yield problem
            continue
        name = f"{prefix}{node.id}"
        fields: dict[str, Any] = {"response_id": name, "source": "user", "actor_id": user}
        fields["place"] = node.place
        if rating not in NO_RATING:
            yield from _rating_events(rating, annotation, fields)
        if isinstance(m.get("favorite"), bool):
            yield Event("save", float(m["favorite"]), **fields, key="save")
        before, after = m.get("originalContent"), m.get("content")
        is_text = isinstance(before, str) and isinstance(after, str)
        if is_text and before != after and not m.get("output"):
            # a filter of the server also sets originalContent: 1 is weak evidence, absence is none
            yield Event("edit", changed_share(before, after), **fields, key="edit")  # type: ignore[arg-type]


def _rating(
    record: Mapping[str, Any], trees: list[Tree], place: Place, mapping: UserMapping
) -> Iterator[Row]:
    """Yield a feedback record; if the chat lost its message since, the snapshot has the text."""
    if record.get("type", "rating") != "rating":
        yield Skip(f"feedback of type {record['type']} is no rating")
        return
    chat, message = _chat_id(record), id_text(record["meta"].get("message_id"))
    if chat is None or message is None:
        raise InvalidRecord("a rating names no chat or no message")
    prefix, snapshot = f"openwebui:{chat}/", _snapshot(record)
    if snapshot and not any(message in tree.nodes for tree in trees):
        tree, user = _tree(snapshot, place, mapping), id_text(snapshot.get("user_id"))
        for row in chat_rows(tree, prefix, user, chat, system=_system(snapshot)):
            if isinstance(row, Response) and row.response_id == prefix + message:
                row.precedence, row.sibling_group = "echo", None
                yield row
    data = record.get("data") or {}
    fields = {
        "response_id": prefix + message,
        "source": "user",
        "at": parse_time(record.get("updated_at") or record.get("created_at")),
        "event_id": id_text(record.get("id")),
        "actor_id": id_text(record.get("user_id")),
        "updated_at": parse_time(record.get("updated_at")),
        "place": place,
    }
    if data.get("rating") in NO_RATING:
        yield Skip("a feedback record without a rating")
    else:
        details = data.get("details") or record.get("details")
        yield from _rating_events(data["rating"], {**data, "details": details}, fields)


def _rating_events(
    rating: Any, annotation: Mapping[str, Any], fields: Mapping[str, Any]
) -> Iterator[Row]:
    """Yield thumb, grade and comment; of one user and message the newest of each counts."""
    user, event_id = fields.get("actor_id"), fields.get("event_id")
    reason = id_text(annotation.get("reason"))
    try:
        yield signal_event("thumbs", rating, **{**fields, "key": f"thumbs/{user}", "text": reason})
    except InvalidRecord as e:
        yield Reject(str(e), fields.get("place"))
        return
    details = annotation.get("details")
    grade = details.get("rating") if isinstance(details, dict) else None
    if grade is not None:
        more = {"key": f"rating/{user}", "event_id": event_id and f"{event_id}/details"}
        yield signal_event("rating", grade, **{**fields, **more})
    if annotation.get("comment"):
        more = {"key": f"comment/{user}", "event_id": event_id and f"{event_id}/comment"}
        yield Event("comment", 1.0, **{**fields, **more}, text=str(annotation["comment"]))


SOURCE = Source(
    title="Open WebUI feedback export and chats",
    levels={"chat": "full", "feedback": "rated_chats_only", "feedback table": None},
    record_kind=record_kind,
    rows=rows,
    group_key=group_key,
    covers="chats: `full`; the feedback export alone: `rated_chats_only`",
    wider="export all chats (GET /api/v1/chats/all/db, which needs ENABLE_ADMIN_EXPORT)",
    scales={"rating": (1.0, 10.0)},
    always_logged=frozenset({"regenerate", "prompt_edit"}),
    mappable=frozenset({"prompt", "response"}),
)
