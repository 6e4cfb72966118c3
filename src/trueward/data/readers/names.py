"""Which column of a table is which: canonical names, the user's mapping, and what to write next."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Other names seen in the wild. They only ever word a suggestion; nothing is mapped by them.
SYNONYMS = {
    "prompt": ("question", "query", "instruction", "input", "messages", "user_message", "goal"),
    "response": ("answer", "completion", "output", "reply", "generation", "text", "headline"),
    "feedback": ("thumb", "thumbs", "thumbs_up", "vote", "rating", "click", "like", "liked"),
    "gold": ("label", "audit", "audited", "truth", "expert", "annotation"),
    "label": ("gold", "truth", "annotation", "is_safe", "correct", "feedback"),
    "rating": ("score", "grade", "stars"),
}
FAMILIES = ("channel", "context")


@dataclass(frozen=True)
class Want:
    """The canonical columns a reader looks for, and where the user says they are."""

    names: tuple[str, ...]
    families: tuple[str, ...]  # channel, context: any column channel.NAME
    mapping: Mapping[str, str]  # canonical name -> column of the source

    def __call__(self, column: str) -> bool:
        """Say whether a column of a source is worth reading."""
        return column in self.mapping.values() or self.canonical(column) or column in self.families

    def canonical(self, column: str) -> bool:
        """Say whether ``column`` is a name of ours."""
        family, dot, rest = column.partition(".")
        return column in self.names or bool(dot and rest and family in self.families)


def want(
    names: Sequence[str], families: Sequence[str], mapping: Mapping[str, str] | None, **more: str
) -> Want:
    """Join both ways to write a mapping and refuse what it cannot mean."""
    both = dict(mapping or {})
    for name, column in more.items():
        if both.setdefault(name, column) != column:
            raise UsageError(
                f"`{name}` is mapped twice, to {both[name]!r} and to {column!r}: keep one of them"
            )
    wanted = Want(tuple(names), tuple(families), both)
    known = [*names, *(f"{family}.NAME" for family in families)]
    for name, column in both.items():
        if not wanted.canonical(name):
            close = difflib.get_close_matches(name, names, 1)
            raise UsageError(
                f"there is no column {name!r} to map to; "
                + (f"did you mean {close[0]!r}, one of " if close else "choose one of ")
                + ", ".join(known)
            )
        if not isinstance(column, str):
            raise UsageError(
                f"`{name}` must be mapped to the name of a column, not to {column!r}: "
                f'write {name}="NAME"'
            )
    for column in both.values():
        twice = [name for name, c in both.items() if c == column]
        if len(twice) > 1:
            raise UsageError(
                f"column {column!r} is mapped to {_and(twice)}, but a column can be one thing: "
                "drop one of these mappings"
            )
    return wanted


def resolve(wanted: Want, found: Sequence[str], source: str) -> dict[str, str]:
    """Give canonical name -> column of the source for those it has; mapped ones must be there."""
    for name, column in wanted.mapping.items():
        if column not in found:
            close = _close(column, found)
            raise UsageError(
                f"{source} has no column {column!r} to read `{name}` from; it has "
                f"{listed(found)}: write --map {name}={close or 'NAME'}"
            )
    taken = set(wanted.mapping.values())
    here = {c: c for c in found if wanted.canonical(c) and c not in taken}
    return {**here, **wanted.mapping}


def absent(
    source: str, missing: Sequence[str], found: Sequence[str], note: str = ""
) -> TruewardError:
    """Give the error about needed columns that are missing, with the mapping to write."""
    flags = " ".join(f"--map {name}={_close(name, found) or 'NAME'}" for name in missing)
    columns = "columns" if len(missing) > 1 else "column"
    return TruewardError(
        f"{source} has no {columns} {_and([f'`{m}`' for m in missing])}; it has {listed(found)}: "
        f"say which to read with {flags}{note}"
    )


def listed(found: Sequence[str]) -> str:
    """Name the first columns and count the rest."""
    first = ", ".join(repr(c) for c in found[:20])
    rest = len(found) - 20
    return (first or "no columns") + (f" and {rest} more" if rest > 0 else "")


def _close(name: str, found: Sequence[str]) -> str | None:
    """Find the column that most likely is ``name``: same letters, a synonym, a near spelling."""
    plain = {c.lower(): c for c in reversed(found) if c != name}
    for candidate in (name, *SYNONYMS.get(name, ())):
        if candidate.lower() in plain:
            return plain[candidate.lower()]
    near = difflib.get_close_matches(name.lower(), plain, 1)
    return plain[near[0]] if near else None


def _and(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
