"""Canonical columns of logs, tests and pairs, and the errors about missing ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import polars as pl

from trueward.core.errors import TruewardError

from .lottery_columns import LOTTERY
from .readers import list_columns, missing_columns_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .readers import Table
    from .readers.cell_types import Column

REQUIRED = ("prompt", "response", "feedback", "prompt_id")
OPTIONAL = ("gold", "user_id", "time", "model", "weight", "gold_weight", "propensity", *LOTTERY)
SELDOM = ("gold_weight", *LOTTERY)  # of columns that few logs need, none is said to be missing
FAMILIES = ("channel", "context")
CONTEXT_WORDS = frozenset(
    "app browser campaign client country device experiment form group language lang latency locale os page"  # noqa: SIM905
    " plan platform position region screen segment site surface tier tokens variant version widget".split()
)
OTHER_WORDS = frozenset(
    "annotation at channel comment date day feedback gold hash id ids judge key label name prompt rating"  # noqa: SIM905
    " response score session text time timestamp url user uuid".split()
)
PAIR_COLUMNS = ("prompt", "response", "prompt_id", "user_id", "model", "time")
TEST_COLUMNS = ("prompt", "response", "prompt_id", "label", "rating", "user_id", "weight")


def log_order(names: Sequence[str]) -> list[str]:
    """Return names in the order of a log: required, optional, channels and contexts by name.

    Parameters
    ----------
    names : sequence of str
        Canonical names.

    Returns
    -------
    list of str
        The same names.

    Examples
    --------
    >>> log_order(["context.a", "gold", "channel.b", "prompt"])
    ['prompt', 'gold', 'channel.b', 'context.a']

    """
    fixed = [name for name in (*REQUIRED, *OPTIONAL) if name in names]
    return fixed + sorted(set(names) - set(fixed))


def ignored_columns(table: Table, names: Mapping[str, str], frame: pl.DataFrame) -> tuple[str, ...]:
    """Return the columns of a source that are not in the frame made of it.

    Parameters
    ----------
    table : Table
        The source.
    names : mapping of str to str
        Canonical name -> column of the source.
    frame : polars.DataFrame
        The canonical columns that are used.

    Returns
    -------
    tuple of str
        Names in the order of the source.

    """
    used = {names[name] for name in frame.columns if name in names}
    return tuple(column for column in table.names if column not in used)


def may_be_context(name: str) -> bool:
    """Return whether a column may be context, judged by its name.

    Parameters
    ----------
    name : str
        Name of a column that is not used.

    Returns
    -------
    bool
        True for a name such as ``device`` or ``app_version``; False for ids, times, labels and texts.

    """
    words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))
    return bool(words & CONTEXT_WORDS) and not words & OTHER_WORDS


def context_candidates(table: Table, names: Mapping[str, str]) -> tuple[str, ...]:
    """Return the unused columns that may be context: by name, and because they vary over few values.

    Parameters
    ----------
    table : Table
        The source.
    names : mapping of str to str
        Canonical name -> column of the source.

    Returns
    -------
    tuple of str
        Names in the order of the source.

    """
    used = set(names.values())
    return tuple(
        name
        for name, column in table.columns.items()
        if name not in used and may_be_context(name) and _varies(column)
    )


def _varies(column: Column) -> bool:
    """Whether a column has at least two values, and is numeric or repeats its categories."""
    if not isinstance(column, pl.Series) or column.dtype.is_nested():
        return False
    values = column.drop_nulls()
    different = values.n_unique()
    return different > 1 and (column.dtype.is_numeric() or different <= max(2, len(values) // 2))


def require_texts(table: Table, names: Mapping[str, str]) -> None:
    """Raise if a source has no prompt or no response.

    Parameters
    ----------
    table : Table
        The source.
    names : mapping of str to str
        Canonical name -> column of the source.

    Raises
    ------
    TruewardError
        With the mapping to write.

    """
    missing = [name for name in ("prompt", "response") if name not in names]
    if missing:
        raise missing_columns_error(table.source, missing, table.names)


def require_feedback(table: Table, names: Mapping[str, str]) -> None:
    """Raise if a source has no prompt, no response, or neither feedback nor two channels.

    Parameters
    ----------
    table : Table
        The source.
    names : mapping of str to str
        Canonical name -> column of the source.

    Raises
    ------
    TruewardError
        With the mapping to write.

    """
    channels = [name for name in names if name.startswith("channel.")]
    needed = ["prompt", "response", *(["feedback"] if not channels else [])]
    missing = [name for name in needed if name not in names]
    if missing:
        ambiguous = "feedback" in missing and "label" in table.names
        note = " ('label' may be feedback of users, or a gold label: --map gold=label)"
        raise missing_columns_error(table.source, missing, table.names, note if ambiguous else "")
    if "feedback" not in names and len(channels) == 1:
        raise no_feedback_error(table, names, channels)


def no_feedback_error(
    table: Table, names: Mapping[str, str], channels: Sequence[str]
) -> TruewardError:
    """Return the error about a log without any feedback and with less than two channels.

    Parameters
    ----------
    table : Table
        The source.
    names : mapping of str to str
        Canonical name -> column of the source.
    channels : sequence of str
        Canonical names of the channels that have values.

    Returns
    -------
    TruewardError
        With the mapping to write.

    """
    problem = "its column has no value" if "feedback" in names else "there is no such column"
    if len(channels) == 1:
        return TruewardError(
            f"{table.source} needs `feedback`, but {problem}; one channel alone counts as feedback: "
            f"write --map feedback={names[channels[0]]}"
        )
    return TruewardError(
        f"{table.source} needs `feedback` or two channels, but {problem}; it has "
        f"{list_columns(table.names)}: map a column with values by --map feedback=NAME"
    )


def require_truth(table: Table, names: Mapping[str, str]) -> None:
    """Raise if a test has neither ``label`` nor ``rating``.

    Parameters
    ----------
    table : Table
        The source.
    names : mapping of str to str
        Canonical name -> column of the source.

    Raises
    ------
    TruewardError
        With the mapping to write.

    """
    if {"label", "rating"} & names.keys():
        return
    for column in ("gold", "feedback"):
        if column in table.names:
            condition = " (only if an expert gave it)" if column == "feedback" else ""
            raise TruewardError(
                f"a test needs a `label` or a `rating`, but {table.source} has neither; it has "
                f"{list_columns(table.names)}: if {column!r} is the truth, write --map label={column}"
                f"{condition}"
            )
    raise missing_columns_error(table.source, ["label"], table.names, " or --map rating=NAME")
