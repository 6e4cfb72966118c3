"""Chats as trees of messages: the prompt of every answer, and implicit signals of its user.

Nothing here is recursive, so a chat may have any number of turns. Messages are ordered by time and id, so
that files in any order give the same rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .contract import Event, Reject, Response, Row, Skip

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from .contract import Message, Place

MAX_PROMPT = 50  # messages of a prompt; of a longer path the last ones are kept
SHORTENED = (
    f"kept, but the prompt has only the last {MAX_PROMPT} of more than {MAX_PROMPT} messages"
)
# A turn that corrects the answer before it: English only, and only by how the turn begins.
REPAIR = re.compile(
    r"\W*(?:(?:no|nope|sorry|actually|wait)\b[\s,.!:;-]*)*"
    r"(?:i (?:meant|said|asked)\b|(?:that(?:'s| is|s)|it(?:'s| is)) (?:not|wrong|incorrect)\b|not what i\b"
    r"|you (?:misunderst|got (?:it|that) wrong)|wrong\b|(?<=no )try again\b)"
    r"|\W*no\s*[,.!:;-]\s*(?!problem|worries|thanks|thank|need)\w",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Node:
    """One message of a chat.

    Attributes
    ----------
    id : str
        Id within the chat.
    parent : str or None
        Id of the message before it; None at the root.
    role : str
        ``user``, ``assistant`` or ``system``.
    text : str
        The text as shown.
    at : datetime, optional
        Time in UTC.
    model : str, optional
        The model that answered.
    index : int, optional
        Which of several models that answered side by side.
    unusable : str
        Why an answer is no response, such as an error; empty if it is one.
    place : (str, int), optional
        File and line of the message.

    """

    id: str
    parent: str | None
    role: str
    text: str
    at: datetime | None = None
    model: str | None = None
    index: int | None = None
    unusable: str = ""
    place: Place | None = None

    @property
    def is_response(self) -> bool:
        """Whether it is an answer with a prompt and a text."""
        is_answer = self.role == "assistant" and self.parent is not None
        return is_answer and bool(self.text) and not self.unusable


@dataclass
class Tree:
    """A chat with the children of every message, in order of time.

    Attributes
    ----------
    nodes : dict of str to Node
        Every message by id.
    children : dict of str or None to list of Node
        Messages by the id of their parent.
    depth : dict of str to int
        Number of answers above each message that is connected to the root.
    lost : dict of str to str
        The other messages, and why they are not connected.

    """

    nodes: dict[str, Node]
    children: dict[str | None, list[Node]] = field(default_factory=dict)
    depth: dict[str, int] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)

    def prompt(self, node: Node) -> tuple[list[Message], bool]:
        """Return the messages above a node, and whether older ones were left out.

        Parameters
        ----------
        node : Node
            A message that is connected to the root.

        Returns
        -------
        tuple of (list of Message, bool)
            At most ``MAX_PROMPT`` messages, the oldest first.

        """
        messages: list[Message] = []
        parent = node.parent
        while parent is not None and len(messages) < MAX_PROMPT:
            above = self.nodes[parent]
            messages.append({"role": above.role, "content": above.text})
            parent = above.parent
        return messages[::-1], parent is not None

    def siblings(self, node: Node) -> list[Node]:
        """Return the other messages of the same role below the same parent.

        Parameters
        ----------
        node : Node
            A message of the tree.

        Returns
        -------
        list of Node
            In order of time.

        """
        return [n for n in self.children[node.parent] if n.role == node.role and n is not node]

    def alternatives(self, node: Node) -> list[Node]:
        """Return the answers that the user could have chosen in place of one.

        Parameters
        ----------
        node : Node
            An answer.

        Returns
        -------
        list of Node
            Other answers to its prompt, and to earlier or later versions of the prompt.

        """
        above = self.nodes.get(node.parent or "")
        prompts = [] if above is None or above.role != "user" else self.siblings(above)
        edited = [n for prompt in prompts for n in self.children.get(prompt.id, ())]
        return [n for n in (*self.siblings(node), *edited) if n.is_response]

    def continued(self, node: Node) -> list[Node]:
        """Return the turns of the user below an answer.

        Parameters
        ----------
        node : Node
            An answer.

        Returns
        -------
        list of Node
            In order of time.

        """
        return [n for n in self.children.get(node.id, []) if n.role == "user"]

    def branch(self, leaf: str | None) -> set[str]:
        """Return the ids on the path from the root to ``leaf``.

        Parameters
        ----------
        leaf : str or None
            Id of a message; None gives no ids.

        Returns
        -------
        set of str
            Ids, that of the leaf included.

        """
        ids: set[str] = set()
        while leaf is not None and leaf in self.depth and leaf not in ids:
            ids.add(leaf)
            leaf = self.nodes[leaf].parent
        return ids


def build_tree(nodes: Iterable[Node]) -> Tree:
    """Connect messages to their parents.

    Parameters
    ----------
    nodes : iterable of Node
        The messages of one chat, in any order.

    Returns
    -------
    Tree
        Messages whose parents are missing or form a circle are lost.

    """
    tree = Tree({node.id: node for node in nodes})
    for node in sorted(tree.nodes.values(), key=_order):
        tree.children.setdefault(node.parent, []).append(node)
    _descend(tree, [(n, 0) for n in tree.children.get(None, [])], None)
    for node in list(tree.nodes.values()):
        if node.parent is not None and node.parent not in tree.nodes:
            reason = f"its parent {node.parent} is missing, so its prompt is unknown"
            _descend(tree, [(node, 0)], reason)
    for name in tree.nodes:
        if name not in tree.depth and name not in tree.lost:
            tree.lost[name] = "its parents form a circle"
    return tree


def _order(node: Node) -> tuple[bool, float, str]:
    return node.at is not None, node.at.timestamp() if node.at else 0.0, node.id


def _descend(tree: Tree, stack: list[tuple[Node, int]], reason: str | None) -> None:
    """Record the depth of the nodes below those of ``stack``, or why they are lost."""
    while stack:
        node, depth = stack.pop()
        if node.id in tree.depth or node.id in tree.lost:
            continue
        if reason is None:
            tree.depth[node.id] = depth
        else:
            tree.lost[node.id] = reason
        below = depth + (node.role == "assistant")
        stack += [(child, below) for child in tree.children.get(node.id, [])]


def chat_rows(
    tree: Tree, prefix: str, user: str | None, session: str | None, current: str | None = None
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

    Yields
    ------
    Row
        Responses and events; reasons for messages that are neither.

    """
    kept = tree.branch(current)
    for node in sorted(tree.nodes.values(), key=_order):
        if node.role != "assistant":
            continue
        if node.id in tree.lost:
            yield Reject(f"message {node.id}: {tree.lost[node.id]}", node.place)
        elif node.unusable:
            yield Skip(node.unusable)
        elif not node.text:
            yield Skip("an answer without text")
        elif node.parent is None:
            yield Skip("a greeting: an answer without a prompt")
        else:
            yield from _response(tree, node, prefix, user, session)
            for channel, value, at in _implicit_signals(tree, node, kept):
                name, key = f"{prefix}{node.id}", f"tree/{channel}"
                fields = {"at": at, "actor_id": user, "key": key, "place": node.place}
                yield Event(channel, value, "user", name, **fields)  # type: ignore[arg-type]


def _response(
    tree: Tree, node: Node, prefix: str, user: str | None, session: str | None
) -> Iterator[Row]:
    prompt, is_shortened = tree.prompt(node)
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
        later = [n for n in tree.siblings(prompt) if _order(n) > _order(prompt)]
        if later:
            yield "prompt_edit", 1.0, later[0].at
    if not others or not (node.id in kept or any(n.id in kept for n in others)):
        return
    yield "branch_kept", float(node.id in kept), None
    siblings = [n for n in tree.siblings(node) if n.is_response]
    is_regenerated = any(n.index == node.index and _order(n) > _order(node) for n in siblings)
    if siblings and node.id in kept:
        yield "branch_dropped", 0.0, None
    elif not is_regenerated and any(n.id in kept for n in siblings):
        yield "branch_dropped", 1.0, None
