"""AnythingLLM: its export of chats as JSON or CSV, rows of its tables, and pages and histories of its API.

Fields read of an export: ``id``, ``prompt``, ``response``, ``rating``, ``username``, ``workspace``,
``sent_at``, ``attachments``. Of the tables ``workspace_chats`` and ``embed_chats``: ``id``, ``workspaceId``,
``thread_id``, ``user_id``, ``api_session_id``, ``session_id``, ``prompt``, ``response`` (JSON with ``text``,
``sources``, ``attachments``, ``metrics.model``), ``include``, ``createdAt``, ``feedbackScore``, and
``openAiPrompt``, if a query joins the workspace. Of a history: ``role``, ``content``, ``chatId``, ``sentAt``,
``feedbackScore``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import signal_event
from trueward.importers.chat_rows import chat_rows, message_text, rated_message, without_thoughts
from trueward.importers.contract import (
    WRONG_TYPE,
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
from trueward.importers.spans import mapped, reason_of
from trueward.importers.trees import Node, build_tree, node_time
from trueward.importers.values import decode_json, id_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NOBODY = {"API", "unknown user", "deleted user"}  # names in place of a user
UNRATED = (None, "", "--")
Value = dict[str, Any]
Placed = tuple[Value, Place]


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: chat, chat of an embed, row of an export, history or page.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        None if the record is not of this source.

    """
    keys = record.keys()
    if {"prompt", "response"} <= keys and "workspaceId" in keys:
        return "chat"
    if {"prompt", "response", "embed_id"} <= keys:
        return "embed chat"
    if {"id", "prompt", "response", "workspace", "sent_at"} <= keys:
        return "export"
    history, chats = record.get("history"), record.get("chats")
    if isinstance(history, list) and history and {"role", "chatId"} <= history[-1].keys():
        return "history"
    if isinstance(chats, list) and chats and record_kind(chats[0]) in {"chat", "embed chat"}:
        return "page"
    return None


def group_key(record: Record) -> str | None:
    """Return the thread of a chat, whose turns are read together; an export names none.

    Parameters
    ----------
    record : Record
        Any record.

    Returns
    -------
    str or None
        None for a record that stands by itself.

    """
    is_row = record.kind in {"chat", "embed chat"}
    return _part(record.value) if is_row else None


def _thread(value: Mapping[str, Any]) -> str:
    keys = ("workspaceId", "embed_id", "thread_id", "user_id", "api_session_id", "session_id")
    return "/".join(f"{key[0]}{id_text(value.get(key)) or ''}" for key in keys)


def _part(value: Mapping[str, Any]) -> str:
    """Return the thread and whether a chat still belongs to it: one that was cleared is no context."""
    return f"{_thread(value)}/{value.get('include') in (False, 0, '0', 'false')}"


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield the answers of a thread, and their thumbs.

    Parameters
    ----------
    records : sequence of Record
        The chats of one `group_key`, or one record of another kind.
    mapping : UserMapping
        Paths of texts and of the user.

    Yields
    ------
    Row
        A response, an event, a Skip, or a Reject for a chat that cannot be read.

    """
    first = records[0]
    place = (first.file, first.line)
    if first.kind in {"chat", "embed chat"}:
        yield from _turns([(r.value, (r.file, r.line)) for r in records], mapping)
    elif first.kind == "page":
        threads: dict[str, list[Placed]] = {}
        for chat in first.value["chats"]:
            threads.setdefault(_part(chat), []).append((chat, place))
        for thread in threads.values():
            yield from _turns(thread, mapping)
    elif first.kind == "history":
        yield from _turns([(chat, place) for chat in _pairs(first.value["history"])], mapping)
    else:
        yield from _turns([(first.value, place)], mapping)


def _pairs(history: Sequence[Value]) -> Iterator[Value]:
    """Yield the questions of a history with their answers."""
    asked: Value = {}
    for message in history:
        if message.get("role") == "user":
            asked = message
            continue
        texts = {"prompt": asked.get("content"), "response": message.get("content")}
        inner = {key: asked.get(key) or message.get(key) for key in ("attachments", "sources")}
        rated = {"feedbackScore": message.get("feedbackScore"), "createdAt": message.get("sentAt")}
        yield {"id": message.get("chatId"), **texts, **inner, **rated}


def _turns(placed: list[Placed], mapping: UserMapping) -> Iterator[Row]:
    """Yield the answers of a thread with the turns before each."""
    chats: dict[str, Placed] = {}
    conflicts: set[str] = set()
    for value, place in placed:
        name = id_text(value.get("id"))
        if name is None:
            yield Reject("a chat needs an id, and has none", place)
        elif name in chats and _texts(chats[name][0]) != _texts(value):
            conflicts.add(name)
            yield Reject("two chats of one id with different texts", place)
        elif name in chats:
            yield Skip("a copy of a chat")
        else:
            chats[name] = (value, place)
    for name in conflicts:
        yield Reject("two chats of one id with different texts", chats.pop(name)[1])
    value = placed[0][0]
    prefix = "anythingllm:embed/" if "embed_id" in value else "anythingllm:"
    nodes: list[Node] = []
    last: str | None = None
    for name, (chat, place) in sorted(chats.items(), key=lambda c: _number(c[0])):
        try:
            nodes += _nodes(name, chat, place, last, mapping)
            last = name
        except (InvalidRecord, *WRONG_TYPE) as e:
            yield Reject(reason_of(e), place)
    tree = build_tree(nodes)
    session = _thread(value) if "workspaceId" in value or "embed_id" in value else None
    for row in chat_rows(tree, prefix, None, session):
        if isinstance(row, Response):
            chat = chats[row.response_id.removeprefix(prefix)][0]
            row.user_id = _user(chat, mapping)
        yield row
    for name, (chat, place) in chats.items():
        stated = chat.get("feedbackScore", chat.get("rating"))
        if stated in UNRATED or name not in tree.nodes:
            continue
        if (problem := rated_message(tree.nodes[name], tree)) is not None:
            yield problem
            continue
        user = _user(chat, mapping)
        fields: dict[str, Any] = {"source": "user", "actor_id": user, "place": place}
        yield signal_event("thumbs", stated, response_id=prefix + name, key="thumbs", **fields)


def _texts(value: Mapping[str, Any]) -> tuple[Any, Any]:
    return value.get("prompt"), value.get("response")


def _number(name: str) -> tuple[int, str]:
    """Order ids as the database counts them."""
    return (int(name), "") if name.isdecimal() else (0, name)


def _nodes(
    name: str, chat: Value, place: Place, before: str | None, mapping: UserMapping
) -> list[Node]:
    inner = _response(chat)
    answer = inner.get("text")
    answer = answer if isinstance(answer, str) else ""
    attached = decode_json(inner.get("attachments") or chat.get("attachments"), 1)
    files = [f for f in attached or () if isinstance(f, dict)] if isinstance(attached, list) else []
    kinds = [str(f.get("mime") or f.get("type")) for f in files]
    lines = ["[image]" if "image" in kind else "[file]" for kind in kinds]
    asked = message_text(chat, mapping, "user", str(chat.get("prompt") or ""))
    said = message_text(chat, mapping, "assistant", without_thoughts(answer))
    time = node_time(chat.get("createdAt") or chat.get("sent_at"))
    metrics = inner.get("metrics")
    model = id_text(metrics.get("model")) if isinstance(metrics, dict) else None
    question = Node(f"{name}/prompt", before, "user", "\n".join(filter(None, [asked, *lines])))
    question.at, question.place = time["at"], place
    if not question.text:
        raise InvalidRecord("its prompt has no text")
    node = Node(name, question.id, "assistant", said, **time, model=model, place=place)
    node.system = _system(chat)
    return [question, node]


def _response(chat: Mapping[str, Any]) -> Value:
    """Return the parts of a response: JSON in the tables, text in exports and histories."""
    is_row = "workspaceId" in chat or "embed_id" in chat
    inner = decode_json(chat.get("response"), 1) if is_row else None
    if isinstance(inner, dict):
        return inner
    return {"text": chat.get("response"), "sources": chat.get("sources")}


def _system(chat: Mapping[str, Any]) -> str:
    """Return what stands before the chat: the prompt of its workspace, and the passages that were found."""
    sources = _response(chat).get("sources")
    found = (
        [s.get("text") for s in sources if isinstance(s, dict)] if isinstance(sources, list) else []
    )
    return "\n\n".join(filter(None, map(content_text, [chat.get("openAiPrompt"), *found])))


def _user(chat: Mapping[str, Any], mapping: UserMapping) -> str | None:
    user = chat.get("user")
    name = user.get("username") if isinstance(user, dict) else chat.get("username")
    name = None if name in NOBODY else name
    own = chat.get("user_id") or chat.get("usersId") or name
    return id_text(mapped(chat, mapping, "user", own))


SOURCE = Source(
    title="AnythingLLM chats (export as JSON or CSV, tables, API pages)",
    levels=dict.fromkeys(("chat", "embed chat", "export", "history", "page"), "full"),
    record_kind=record_kind,
    rows=rows,
    group_key=group_key,
    covers="`full`; the export as JSONL or Alpaca has neither ids nor ratings",
    wider="export the chats as JSON or CSV, not as JSONL or Alpaca, which have no ratings",
    mappable=frozenset({"prompt", "response", "user"}),
)
