"""ChatGPT: `conversations.json` of a data export, with feedback and comparisons beside it.

Fields read of conversations: ``conversation_id`` or ``id``, ``current_node``, and of ``mapping`` for each
node ``id``, ``parent`` and ``message`` (``author.role``, ``content``, ``create_time``, ``status``,
``recipient``, ``metadata.model_slug``, ``metadata.is_visually_hidden_from_conversation``). Of feedback:
``message_id`` or ``id``, ``conversation_id``, ``user_id``, ``rating``, ``content``, ``create_time``. Of
comparisons: ``input.conversation_id`` and ``output.feedback_step_2``.
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
from trueward.importers.trees import Node, Tree, build_tree, node_time
from trueward.importers.values import decode_json, id_text, parse_time

from ._chatgpt_comparisons import comparison_rows, is_comparison

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

ROLES = ("user", "assistant", "system")
SHOWN = ("text", "multimodal_text", "code")  # content types with text
INSTRUCTIONS = "user_editable_context"


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: conversation, feedback, comparison, or one of another file of the export.

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
    if isinstance(record.get("mapping"), dict) and ("current_node" in keys or "title" in keys):
        return "conversation"
    if is_comparison(record):
        return "comparison"
    if any(names <= keys for names in NO_ANSWERS):
        return "other"
    is_feedback = {"conversation_id", "rating"} <= keys and ("message_id" in keys or "id" in keys)
    return "feedback" if is_feedback and keys.isdisjoint(OTHERS) else None


NO_ANSWERS = ({"email", "chatgpt_plus_user"}, {"conversation_id", "title", "is_anonymous"})
OTHERS = frozenset(  # keys of ratings by other products, or of tables with the texts
    "app_id from_source run_id trace_id prompt query question response answer messages user_query chat_id"  # noqa: SIM905
    " ai_response input output model conversation index".split()
)


def group_key(record: Record) -> str | None:
    """Return the conversation, which is read with the feedback on it.

    Parameters
    ----------
    record : Record
        A conversation, feedback on it or a comparison in it.

    Returns
    -------
    str or None
        Its id; None for other files.

    """
    value = record.value
    if record.kind == "other":
        return None
    if record.kind == "comparison":
        return id_text(value["input"]["conversation_id"])
    return id_text(value.get("conversation_id") or value.get("id"))


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield the answers of a conversation, the thumbs, and what the user did next.

    Parameters
    ----------
    records : sequence of Record
        The conversation and the feedback of one `group_key`.
    mapping : UserMapping
        Paths of texts, which start at a message.

    Yields
    ------
    Row
        A response, an event, a Skip, or a Reject for feedback without its answer.

    Raises
    ------
    InvalidRecord
        If a record cannot be used.

    """
    if records[0].kind == "other":
        yield Skip("another file of the export (user, shared links)")
        return
    chats = sorted((r for r in records if r.kind == "conversation"), key=_age)
    ratings = [r for r in records if r.kind == "feedback"]
    yield from [Skip("an older copy of a conversation")] * len(chats[:-1])
    users = [id_text(r.value.get("user_id")) for r in ratings]
    user = next(filter(None, users), None)
    name, tree = group_key(records[0]), build_tree([])
    prefix = f"chatgpt:{name}/"
    for chat in chats[-1:]:
        texts = _texts(chat.value["mapping"], mapping)
        tree = _tree(chat.value["mapping"], texts, (chat.file, chat.line), mapping)
        current = _visible(id_text(chat.value.get("current_node")), chat.value["mapping"], texts)
        system = _instructions(chat.value["mapping"])
        yield from chat_rows(tree, prefix, user, name, current, system=system)
    given = chats[-1].value["mapping"] if chats and ratings else {}
    answers = [n.id for n in tree.nodes.values() if given and n.role == "assistant"]
    steps = {step: n for n in answers for step in _between(n, given, tree.nodes)}
    for record in records:
        if record.kind == "feedback":
            yield from _rating(record, tree, prefix, steps)
        elif record.kind == "comparison":
            place = (record.file, record.line)
            yield from comparison_rows(record.value, tree, prefix, place)


def _age(record: Record) -> tuple[float, int]:
    at = parse_time(record.value.get("update_time"))
    return (at.timestamp() if at else 0.0, len(record.value["mapping"]))


def _message(node: Any) -> dict[str, Any]:
    message = node.get("message") if isinstance(node, dict) else None
    return message if isinstance(message, dict) else {}


def _texts(nodes: Mapping[str, Any], mapping: UserMapping) -> dict[str, str]:
    """Return the texts of turns that were shown: no tool, no hidden message, no call of a tool."""
    texts = {}
    for name, node in nodes.items():
        message = _message(node)
        role = (message.get("author") or {}).get("role")
        hidden = (message.get("metadata") or {}).get("is_visually_hidden_from_conversation")
        if role not in ROLES or hidden or message.get("recipient") not in (None, "all"):
            continue
        text = message_text(message, mapping, role, _text(message.get("content") or {}))
        if text:
            texts[name] = text
    return texts


def _text(content: Any) -> str:
    """Return the text of a content, with a line for each image; thoughts and tool output have none."""
    if not isinstance(content, dict):
        return content_text(content)
    if content.get("content_type") not in SHOWN:
        return ""
    parts = content.get("parts")
    if not isinstance(parts, list):
        return content_text(content.get("text"))
    lines = []
    for part in parts:
        is_image = isinstance(part, dict) and "image" in str(part.get("content_type"))
        lines.append("[image]" if is_image else content_text(part))
    return "\n".join(filter(None, lines))


def _instructions(nodes: Mapping[str, Any]) -> str:
    """Return the custom instructions of the user, which are hidden and which the model reads."""
    contents = [_message(node).get("content") for node in nodes.values()]
    given = (c for c in contents if isinstance(c, dict) and c.get("content_type") == INSTRUCTIONS)
    parts = next(([c.get("user_profile"), c.get("user_instructions")] for c in given), [])
    return "\n\n".join(filter(None, map(content_text, parts)))


def _between(name: str, nodes: Mapping[str, Any], texts: Container[str]) -> list[str]:
    """Return the nodes between an answer and the turn before it, the last first."""
    between = {name: None}
    above = id_text(nodes[name].get("parent"))
    while above in nodes and above not in texts and above not in between:
        between[str(above)] = None
        above = id_text(nodes[str(above)].get("parent"))
    return list(between)[1:]


def _results(name: str, nodes: Mapping[str, Any], texts: Container[str]) -> list[dict[str, str]]:
    """Return what tools gave between the turn before and an answer."""
    results: list[dict[str, str]] = []
    for above in reversed(_between(name, nodes, texts)):
        message = _message(nodes[above])
        if (message.get("author") or {}).get("role") == "tool":
            content = message.get("content") or {}
            text = _text({**content, "content_type": "text"}) or content_text(content.get("result"))
            results += [{"role": "tool", "content": text}] if text else []
    return results


def _visible(name: str | None, nodes: Mapping[str, Any], texts: Container[str]) -> str | None:
    """Return a node, or the nearest one above it that was shown."""
    seen: set[str] = set()
    while name is not None and name in nodes and name not in seen:
        if name in texts:
            return name
        seen.add(name)
        name = id_text(nodes[name].get("parent"))
    return name if name is not None and name not in nodes else None


def _tree(
    given: Mapping[str, Any], texts: Mapping[str, str], place: Place, mapping: UserMapping
) -> Tree:
    """Return the turns that were shown; what stands between them is left out."""
    nodes = []
    for name, text in texts.items():
        node = given[name]
        message = _message(node)
        status = message.get("status")
        nodes.append(
            Node(
                id=name,
                parent=_visible(id_text(node.get("parent")), given, texts),
                role=str(message["author"]["role"]),
                text=text,
                **node_time(message.get("create_time")),
                model=id_text((message.get("metadata") or {}).get("model_slug")),
                unusable="an answer that was not finished" if status == "in_progress" else "",
                place=place,
                sent=sent_messages(message, mapping),
                results=_results(name, given, texts),
            )
        )
    return build_tree(nodes)


def _rating(record: Record, tree: Tree, prefix: str, steps: Mapping[str, str]) -> Iterator[Row]:
    """Yield a rating of an answer, or of a step before it, such as a call of a tool."""
    value, place = record.value, (record.file, record.line)
    name = id_text(value.get("message_id") or value.get("id"))
    node = tree.nodes.get(steps.get(name or "", name or ""))
    if node is None:
        yield Reject(f"a rating without its answer: {name} is not among the messages", place)
        return
    if (problem := rated_message(node, tree)) is not None:
        yield problem
        return
    user, at = id_text(value.get("user_id")), parse_time(value.get("create_time"))
    fields: dict[str, Any] = {"response_id": prefix + node.id, "source": "user", "actor_id": user}
    fields |= {"at": at, "place": place}
    content = decode_json(value.get("content"))
    details = content if isinstance(content, dict) else {}
    tags = details.get("tags")
    text = ", ".join(map(str, tags)) if isinstance(tags, list) and tags else None
    if value.get("rating") in (None, ""):
        yield Skip("feedback without a rating")
    else:
        yield signal_event("thumbs", value["rating"], **fields, key=f"thumbs/{user}", text=text)
    if details.get("text"):
        comment = str(details["text"])
        yield Event("comment", 1.0, **fields, key=f"comment/{user}", text=comment)


SOURCE = Source(
    title="ChatGPT data export (`conversations.json`, `message_feedback.json`)",
    levels={"conversation": "full", "feedback": None, "comparison": None, "other": None},
    record_kind=record_kind,
    rows=rows,
    group_key=group_key,
    covers="`full` for the chats of one account, given `message_feedback.json` beside the conversations",
    wider="give conversations.json beside message_feedback.json",
    always_logged=frozenset({"regenerate", "prompt_edit"}),
    mappable=frozenset({"prompt", "response"}),
)
