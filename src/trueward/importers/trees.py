"""Conversations as trees: the prompt of every answer, and what users did that nobody asked them for.

Nothing here calls itself: a chat may have as many turns as it likes. The order of messages is by time and
id, so that files in any order give the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .contract import Event, Reject, Response, Row, Skip

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from .contract import Message

LONGEST = 50  # messages of a prompt; of a longer path the last ones are kept
SHORTENED = f"kept, but of a path of more than {LONGEST} messages the prompt has the last {LONGEST}"
# A turn that takes the answer back. English only, and only how the turn begins.
REPAIR = re.compile(
    r"\W*(?:(?:no|nope|sorry|actually|wait)\b[\s,.!:;-]*)*"
    r"(?:i (?:meant|said|asked)\b|(?:that(?:'s| is|s)|it(?:'s| is)) (?:not|wrong|incorrect)\b|not what i\b"
    r"|you (?:misunderst|got (?:it|that) wrong)|wrong\b|(?<=no )try again\b)"
    r"|\W*no\s*[,.!:;-]\s*(?!problem|worries|thanks|thank|need)\w",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Node:
    """One message of a chat."""

    id: str
    parent: str | None
    role: str
    text: str
    at: datetime | None = None
    model: str | None = None
    index: int | None = None  # which of the models that were asked side by side
    unfit: str = ""  # why it is no response: an error, not finished


@dataclass
class Tree:
    """A chat, with the children of every message in the order of time."""

    nodes: dict[str, Node]
    children: dict[str | None, list[Node]] = field(default_factory=dict)
    depth: dict[str, int] = field(
        default_factory=dict
    )  # answers above each message that is in the tree
    lost: dict[str, str] = field(default_factory=dict)  # messages that are not, and why

    def path(self, node: Node) -> tuple[list[Message], bool]:
        """Give the messages above ``node``, and whether older ones were left out."""
        found: list[Message] = []
        above = node.parent
        while above is not None and len(found) < LONGEST:
            said = self.nodes[above]
            found.append({"role": said.role, "content": said.text})
            above = said.parent
        return found[::-1], above is not None

    def beside(self, node: Node) -> list[Node]:
        """Give the other messages of the same role below the same parent."""
        return [n for n in self.children[node.parent] if n.role == node.role and n is not node]

    def branch(self, leaf: str | None) -> set[str]:
        """Give the ids on the way to ``leaf``."""
        found: set[str] = set()
        while leaf is not None and leaf in self.depth and leaf not in found:
            found.add(leaf)
            leaf = self.nodes[leaf].parent
        return found


def grown(nodes: Iterable[Node]) -> Tree:
    """Put messages under their parents; those whose parents are gone or form a circle are lost."""
    tree = Tree({node.id: node for node in nodes})
    for node in sorted(tree.nodes.values(), key=_order):
        tree.children.setdefault(node.parent, []).append(node)
    _mark(tree, [(n, 0) for n in tree.children.get(None, [])], None)
    for node in list(tree.nodes.values()):
        if node.parent is not None and node.parent not in tree.nodes:
            _mark(
                tree, [(node, 0)], f"its parent {node.parent} is gone, so its prompt is not known"
            )
    for name in tree.nodes:
        if name not in tree.depth and name not in tree.lost:
            tree.lost[name] = "its parents form a circle"
    return tree


def _order(node: Node) -> tuple[bool, float, str]:
    return node.at is not None, node.at.timestamp() if node.at else 0.0, node.id


def _mark(tree: Tree, stack: list[tuple[Node, int]], why: str | None) -> None:
    """Go down from the nodes of ``stack``: into the tree, or among the lost."""
    while stack:
        node, above = stack.pop()
        if node.id in tree.depth or node.id in tree.lost:
            continue
        if why is None:
            tree.depth[node.id] = above
        else:
            tree.lost[node.id] = why
        below = above + (node.role == "assistant")
        stack += [(child, below) for child in tree.children.get(node.id, [])]


def chat_rows(
    tree: Tree, prefix: str, user: str | None, session: str | None, current: str | None = None
) -> Iterator[Row]:
    """Give every answer of a chat as a response, and what its user did as events.

    prefix: of response ids. current: the message that the user saw last, which says what branch was kept.
    """
    kept = tree.branch(current)
    for node in sorted(tree.nodes.values(), key=_order):
        if node.role != "assistant":
            continue
        if node.id in tree.lost:
            yield Reject(f"message {node.id}: {tree.lost[node.id]}")
        elif node.unfit:
            yield Skip(node.unfit)
        elif not node.text:
            yield Skip("an answer without text")
        elif node.parent is None:
            yield Skip("a greeting: an answer to nothing")
        else:
            yield from _answer(tree, node, prefix, user, session)
            for channel, at in _did(tree, node, kept):
                name = f"{prefix}{node.id}"
                yield Event(channel, 1.0, "user", name, at=at, actor_id=user, key=f"tree/{channel}")


def _answer(
    tree: Tree, node: Node, prefix: str, user: str | None, session: str | None
) -> Iterator[Row]:
    prompt, shortened = tree.path(node)
    beside = tree.beside(node)
    again = any(n.index == node.index for n in beside)
    yield Response(
        response_id=f"{prefix}{node.id}",
        prompt=prompt,
        response=node.text,
        user_id=user,
        session_id=session,
        shown_at=node.at,
        model=node.model,
        position=node.index if any(n.index != node.index for n in beside) else None,
        turn=tree.depth[node.id],
        siblings=f"{prefix}{node.parent}/{node.index}" if again else None,
    )
    if shortened:
        yield Skip(SHORTENED)


def _did(tree: Tree, node: Node, kept: set[str]) -> Iterator[tuple[str, datetime | None]]:
    """Give channel and time of what the user did with an answer."""
    turns = [n for n in tree.children.get(node.id, []) if n.role == "user"]
    if turns:
        yield "continue", turns[0].at
        if any(REPAIR.match(turn.text) for turn in turns):
            yield "repair", turns[0].at
    asked = tree.nodes[node.parent] if node.parent else None
    later = (
        [n for n in tree.beside(asked) if _order(n) > _order(asked)]
        if asked and asked.role == "user"
        else []
    )
    if later:
        yield "prompt_edit", later[0].at
    if node.id in kept:
        yield "branch_kept", None
    else:
        beside = tree.beside(node)
        again = any(n.index == node.index and _order(n) > _order(node) for n in beside)
        if not again and any(n.id in kept for n in beside):
            yield "branch_dropped", None
