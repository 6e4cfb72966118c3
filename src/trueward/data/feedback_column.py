"""A column of feedback to 1, 0 and null, by the user's values and the vocabulary."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import polars as pl

from trueward.core.errors import TruewardError

from .feedback_words import LABELS, ONE, ZERO, column_meanings, number_of, spelled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .feedback_words import FeedbackWords
    from .readers.cell_types import Column, Place

SHOWN = 6  # values in an error


def read_feedback(
    column: Column, name: str, place: Place, words: FeedbackWords, *, ask: bool
) -> tuple[Column, dict[str, tuple[float | None, int]]]:
    """Convert a column of feedback to 1, 0 and null.

    Parameters
    ----------
    column : Column
        The cells as read.
    name : str
        Name of the column in the source.
    place : Place
        Names a row in the error.
    words : FeedbackWords
        What the user declares.
    ask : bool
        Whether a column of 0 and 1 without an empty cell is refused until the user says what 0 means.

    Returns
    -------
    tuple of (Series, dict)
        Float64 values; and, unless all values are 1, 0 or empty, each value with its label and its number
        of rows.

    Raises
    ------
    TruewardError
        If a value has no known meaning, or 0 may mean two things.

    """
    if isinstance(column, pl.Series):
        if column.dtype.is_nested() or column.dtype.is_temporal() or column.dtype == pl.Binary:
            return column, {}  # the check of its cells refuses it
        cells = column.fill_nan(None) if column.dtype.is_float() else column
        cells = (
            cells.cast(pl.String) if isinstance(cells.dtype, pl.Categorical | pl.Enum) else cells
        )
    elif all(cell is None or isinstance(cell, str | int | float) for cell in column):
        cells = pl.Series([None if cell is None else str(cell) for cell in column], dtype=pl.String)
    else:
        return column, {}  # as above
    tally = cells.alias("value").value_counts(name="n")

    def first_row(written: Sequence[object]) -> str:
        row = int(cells.is_in(written).fill_null(value=False).arg_true()[0])
        return f"{place(row)} has {cells[row]!r}"

    counts = dict(tally.iter_rows())
    labels, meanings = value_labels(counts, name, place.source, first_row, words, ask=ask)
    values = cells.replace_strict(
        list(labels), list(labels.values()), default=None, return_dtype=pl.Float64
    )
    return values, meanings


def value_labels(
    tally: Mapping[Any, int],
    name: str,
    source: str,
    first_row: Callable[[Sequence[object]], str],
    words: FeedbackWords,
    *,
    ask: bool,
) -> tuple[dict[Any, float | None], dict[str, tuple[float | None, int]]]:
    """Return the label of each value of a column of feedback.

    Parameters
    ----------
    tally : mapping
        Value -> number of rows; None is an empty cell.
    name : str
        Name of the column in the source.
    source : str
        Name of the table.
    first_row : callable
        Says of some values where the first is, for the error.
    words : FeedbackWords
        What the user declares.
    ask : bool
        As for `read_feedback`.

    Returns
    -------
    tuple of (dict, dict)
        Value -> 1, 0 or None; and what `read_feedback` returns beside its values.

    Raises
    ------
    TruewardError
        As for `read_feedback`.

    """
    spelling = {value: spelled(value) for value in tally}
    counts: Counter[str] = Counter()
    for value, n in tally.items():
        counts[spelling[value]] += n
    meanings, unknown = column_meanings(counts, words)
    if unknown:
        raise _unknown_values(name, first_row, spelling, unknown, counts)
    told = {word for word in counts if words.declared(word)}
    is_complete = set(counts) <= ZERO | ONE and counts.keys() & ZERO and counts.keys() & ONE
    if ask and is_complete and not told:
        raise _two_zeros(name, source, counts)
    labels = {
        value: LABELS[meanings[word]] for value, word in spelling.items() if value is not None
    }
    if not told and counts.keys() <= {"", "nan"} | ZERO | ONE:
        return labels, {}
    return labels, {w: (LABELS[meanings[w]], counts[w]) for w in sorted(counts)}


def _unknown_values(
    name: str,
    first_row: Callable[[Sequence[object]], str],
    spelling: Mapping[object, str],
    unknown: Sequence[str],
    counts: Mapping[str, int],
) -> TruewardError:
    written = [value for value, word in spelling.items() if word in unknown]
    found = first_row(written)
    written.sort(key=lambda value: (unknown.index(spelling[value]), str(value)))
    listed = ", ".join(f"{v!r} ({counts[spelling[v]]:,})" for v in written[:SHOWN])
    rest = f" and {len(written) - SHOWN} more" if len(written) > SHOWN else ""
    one = _quoted(written[0])
    flags = f"--positive {one}, --negative {one} or --unrated {one}"
    if all(number_of(word) is not None for word in unknown):
        flags = "--positive '>=4' --negative '<=2', with the limits of your scale"
    return TruewardError(
        f"`feedback` must be 1 (good), 0 (bad) or null (none given), or a known word such as like, but "
        f"{found} in {name!r}; values without a known meaning, with their rows: "
        f"{listed}{rest}: say what they mean by {flags}"
    )


def _two_zeros(name: str, source: str, counts: Mapping[str, int]) -> TruewardError:
    zeros = sum(counts[word] for word in counts if word in ZERO)
    return TruewardError(
        f"{name!r} of {source} is 0 in {zeros:,} rows and 1 in {sum(counts.values()) - zeros:,}, and "
        "never empty: 0 may be a bad rating or no reaction. Write --negative 0 if users rated these "
        "responses as bad, or --unrated 0 if they did not react"
    )


def _quoted(value: object) -> str:
    text = str(value)
    return text if re.fullmatch(r"[\w.+-]+", text) else f"'{text}'"
