"""The rows of a chat: every answer as a response, and the implicit signals of its user."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .contract import Event, Reject, Response, Row, Skip
from .messages import content_text, to_messages
from .spans import mapped
from .trees import MAX_PROMPT, message_order
from .values import decode_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from .contract import Message, UserMapping
    from .trees import Node, Tree

SHORTENED = (
    f"kept, but the prompt has only the last {MAX_PROMPT} of more than {MAX_PROMPT} messages"
)
TEXT_OF = {"user": "prompt", "assistant": "response"}  # role -> what its text is called in --map
THOUGHTS = re.compile(
    r"\A\s*(?:<(think|thinking|thought|thought_chain)>.*?</\1>|:::thinking\b.*?\n:::"
    r"|<details\b[^>]*>\s*<summary>\s*Think.*?</details>)\s*",
    re.DOTALL,
)
# A turn that corrects the answer before it: English only, and only by how the turn begins.
REPAIR = re.compile(
    r"\W*(?:(?:no|nope|sorry|actually|wait)\b[\s,.!:;-]*)*"
    r"(?:i (?:meant|said|asked)\b|(?:that(?:'s| is|s)|it(?:'s| is)) (?:not|wrong|incorrect)\b|not what i\b"
    r"|you (?:misunderst|got (?:it|that) wrong)|wrong\b|(?<=no )try again\b)"
    r"|\W*no\s*[,.!:;-]\s*(?!problem|worries|thanks|thank|need)\w",
    re.IGNORECASE,
)


def without_thoughts(text: str) -> str:
    """Return an answer without the thoughts before it, which users do not read.

    Parameters
    ----------
    text : str
        An answer that may begin with ``<think>...</think>`` or what products make of it.

    Returns
    -------
    str
        The rest.

    Examples
    --------
    >>> without_thoughts("<think>Hm.</think>At seven.")
    'At seven.'

    """
    return THOUGHTS.sub("", text)


def message_text(value: Mapping[str, Any], mapping: UserMapping, role: str, default: str) -> str:
    """Return the text of a message at the path that the user gave, else where its product writes it.

    Parameters
    ----------
    value : mapping
        The message; paths start at it.
    mapping : UserMapping
        Paths of ``prompt``, for messages of the user, and of ``response``, for answers.
    role : str
        Role of the message.
    default : str
        The text where the product documents it.

    Returns
    -------
    str
        The text.

    """
    found = mapped(value, mapping, TEXT_OF[role], None) if role in TEXT_OF else None
    if found is None or _is_chat(found):
        return default
    return str(found) if isinstance(found, bool | int | float) else content_text(found)


def sent_messages(value: Mapping[str, Any], mapping: UserMapping) -> list[Message]:
    """Return all messages before an answer, if the path that the user gave for its prompt leads to a chat.

    Parameters
    ----------
    value : mapping
        The answer; paths start at it.
    mapping : UserMapping
        Paths of ``prompt``.

    Returns
    -------
    list of Message
        Empty if there is no such path, or another value.

    """
    found = mapped(value, mapping, "prompt", None)
    return to_messages(found) if _is_chat(found) else []


def _is_chat(value: Any) -> bool:
    chat = decode_json(value)
    is_list = isinstance(chat, list) and bool(chat)
    return is_list and all(isinstance(m, dict) and "role" in m for m in chat)


def rated_message(node: Node, tree: Tree) -> Row | None:
    """Return why signals on a message cannot count, as a row for the account; None if they can.

    Parameters
    ----------
    node : Node
        A message with a signal.
    tree : Tree
        Its chat.

    Returns
    -------
    Row or None
        A Reject if the message is lost, a Skip if it is no response.

    """
    if node.id in tree.lost:
        return Reject(f"a rating of message {node.id}: {tree.lost[node.id]}", node.place)
    if node.invalid and node.role == "assistant":
        return Reject(f"a rating of message {node.id}: {node.invalid}", node.place)
    if node.unusable:
        return Skip(f"a rating of {node.unusable}")
    return None if node.is_response else Skip("a rating of a message that is no answer with a text")


def chat_rows(
    tree: Tree,
    prefix: str,
    user: str | None,
    session: str | None,
    current: str | None = None,
    *,
    system: str = "",
) -> Iterator[Row]:
    """Yield every answer of a chat as a response, and the implicit signals of its user as events.

    A signal is 1 or 0 only where the user had a choice: an answer without an alternative was neither kept
    nor dropped.

    Parameters
    ----------
    tree : Tree
        The chat.
    prefix : str
        Prefix of response ids.
    user, session : str or None
        Ids of the user and of the chat.
    current : str, optional
        The message that the user saw last; the branch to it was kept.
    system : str
        System prompt of the chat, which every prompt begins with.

    Yields
    ------
    Row
        Responses and events; reasons for messages that are neither.

    """
    kept = tree.branch(current)
    for node in sorted(tree.nodes.values(), key=message_order):
        if node.role != "assistant":
            continue
        if node.id in tree.lost:
            yield Reject(f"message {node.id}: {tree.lost[node.id]}", node.place)
        elif node.invalid:
            yield Reject(f"message {node.id}: {node.invalid}", node.place)
        elif node.unusable:
            yield Skip(node.unusable)
        elif not node.text:
            yield Skip("an answer without text")
        elif node.parent is None:
            yield Skip("a greeting: an answer without a prompt")
        else:
            yield from _response(tree, node, prefix, user, session, system)
            for channel, value, at in _implicit_signals(tree, node, kept):
                name, key = f"{prefix}{node.id}", f"tree/{channel}"
                fields = {"at": at, "actor_id": user, "key": key, "place": node.place}
                yield Event(channel, value, "user", name, **fields)  # type: ignore[arg-type]


def _response(
    tree: Tree, node: Node, prefix: str, user: str | None, session: str | None, system: str
) -> Iterator[Row]:
    prompt, is_shortened = tree.prompt(node)
    system = "\n\n".join(filter(None, [system, node.system]))
    first: Message = {"role": "system", "content": system}
    if system and not node.sent and first not in prompt[:1]:
        prompt = [first, *prompt]
    siblings = tree.siblings(node)
    is_regenerated = any(n.index == node.index for n in siblings)
    yield Response(
        response_id=f"{prefix}{node.id}",
        prompt=prompt,
        response=node.text,
        user_id=user,
        session_id=session,
        shown_at=node.at,
        model=node.model,
        position=node.index if any(n.index != node.index for n in siblings) else None,
        turn=tree.depth[node.id],
        sibling_group=f"{prefix}{node.parent}/{node.index}" if is_regenerated else None,
        place=node.place,
    )
    if is_shortened:
        yield Skip(SHORTENED)


def _implicit_signals(
    tree: Tree, node: Node, kept: set[str]
) -> Iterator[tuple[str, float, datetime | None]]:
    """Yield channel, value and time of what the user did with an answer, or could have done."""
    turns, others = tree.continued(node), tree.alternatives(node)
    if others and (turns or any(map(tree.continued, others))):
        yield "continue", float(bool(turns)), turns[0].at if turns else None
    if turns:
        yield "repair", float(any(REPAIR.match(turn.text) for turn in turns)), turns[0].at
    prompt = tree.nodes[node.parent] if node.parent else None
    if prompt and prompt.role == "user":
        later = [n for n in tree.siblings(prompt) if message_order(n) > message_order(prompt)]
        if later:
            yield "prompt_edit", 1.0, later[0].at
    if not others or not (node.id in kept or any(n.id in kept for n in others)):
        return
    yield "branch_kept", float(node.id in kept), None
    siblings = [n for n in tree.siblings(node) if n.is_response]
    is_regenerated = any(
        n.index == node.index and message_order(n) > message_order(node) for n in siblings
    )
    if siblings and node.id in kept:
        yield "branch_dropped", 0.0, None
    elif not is_regenerated and any(n.id in kept for n in siblings):
        yield "branch_dropped", 1.0, None
