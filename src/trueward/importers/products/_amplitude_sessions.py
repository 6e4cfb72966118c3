"""The messages of one session of Amplitude as a tree, and which answers of each turn users saw."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trueward.importers.contract import Reject, Skip
from trueward.importers.messages import content_text
from trueward.importers.traces import NOT_NAMED, UNKNOWN
from trueward.importers.trees import Node, Tree, build_tree
from trueward.importers.values import decode_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from trueward.importers.contract import Message, Place, Row

OF_AGENT = "an answer of an agent to another agent, which users were not shown"
BEFORE_TOOL = "an answer that calls a tool, before the one that users saw"
SAME_TEXT = "a model call with the text of the answer after it"
DELEGATED = "a message of one agent to another"
RANK = {"user": 0, "tool": 1, "assistant": 2}  # within one number and moment


@dataclass(slots=True)
class Step:
    """A message, a call of a tool or an answer.

    Attributes
    ----------
    role : {"user", "tool", "assistant"}
        Who gave the text.
    name : str
        Id of the message, unique within a session.
    text : str
        Its text; empty if none was recorded.
    props : dict
        Its event properties without the prefix.
    place : (str, int)
        File and line.
    at : datetime, optional
        Time in UTC.
    number : float
        Its number within the session; 0 if there is none.
    unusable : str
        Why an answer is no response.
    prompt : list of Message
        The whole prompt, if the user mapped one.
    system : str
        The system prompt of an answer.

    """

    role: str
    name: str
    text: str
    props: dict[str, Any]
    place: Place
    at: datetime | None = None
    number: float = 0.0
    unusable: str = ""
    prompt: list[Message] = field(default_factory=list)
    system: str = ""

    @property
    def names(self) -> list[str]:
        """Names by which ``--shown`` may choose an answer: of its agent, its prompt, its model."""
        keys = ("Agent ID", "Prompt ID", "Model Name")
        return [str(self.props[key]) for key in keys if self.props.get(key)]


@dataclass
class Session:
    """What users saw of a session.

    Attributes
    ----------
    tree : Tree
        Messages of the user and answers that were shown.
    steps : dict of str to Step
        Answers by id.
    turns : dict of str to str
        Id of an answer -> its turn.
    hidden : dict of str to str
        Answers that were not shown, and why.
    rows : list of Row
        The account of what is neither.

    """

    tree: Tree
    steps: dict[str, Step]
    turns: dict[str, str]
    hidden: dict[str, str]
    rows: list[Row]


def message_text(props: Mapping[str, Any]) -> str:
    """Return the text of a message; old versions of the SDK cut it into numbered parts.

    Parameters
    ----------
    props : mapping
        Event properties without the prefix.

    Returns
    -------
    str
        The text with a line for each attached file; empty if no content was recorded.

    """
    message = decode_json(props.get("$llm_message", props.get("$llm_message.text")), 1)
    if isinstance(message, dict) and "text" not in message:
        message = "".join(
            str(message.get(f"c{i}") or "") for i in range(int(message.get("n") or 0))
        )
    return "\n".join(filter(None, [content_text(message), *_attached(props)]))


def _attached(props: Mapping[str, Any]) -> list[str]:
    files = decode_json(props.get("Attachments"), 1)
    if not isinstance(files, list):
        files = [{}] * int(props.get("Attachment Count") or 0)
    kinds = [str(f.get("type") or f.get("mime_type")) for f in files if isinstance(f, dict)]
    return ["[image]" if "image" in kind else "[file]" for kind in kinds]


def read_session(steps: Iterable[Step], shown: tuple[str, ...]) -> Session:
    """Return the tree of a session.

    A regenerated answer stands beside the one before it, an edited message beside the original. Of one turn
    the answer of the topmost agent that calls no tool was shown; if several are left, it is unknown which.

    Parameters
    ----------
    steps : iterable of Step
        Messages, calls of tools and answers, in any order.
    shown : tuple of str
        Names of the answers that users saw; empty to decide by the above.

    Returns
    -------
    Session
        The tree, and what is left out.

    """
    kept, rows = _one_per_id(steps)
    _give_systems(kept)
    nodes: dict[str, Node] = {}
    session = Session(Tree({}), {}, {}, {}, rows)
    turn: list[Step] = []
    above: str | None = None  # the message that the next one follows
    question: str | None = None
    for step in [*kept, None]:
        if step is not None and step.role != "user":
            turn.append(step)
            continue
        if step is not None and step.props.get("Message Source") == "agent":
            rows.append(Skip(DELEGATED))
            continue
        above = _close_turn(turn, above, session, nodes, shown)
        turn = []
        if step is None:
            break
        asked = nodes.get(question or "")
        again = step.props.get("Is Regeneration") is True and asked is not None
        if again and asked is not None and step.text in ("", asked.text):
            above = asked.id
            continue
        edited = nodes.get(str(step.props.get("Edited Message ID") or ""))
        replaced = asked if again else edited
        parent = above if replaced is None else replaced.parent
        nodes[step.name] = Node(step.name, parent, "user", step.text, step.at, place=step.place)
        above = question = step.name
    session.tree = build_tree(nodes.values())
    return session


def _give_systems(steps: Iterable[Step]) -> None:
    """Give each answer its system prompt; one that does not change may be sent once, and then its length."""
    systems: dict[Any, str] = {}
    for step in steps:
        length, system = (step.props.get(f"System Prompt{k}") for k in (" Length", ""))
        if system:
            systems[length] = content_text(system).strip()
        step.system = systems.get(length, "") if system or length else ""


def _one_per_id(steps: Iterable[Step]) -> tuple[list[Step], list[Row]]:
    """Return the steps in their order, each id once; copies with other texts are all rejected."""
    by_id: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        by_id.setdefault((step.role, step.name), []).append(step)
    kept: list[Step] = []
    rows: list[Row] = []
    for copies in by_id.values():
        if len({step.text for step in copies}) > 1:
            rows += [
                Reject("two events of one message with different texts", s.place) for s in copies
            ]
            continue
        kept.append(min(copies, key=lambda s: s.place))
        rows += [Skip("a copy of an event")] * (len(copies) - 1)
    return sorted(kept, key=_order), rows


def _order(step: Step) -> tuple[float, float, int, str]:
    at = step.at.timestamp() if step.at else 0.0
    return (step.number, at, RANK[step.role], step.name)


def _close_turn(
    turn: Sequence[Step],
    above: str | None,
    session: Session,
    nodes: dict[str, Node],
    shown: tuple[str, ...],
) -> str | None:
    """Add the answers of a turn that were shown; return what the next message follows."""
    answers = [step for step in turn if step.role == "assistant"]
    session.steps.update({step.name: step for step in answers})
    session.turns.update(dict.fromkeys((s.name for s in answers), f"{above}/{len(nodes)}"))
    usable = [step for step in answers if step.text and not step.unusable]
    reasons = _unshown(usable, shown)
    session.hidden.update(reasons)
    chosen = {step.name for step in usable if step.name not in reasons}
    context = usable[-1].name if usable and not chosen else None  # later prompts have it
    results: list[Message] = []
    for step in turn:
        if step.role == "tool":
            if step.text and not step.props.get("Parent Agent ID"):
                results.append({"role": "tool", "content": step.text})
            continue
        reason = reasons.get(step.name, "")
        if step in usable and step.name not in chosen and step.name != context:
            continue
        nodes[step.name] = Node(
            step.name,
            above,
            "assistant",
            step.text,
            step.at,
            model=str(step.props["Model Name"]) if step.props.get("Model Name") else None,
            unusable=step.unusable or reason,
            place=step.place,
            sent=step.prompt,
            system=step.system,
            results=results,
        )
        if step in usable:
            above, results = step.name, []
    return above


def _unshown(answers: Sequence[Step], shown: tuple[str, ...]) -> dict[str, str]:
    """Return the answers of a turn that were not shown, and why."""
    if shown:
        return {s.name: NOT_NAMED for s in answers if not set(s.names) & set(shown)}
    reasons: dict[str, str] = {}
    left = list(answers)
    for reason, key in ((OF_AGENT, "Parent Agent ID"), (BEFORE_TOOL, "Tool Calls")):
        own = [s for s in left if s.props.get(key) in (None, "", "[]", [])]
        if own:
            reasons |= {s.name: reason for s in left if s not in own}
            left = own
    several = len({s.text for s in left}) > 1
    reasons |= {s.name: UNKNOWN if several else SAME_TEXT for s in left[: None if several else -1]}
    return reasons
