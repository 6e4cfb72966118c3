"""Canonical column names, the user's mapping to them, and errors that suggest a mapping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError, UsageError
from trueward.core.suggest import nearest, suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

# Other common names. They are only suggested in errors; no column is mapped because of them.
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
class WantedColumns:
    """The canonical columns that a reader looks for, and how the user maps columns to them.

    Call it with the name of a column of the source: it returns whether the column is to be read.

    Attributes
    ----------
    names : tuple of str
        Canonical names, such as ``prompt``.
    families : tuple of str
        Prefixes, such as ``channel``: any column ``channel.NAME`` is canonical.
    mapping : mapping of str to str
        Canonical name -> column of the source.
    also : callable
        Whether to read a column of another name, too.

    """

    names: tuple[str, ...]
    families: tuple[str, ...]
    mapping: Mapping[str, str]
    also: Callable[[str], bool] = lambda _: False

    def __call__(self, column: str) -> bool:
        """Return whether a column of a source is to be read."""
        known = column in self.mapping.values() or self.canonical(column)
        return known or column in self.families or self.also(column)

    def canonical(self, column: str) -> bool:
        """Return whether ``column`` is a canonical name or a member of a family."""
        family, dot, rest = column.partition(".")
        return column in self.names or bool(dot and rest and family in self.families)


def wanted_columns(
    names: Sequence[str], families: Sequence[str], mapping: Mapping[str, str] | None, **more: str
) -> WantedColumns:
    """Combine both ways to write a mapping, and check it.

    Parameters
    ----------
    names, families : sequence of str
        See `WantedColumns`.
    mapping : mapping of str to str or None
        Canonical name -> column of the source.
    **more : str
        The same as keyword arguments.

    Returns
    -------
    WantedColumns
        The columns with the combined mapping.

    Raises
    ------
    UsageError
        If a canonical name is unknown, or a name or column is mapped twice.

    Examples
    --------
    >>> wanted_columns(["prompt"], [], None, prompt="question")("question")
    True

    """
    both = dict(mapping or {})
    for name, column in more.items():
        if both.setdefault(name, column) != column:
            raise UsageError(
                f"`{name}` is mapped twice, to {both[name]!r} and to {column!r}: keep one of them"
            )
    wanted = WantedColumns(tuple(names), tuple(families), both)
    known = [*names, *(f"{family}.NAME" for family in families)]
    for name, column in both.items():
        if not wanted.canonical(name):
            raise UsageError(f"there is no column {name!r} to map to: {suggestion(name, known)}")
        if not isinstance(column, str):
            raise UsageError(
                f"`{name}` must be mapped to the name of a column, not to {column!r}: "
                f'write {name}="NAME"'
            )
    for column in both.values():
        targets = [name for name, c in both.items() if c == column]
        if len(targets) > 1:
            raise UsageError(
                f"column {column!r} is mapped to {_and(targets)}, but a column can have one meaning: "
                "drop one of these mappings"
            )
    return wanted


def match_columns(wanted: WantedColumns, columns: Sequence[str], source: str) -> dict[str, str]:
    """Match canonical names to the columns of a source.

    Parameters
    ----------
    wanted : WantedColumns
        The canonical columns and the user's mapping.
    columns : sequence of str
        Names of all columns of the source.
    source : str
        Name of the source, for the error.

    Returns
    -------
    dict of str to str
        Canonical name -> column, for those that the source has.

    Raises
    ------
    UsageError
        If a mapped column is missing.

    """
    for name, column in wanted.mapping.items():
        if column not in columns:
            close = _likely_column(column, columns)
            raise UsageError(
                f"{source} has no column {column!r} to read `{name}` from; it has "
                f"{list_columns(columns)}: write --map {name}={close or 'NAME'}"
            )
    mapped = set(wanted.mapping.values())
    canonical = {c: c for c in columns if wanted.canonical(c) and c not in mapped}
    return {**canonical, **wanted.mapping}


def missing_columns_error(
    source: str, missing: Sequence[str], columns: Sequence[str], note: str = ""
) -> TruewardError:
    """Return the error about needed columns that a source lacks, with the mapping to write.

    Parameters
    ----------
    source : str
        Name of the source.
    missing : sequence of str
        Canonical names that were not found.
    columns : sequence of str
        Names of all columns of the source.
    note : str
        Appended to the message.

    Returns
    -------
    TruewardError
        The error, to be raised by the caller.

    """
    flags = " ".join(f"--map {name}={_likely_column(name, columns) or 'NAME'}" for name in missing)
    word = "columns" if len(missing) > 1 else "column"
    return TruewardError(
        f"{source} has no {word} {_and([f'`{m}`' for m in missing])}; it has "
        f"{list_columns(columns)}: name the column to read with {flags}{note}"
    )


def list_columns(columns: Sequence[str]) -> str:
    """Return the first 20 names, quoted, and the number of the rest.

    Parameters
    ----------
    columns : sequence of str
        Names of the columns.

    Returns
    -------
    str
        A list for an error message.

    Examples
    --------
    >>> list_columns(["a", "b"])
    "'a', 'b'"

    """
    first = ", ".join(repr(c) for c in columns[:20])
    rest = len(columns) - 20
    return (first or "no columns") + (f" and {rest} more" if rest > 0 else "")


def _likely_column(name: str, columns: Sequence[str]) -> str | None:
    """Find the column that most likely holds ``name``: same letters, a synonym, a near spelling."""
    by_lower_case = {c.lower(): c for c in reversed(columns) if c != name}
    for candidate in (name, *SYNONYMS.get(name, ())):
        if candidate.lower() in by_lower_case:
            return by_lower_case[candidate.lower()]
    match = nearest(name.lower(), by_lower_case)
    return None if match is None else by_lower_case[match]


def _and(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
