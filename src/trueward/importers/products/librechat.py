"""LibreChat: the collections `messages` and `conversations`, and the export of one chat by the interface.

Fields read of conversations and of ``options`` of an export: ``promptPrefix``, ``system``,
``instructions``. Of messages: ``messageId``, ``conversationId``, ``parentMessageId``, ``user``,
``isCreatedByUser``, ``text`` or ``content``, ``model``, ``feedback`` (``rating``, ``tag``, ``text``),
``isTemporary``, ``error``, ``unfinished``, ``createdAt``, ``updatedAt``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import signal_event
from trueward.importers.chat_rows import (
    chat_rows,
    message_text,
    rated_message,
    sent_messages,
    without_thoughts,
)
from trueward.importers.contract import (
    Event,
    Place,
    Record,
    Reject,
    Row,
    Skip,
    Source,
    UserMapping,
)
from trueward.importers.messages import content_text
from trueward.importers.trees import Node, build_tree, node_time
from trueward.importers.values import id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = "00000000-0000-0000-0000-000000000000"
UNUSABLE = {  # flag -> why the message is no response
    "isTemporary": "a message of a temporary chat",
    "error": "an answer that ended in an error",
    "unfinished": "an answer that was not finished",
}
Placed = tuple[dict[str, Any], Place]


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: message, conversation, or export of a conversation by the interface.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        ``message``, ``conversation`` or ``export``, or None if the record is not of this source.

    """
    keys = record.keys()
    if {"messageId", "conversationId", "isCreatedByUser"} <= keys:
        return "message"
    if "conversationId" not in keys or "endpoint" not in keys:
        return None
    messages = record.get("messages")
    has_messages = isinstance(messages, list) and any(_is_message(m) for m in messages)
    return "export" if has_messages or "exportAt" in keys else "conversation"


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and "isCreatedByUser" in value


def group_key(record: Record) -> str | None:
    """Return the conversation, whose messages are read together.

    Parameters
    ----------
    record : Record
        A message, a conversation or an export.

    Returns
    -------
    str
        Its id.

    """
    return str(record.value["conversationId"])


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield the answers of a conversation, the implicit signals of its user, and the thumbs.

    Parameters
    ----------
    records : sequence of Record
        The messages of one `group_key`.
    mapping : UserMapping
        Paths of texts, which start at a message.

    Yields
    ------
    Row
        A response, an event, a Skip, or a Reject for messages that conflict.

    Raises
    ------
    InvalidRecord
        If a record cannot be used.

    """
    users: dict[str | None, list[Placed]] = {}  # two users may have messages of one id
    systems: dict[str | None, str] = {}
    for record in records:
        user = id_text(record.value.get("user"))
        if record.kind == "message":
            users.setdefault(user, []).append((record.value, (record.file, record.line)))
            continue
        options = record.value.get("options") if record.kind == "export" else record.value
        if record.kind == "export":
            found = list(_below(record.value.get("messages")))
            user = user or next((u for m in found if (u := id_text(m.get("user")))), None)
            users.setdefault(user, []).extend((m, (record.file, record.line)) for m in found)
            if not found:
                yield Skip("an export of a conversation without messages")
        options = options if isinstance(options, dict) else {}
        keys = ("promptPrefix", "system", "instructions")
        systems[user] = next((str(options[k]).strip() for k in keys if options.get(k)), "")
    session = id_text(records[0].value["conversationId"])
    for user, messages in users.items():
        system = systems.get(user, systems.get(None, "") if len(users) == 1 else "")
        yield from _conversation(messages, user, session, system, mapping)


def _below(messages: Any) -> Iterator[dict[str, Any]]:
    """Yield messages and those in their ``children``, without recursion."""
    stack = list(messages) if isinstance(messages, list) else []
    while stack:
        message = stack.pop()
        if _is_message(message):
            yield {k: v for k, v in message.items() if k != "children"}
        if isinstance(message, dict) and isinstance(message.get("children"), list):
            stack += message["children"]


def _conversation(
    placed: list[Placed],
    user: str | None,
    session: str | None,
    system: str,
    mapping: UserMapping,
) -> Iterator[Row]:
    messages, conflicts = _one_per_id(placed)
    yield from [Skip("an older copy of a message")] * (len(placed) - len(messages) - len(conflicts))
    reason = "two messages of one id with different texts, as new as each other"
    yield from (Reject(reason, place) for _, place in conflicts)
    tree = build_tree(_node(m, place, mapping) for m, place in messages)
    prefix = f"librechat:{session}/"
    yield from chat_rows(tree, prefix, user, session, system=system)
    for m, _ in messages:
        node, feedback = tree.nodes[str(m["messageId"])], m.get("feedback")
        if not isinstance(feedback, dict) or not (feedback.get("rating") or feedback.get("text")):
            continue
        problem = rated_message(node, tree)
        if problem is not None:
            yield problem
        else:
            yield from _feedback(prefix + node.id, feedback, m, user, node.place)


def _one_per_id(messages: list[Placed]) -> tuple[list[Placed], list[Placed]]:
    """Keep the newest copy of each id; return also the copies that are as new but differ in text."""
    groups: dict[str, list[Placed]] = {}
    for m, place in messages:
        groups.setdefault(str(m["messageId"]), []).append((m, place))
    kept, conflicts = [], []
    for copies in groups.values():
        newest = max(_updated_at(m) for m, _ in copies)
        latest = [copy for copy in copies if _updated_at(copy[0]) == newest]
        if len({_text(m) for m, _ in latest}) > 1:
            conflicts += copies
        else:
            kept.append(min(latest, key=lambda c: repr(sorted(c[0].items(), key=lambda i: i[0]))))
    return kept, conflicts


def _updated_at(m: Mapping[str, Any]) -> float:
    at = parse_time(m.get("updatedAt"))
    return at.timestamp() if at else 0.0


def _node(m: Mapping[str, Any], place: Place, mapping: UserMapping) -> Node:
    parent = id_text(m.get("parentMessageId"))
    role = "user" if m["isCreatedByUser"] else "assistant"
    return Node(
        id=str(m["messageId"]),
        parent=None if parent == ROOT else parent,
        role=role,
        text=message_text(m, mapping, role, _text(m)),
        **node_time(m.get("createdAt")),
        model=id_text(m.get("model")),
        unusable=next((reason for key, reason in UNUSABLE.items() if m.get(key)), ""),
        place=place,
        sent=sent_messages(m, mapping) if role == "assistant" else [],
        results=_results(m),
    )


def _results(m: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what tools gave, which the model read before the text after them."""
    content = m.get("content")
    parts = [p for p in content if isinstance(p, dict)] if isinstance(content, list) else []
    calls = [p.get("tool_call") for p in parts if p.get("type") == "tool_call"]
    outputs = [c.get("output") for c in calls if isinstance(c, dict)]
    return [{"role": "tool", "content": o} for o in outputs if isinstance(o, str) and o]


def _text(m: Mapping[str, Any]) -> str:
    """Return the text, or if it is empty the parts of type text; with a line for each file of the user."""
    if m.get("text"):
        lines = [without_thoughts(content_text(m["text"]))]
    else:
        parts = [p for p in m.get("content") or [] if isinstance(p, dict)]
        lines = [content_text(p.get("text")) for p in parts if p.get("type") == "text"]
    if m.get("isCreatedByUser"):
        files = [f for f in m.get("files") or () if isinstance(f, dict)]
        images = (str(f.get("type")).startswith("image") for f in files)
        lines += ["[image]" if is_image else "[file]" for is_image in images]
    return "\n".join(filter(None, lines))


def _feedback(
    name: str,
    feedback: Mapping[str, Any],
    m: Mapping[str, Any],
    user: str | None,
    place: Place | None,
) -> Iterator[Row]:
    """Yield the thumb and the comment; tags have names of the deployment, and are kept as text only."""
    at = parse_time(m.get("updatedAt"))
    fields: dict[str, Any] = {"response_id": name, "source": "user", "actor_id": user, "at": at}
    fields["place"] = place
    if feedback.get("rating"):
        tag = feedback.get("tag")
        text = id_text(tag.get("key") if isinstance(tag, dict) else tag)
        yield signal_event("thumbs", feedback["rating"], **fields, key="thumbs", text=text)
    if feedback.get("text"):
        yield Event("comment", 1.0, **fields, key="comment", text=str(feedback["text"]))


SOURCE = Source(
    title="LibreChat messages (mongoexport or JSON of the collection), exports of the interface",
    levels={"message": "full", "export": "full", "conversation": None},
    record_kind=record_kind,
    rows=rows,
    group_key=group_key,
    covers="`full`; do not also read the Langfuse scores that recent versions forward",
    wider="export the whole collection, with messages that have no feedback",
    always_logged=frozenset({"regenerate", "prompt_edit"}),
    mappable=frozenset({"prompt", "response"}),
)
