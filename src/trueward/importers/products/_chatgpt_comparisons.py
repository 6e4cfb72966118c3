"""Comparisons of ChatGPT: of two answers to one question, the user said which is better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import shortened
from trueward.importers.contract import Event, Reject
from trueward.importers.values import id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trueward.importers.contract import Place, Row
    from trueward.importers.trees import Tree

# what was chosen -> values of `preferred` for the new and the original answer
CHOICES = {"new": (1.0, 0.0), "original": (0.0, 1.0), "same": (0.5, 0.5)}


def is_comparison(record: Mapping[str, Any]) -> bool:
    """Whether a record is one of ``model_comparisons.json``.

    Parameters
    ----------
    record : mapping
        A JSON object.

    Returns
    -------
    bool
        True if it names a conversation and has the answer of the user.

    """
    given, said = record.get("input"), record.get("output")
    has_both = isinstance(given, dict) and isinstance(said, dict)
    return has_both and "conversation_id" in given and "feedback_step_2" in said  # type: ignore[operator]


def comparison_rows(
    value: Mapping[str, Any], tree: Tree, prefix: str, place: Place
) -> Iterator[Row]:
    """Yield the preference between the new and the original answer of a comparison.

    Parameters
    ----------
    value : mapping
        A comparison.
    tree : Tree
        Its conversation.
    prefix : str
        Prefix of response ids.
    place : (str, int)
        File and line.

    Yields
    ------
    Row
        Two events, or a Reject if an answer or the choice is not known.

    """
    said = value["output"]["feedback_step_2"]
    new, original = (_answer(said.get(f"{name}_turn"), tree) for name in ("new", "original"))
    choice = CHOICES.get(str(said.get("completion_comparison_rating")))
    if choice is None:
        found = shortened(said.get("completion_comparison_rating"))
        yield Reject(
            f"the choice of a comparison should be one of {', '.join(CHOICES)}, and is {found}",
            place,
        )
        return
    if new is None or original is None:
        yield Reject("a comparison without its two answers: they are not among the messages", place)
        return
    user, at = id_text(value.get("user_id")), parse_time(value.get("create_time"))
    for this, other, better in ((new, original, choice[0]), (original, new, choice[1])):
        ids: dict[str, Any] = {"response_id": prefix + this, "other_response_id": prefix + other}
        ids |= {"at": at, "updated_at": at, "actor_id": user, "key": f"compared/{other}"}
        yield Event("preferred", better, "user", **ids, place=place)


def _answer(turn: Any, tree: Tree) -> str | None:
    """Return the last message of a turn that is an answer."""
    names = (
        [id_text(m.get("id")) for m in turn if isinstance(m, dict)]
        if isinstance(turn, list)
        else []
    )
    answers = [
        n for n in names if n in tree.nodes and tree.nodes[n].is_response and n not in tree.lost
    ]
    return answers[-1] if answers else None
