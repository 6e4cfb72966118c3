"""Chats as trees of messages: the prompt of every answer, and what the user could choose in its place.

Nothing here is recursive, so a chat may have any number of turns. Messages are ordered by time and id, so
that files in any order give the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .contract import InvalidRecord
from .values import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from .contract import Message, Place

MAX_PROMPT = 50  # messages of a prompt; of a longer path the last ones are kept


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
    invalid : str
        What cannot be read of it, such as its time; empty if all can.
    place : (str, int), optional
        File and line of the message.
    sent : list of Message
        Of an answer, all messages that the model saw; empty if the export does not have them.
    system : str
        Of an answer, instructions and passages that were given to the model for it alone.
    results : list of Message
        Results of tools that the model read between the message before and this one.

    """

    id: str
    parent: str | None
    role: str
    text: str
    at: datetime | None = None
    model: str | None = None
    index: int | None = None
    unusable: str = ""
    invalid: str = ""
    place: Place | None = None
    sent: list[Message] = field(default_factory=list)
    system: str = ""
    results: list[Message] = field(default_factory=list)

    @property
    def is_response(self) -> bool:
        """Whether it is an answer with a prompt and a text."""
        is_answer = self.role == "assistant" and self.parent is not None
        return is_answer and bool(self.text) and not (self.unusable or self.invalid)


def node_time(value: Any) -> dict[str, Any]:
    """Return the time of a node; one that cannot be read makes only its node invalid.

    Parameters
    ----------
    value : object
        As for `parse_time`.

    Returns
    -------
    dict
        ``at`` and ``invalid``.

    """
    try:
        return {"at": parse_time(value), "invalid": ""}
    except InvalidRecord as e:
        return {"at": None, "invalid": str(e)}


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
        if node.sent:
            return node.sent, False
        last_first = node.results[::-1]
        parent = node.parent
        while parent is not None and len(last_first) < MAX_PROMPT:
            above = self.nodes[parent]
            last_first += [{"role": above.role, "content": above.text}, *above.results[::-1]]
            parent = above.parent
        is_shortened = parent is not None or len(last_first) > MAX_PROMPT
        return last_first[:MAX_PROMPT][::-1], is_shortened

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
    for node in sorted(tree.nodes.values(), key=message_order):
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


def message_order(node: Node) -> tuple[bool, float, str]:
    """Return the key that orders messages by time, then by id.

    Parameters
    ----------
    node : Node
        A message.

    Returns
    -------
    tuple of (bool, float, str)
        A message without a time comes first.

    """
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
