"""Dify: the feedback export, and pages of feedbacks and messages of the service API and the console.

Fields read of the export: ``message_id``, ``user_query``, ``ai_response`` (cut to 500 characters),
``feedback_rating_raw``, ``feedback_comment``, ``feedback_source``, ``feedback_date``, ``message_date``,
``conversation_id``, ``from_end_user_id``, ``from_account_name``. Of feedback pages: ``message_id``,
``rating``, ``content``, ``from_source``, ``from_end_user_id``, ``from_account_id``, ``created_at``,
``updated_at``. Of messages: ``id``, ``conversation_id``, ``parent_message_id``, ``query``, ``answer``,
``message``, ``message_files``, ``feedback.rating``, ``feedbacks``, ``annotation.content``, ``status``,
``error``, ``from_end_user_id``, ``created_at``. Feedback with the source ``admin`` is an annotation.
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
from trueward.importers.messages import to_message
from trueward.importers.spans import mapped
from trueward.importers.trees import Node, Tree, build_tree
from trueward.importers.values import id_text, parse_time

from ._dify_texts import passages, sent_prompt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CUT = 500  # characters of an answer in the export
BEFORE = "00000000-0000-0000-0000-000000000000"  # the parent of messages older than regeneration
Placed = tuple[dict[str, Any], Place]


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: feedback (of the export), feedback page or message.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        ``feedback``, ``feedback page`` or ``message``, or None if the record is not of this source.

    """
    keys = record.keys()
    if {"feedback_rating_raw", "ai_response"} <= keys:
        return "feedback"
    if {"message_id", "rating"} <= keys and ("from_end_user_id" in keys or "from_source" in keys):
        return "feedback page"
    return "message" if {"conversation_id", "query", "answer"} <= keys else None


def group_key(record: Record) -> str | None:
    """Return the conversation of a message, whose messages are read together.

    Parameters
    ----------
    record : Record
        Any record.

    Returns
    -------
    str or None
        None for feedback, which names its message.

    """
    return id_text(record.value["conversation_id"]) if record.kind == "message" else None


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield answers as responses, likes and comments as events, and what users did next.

    Parameters
    ----------
    records : sequence of Record
        The messages of one conversation, or one record of feedback.
    mapping : UserMapping
        Paths of texts and of the user.

    Yields
    ------
    Row
        A response, an event, a Skip for what gives neither, or a Reject for a message that cannot be read.

    Raises
    ------
    InvalidRecord
        If a record cannot be used.

    """
    first = records[0]
    value = first.value
    if first.kind == "message":
        yield from _conversation([(r.value, (r.file, r.line)) for r in records], mapping)
    elif first.kind == "feedback":
        yield from _exported(value, mapping)
    else:
        user = id_text(value.get("from_end_user_id"))
        at = parse_time(value.get("updated_at") or value.get("created_at"))
        actor = user or id_text(value.get("from_account_id"))
        comment, source = value.get("content"), value.get("from_source")
        name = f"dify:{value['message_id']}"
        yield from _feedback(name, value["rating"], source, at, comment=comment, actor=actor)


def _conversation(placed: list[Placed], mapping: UserMapping) -> Iterator[Row]:
    """Yield the answers with the turns above each; a page may repeat a message of another."""
    messages: dict[str, Placed] = {}
    for value, place in placed:
        name = id_text(value.get("id"))
        if name is None:
            yield Reject("a message needs an id, and has none", place)
        elif name in messages and messages[name][0].get("answer") != value.get("answer"):
            yield Reject("two messages of one id with different texts", place)
        elif name in messages:
            yield Skip("a copy of a message")
        else:
            messages[name] = (value, place)
    nodes, unread = _nodes(messages, mapping)
    yield from unread
    tree = build_tree(nodes)
    readable = [name for name in messages if name in tree.nodes]
    user = next(filter(None, (_user(messages[name][0], mapping) for name in readable)), None)
    session = id_text(placed[0][0].get("conversation_id"))
    yield from chat_rows(tree, "dify:", user, session)
    for name in readable:
        yield from _signals(messages[name][0], tree.nodes[name], tree, user)


def _nodes(messages: Mapping[str, Placed], mapping: UserMapping) -> tuple[list[Node], list[Row]]:
    """Return a turn of the user and an answer for each message, and the messages that cannot be read.

    Two messages with one parent and one query are one turn that was answered twice. Without a parent a
    message begins the conversation; older versions of Dify have a common parent, or none is exported: such a
    message follows the one before it.
    """
    nodes: list[Node] = []
    unread: list[Row] = []
    turns: dict[tuple[str | None, str], str] = {}
    last: str | None = None
    for name, (value, place) in sorted(messages.items(), key=lambda m: _order(m[1][0], m[0])):
        try:
            at, query = parse_time(value.get("created_at")), _query(value, mapping)
            parent = id_text(value.get("parent_message_id"))
            if "parent_message_id" not in value or parent == BEFORE:
                parent = last
            turn = turns.get((parent, query))
            if turn is None:
                turn = turns[parent, query] = f"{name}/query"
                nodes.append(Node(turn, parent, "user", query, at, place=place))
            text = message_text(
                value, mapping, "assistant", without_thoughts(str(value["answer"] or ""))
            )
            bad = "" if not value.get("error") else "an answer that ended in an error"
            node = Node(name, turn, "assistant", text, at, unusable=bad, place=place)
            node.sent = sent_messages(value, mapping) or sent_prompt(value)
            node.system = passages(value)
            nodes.append(node)
            last = name
        except (InvalidRecord, *WRONG_TYPE) as e:
            unread.append(Reject(f"a message that cannot be read: {e}", place))
    return nodes, unread


def _order(value: Mapping[str, Any], name: str) -> tuple[float, str]:
    try:
        at = parse_time(value.get("created_at"))
    except InvalidRecord:
        at = None
    return (at.timestamp() if at else 0.0, name)


def _query(value: Mapping[str, Any], mapping: UserMapping) -> str:
    """Return the query with a line for each attached file."""
    files = [f for f in value.get("message_files") or () if isinstance(f, dict)]
    sent = [f for f in files if f.get("belongs_to", "user") == "user"]
    attached = ["[image]" if f.get("type") == "image" else "[file]" for f in sent]
    query = message_text(value, mapping, "user", str(value["query"] or ""))
    return "\n".join(filter(None, [query, *attached]))


def _signals(value: Mapping[str, Any], node: Node, tree: Tree, user: str | None) -> Iterator[Row]:
    """Yield the feedback that a message has, and the answer that an annotator wrote."""
    feedback = value.get("feedback")
    rated = feedback.get("rating") if isinstance(feedback, dict) else None
    more = [f for f in value.get("feedbacks") or () if isinstance(f, dict) and f.get("rating")]
    annotation = value.get("annotation")
    corrected = annotation.get("content") if isinstance(annotation, dict) else None
    if not (rated or more or corrected):
        return
    if (problem := rated_message(node, tree)) is not None:
        yield problem
        return
    name = f"dify:{node.id}"
    fields: dict[str, Any] = {"response_id": name, "place": node.place}
    if rated and not more:  # the list has the same feedback, with its source
        key, actor = "thumbs/message", user
        yield signal_event("thumbs", rated, source="user", key=key, actor_id=actor, **fields)
        if comment := feedback.get("content"):  # type: ignore[union-attr]
            said: dict[str, Any] = {
                "key": "comment/message",
                "actor_id": actor,
                "text": str(comment),
            }
            yield Event("comment", 1.0, "user", **fields, **said)
    for each in more:
        actor = id_text(each.get("from_end_user_id")) or id_text(
            (each.get("from_account") or {}).get("id")
        )
        comment, source = each.get("content"), each.get("from_source")
        yield from _feedback(name, each["rating"], source, None, comment=comment, actor=actor)
    if corrected:
        text = str(corrected)
        yield Event("correction", 1.0, "annotator", key="annotation", text=text, **fields)


def _user(value: Mapping[str, Any], mapping: UserMapping) -> str | None:
    return id_text(mapped(value, mapping, "user", value.get("from_end_user_id")))


def _exported(value: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    text = message_text(value, mapping, "assistant", str(value["ai_response"]))
    user = _user(value, mapping)
    name = f"dify:{value['message_id']}"
    if len(text) == CUT + 3 and text.endswith("..."):
        yield Skip(f"an answer cut to {CUT} characters: its full text must come from /v1/messages")
    else:
        yield Response(
            response_id=name,
            prompt=sent_messages(value, mapping)
            or [to_message(message_text(value, mapping, "user", str(value["user_query"])))],
            response=text,
            user_id=user,
            session_id=id_text(value.get("conversation_id")),
            shown_at=parse_time(value.get("message_date")),
            precedence="echo",  # a page of messages has the same answer and more fields
        )
    at, source = parse_time(value.get("feedback_date")), value.get("feedback_source")
    actor = user or id_text(value.get("from_account_name"))
    comment = value.get("feedback_comment")
    yield from _feedback(
        name, value["feedback_rating_raw"], source, at, comment=comment, actor=actor
    )


def _feedback(
    name: str, rating: Any, source: Any, at: Any, *, comment: Any, actor: str | None
) -> Iterator[Row]:
    """Yield a like and its comment; of one message, source and user the latest counts."""
    if not rating:
        yield Skip("feedback without a rating: it was retracted")
        return
    who = "annotator" if source == "admin" else "user"
    fields: dict[str, Any] = {"response_id": name, "source": who}
    fields |= {"at": at, "updated_at": at, "actor_id": actor}
    yield signal_event("thumbs", rating, **fields, key=f"thumbs/{who}/{actor}")
    if comment:
        yield Event("comment", 1.0, **fields, key=f"comment/{who}/{actor}", text=str(comment))


SOURCE = Source(
    title="Dify feedback (export or API pages) and messages",
    levels={"feedback": "rated_only", "feedback page": "rated_only", "message": "rated_chats_only"},
    record_kind=record_kind,
    rows=rows,
    group_key=group_key,
    covers="feedback: `rated_only`; with `/v1/messages` of the same conversations: `rated_chats_only`",
    wider="add the pages of GET /v1/messages for the same conversations",
    always_logged=frozenset({"regenerate", "prompt_edit"}),
    mappable=frozenset({"prompt", "response", "user"}),
)
