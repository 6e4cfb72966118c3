"""Convert the cells of a column to the type of its canonical name; errors name the wrong cell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

import polars as pl

from trueward.core.errors import TruewardError
from trueward.data.date_formats import find_format, parse_date

from .messages import Malformed, flatten, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A column as a reader returns it: typed, or plain values if the rows differ in type.
Column = pl.Series | list[object]

#: Family or name of a column -> the values it may have, in words.
ALLOWED = {
    "prompt": "text or a list of {role, content} messages",
    "response": "text or a list of {role, content} messages",
    "feedback": "1 (good), 0 (bad) or null (none given)",
    "channel": "1, 0 or null (not logged)",
    "gold": "a number from 0 to 1, or null where there is none",
    "label": "a number from 0 to 1 in every row",
    "rating": "a finite number in every row",
    "weight": "a finite number, 0 or more, in every row",
    "gold_weight": "1 / P(labelled), a finite number above 0, or null where there is no gold label",
    "propensity": "a probability above 0 and at most 1 in every row",
    "asked": "1 (asked), 0 (not asked) or null",
    "seen": "1 (the question was on the screen), 0 or null",
    "p_ask": "P(asked), from 0 to 1, or null where there was no lottery",
    "ask_level": "a whole number, 0 or more, or null",
    "response_id": "text or a number",
    "trace_id": "text or a number",
    "context": "a finite number, a category or null",
    "time": "an ISO 8601 date or time, or a number",
    "prompt_id": "text or a number in every row",
    "user_id": "text or a number",
    "model": "text or a number",
}

SPARSE = ("gold", "gold_weight", "p_ask", "ask_level")  # quantities that only some rows have
QUANTITIES = (*SPARSE, "label", "rating", "weight", "propensity")


@dataclass(frozen=True)
class Place:
    """Names the rows of a table for error messages.

    Attributes
    ----------
    source : str
        Path or description of the table.
    unit : str
        ``row``, ``line`` or ``record``.
    lines : sequence of int or None
        Number of each row in the file; None if the rows are numbered without gaps.

    Examples
    --------
    >>> Place("log.jsonl", "line", [1, 3])(1)
    'line 3 of log.jsonl'

    """

    source: str
    unit: str = "row"
    lines: Sequence[int] | None = None

    def __call__(self, i: int) -> str:
        """Return the name of row ``i``, counted from 0."""
        return f"{self.unit} {i + 1 if self.lines is None else self.lines[i]} of {self.source}"


def parse_column(column: Column, name: str, place: Place, *, untyped: bool = False) -> pl.Series:
    """Convert the cells of a column to the type of its canonical name.

    Parameters
    ----------
    column : Column
        The cells as read.
    name : str
        Canonical name; the part before a dot decides, see `ALLOWED`.
    place : Place
        Names a row in the error.
    untyped : bool
        The source has text only (CSV), so a context of numbers is recognised by parsing.

    Returns
    -------
    polars.Series
        String (texts, ids, categories), Float64 (numbers) or Datetime, named ``name``.

    Raises
    ------
    TruewardError
        About the first cell that is not allowed.

    """
    if isinstance(column, pl.Series) and column.null_count() == len(column):
        column = pl.Series([None] * len(column), dtype=pl.Null)
    if name in {"prompt", "response"}:
        return _text(column, name, place).alias(name)
    untyped |= isinstance(column, list)
    if isinstance(column, list):
        column = _as_text(column, name, place)
    kind = name.split(".", maxsplit=1)[0]
    if kind in {"feedback", "channel", "asked", "seen"}:
        values = _number(column, name, place).fill_nan(None)
        _check(values.is_null() | values.is_in([0.0, 1.0]), column, name, place)
    elif kind in QUANTITIES:
        values = _quantity(column, name, place)
    elif kind == "time":
        values = _time(column, name, place)
    elif kind == "context" and _holds_numbers(column, untyped=untyped):
        values = _number(column, name, place).fill_nan(None)
        _check(values.is_finite().fill_null(value=True), column, name, place)
    else:
        values = _strings(column, name, place)
        if kind == "prompt_id" and values.null_count() < len(values):
            _check(values.is_not_null(), column, name, place)
    return values.alias(name)


def _text(column: Column, name: str, place: Place) -> pl.Series:
    """Convert strings or lists of messages to String without nulls; an empty string is allowed."""
    if isinstance(column, pl.Series):
        if _is_words(column):
            _check(column.is_not_null(), column, name, place)
            return column.cast(pl.String)
        if not isinstance(column.dtype, pl.List | pl.Array):
            _refuse_all(column, name, place)
        column = column.to_list()
    texts: list[str] = []
    for i, value in enumerate(column):
        try:
            texts.append(flatten(value, "assistant" if name == "response" else "user"))
        except Malformed as e:
            raise TruewardError(
                f"`{name}` must be {ALLOWED[name]}, but {place(i)} {e}: correct or drop that row"
            ) from None
    return _encoded(texts, name, place)


def _encoded(values: Sequence[str | None], name: str, place: Place) -> pl.Series:
    try:
        return pl.Series(values, dtype=pl.String)
    except UnicodeEncodeError:
        i = next(i for i, v in enumerate(values) if v and v != v.encode(errors="replace").decode())
        raise TruewardError(
            f"`{name}` must be valid Unicode, but {place(i)} has half of a surrogate pair (a "
            "character that was cut in two): replace it with U+FFFD or drop that row"
        ) from None


def _as_text(column: list[object], name: str, place: Place) -> pl.Series:
    """Convert values of mixed types to strings, so that one rule parses them all."""
    for i, value in enumerate(column):
        if value is not None and not isinstance(value, str | int | float):
            _refuse(column, i, name, place)
    return _encoded([None if v is None else str(v) for v in column], name, place)


def _is_words(column: pl.Series) -> bool:
    return isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum | pl.Null)


def _is_numbers(column: pl.Series) -> bool:
    return column.dtype.is_numeric() or isinstance(column.dtype, pl.Boolean | pl.Null)


def _holds_numbers(column: pl.Series, *, untyped: bool) -> bool:
    """Whether a context column is numeric: by its type, or in ``untyped`` text by its cells."""
    if not (untyped and _is_words(column)):
        return _is_numbers(column)
    words = _words(column)
    return words.cast(pl.Float64, strict=False).null_count() == words.null_count()


def _words(column: pl.Series) -> pl.Series:
    """Prepare text cells for parsing as numbers: true is 1, false is 0, empty is null."""
    words = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    return words.replace({"true": "1", "false": "0", "": None})


def _number(column: pl.Series, name: str, place: Place) -> pl.Series:
    """Convert numbers, booleans and their spellings to Float64."""
    if _is_numbers(column):
        return column.cast(pl.Float64)
    if not _is_words(column):
        _refuse_all(column, name, place)
    words = _words(column)
    values = words.cast(pl.Float64, strict=False)
    _check(words.is_null() | values.is_not_null(), column, name, place)
    return values


def _quantity(column: pl.Series, name: str, place: Place) -> pl.Series:
    """Convert to Float64 and check the range of ``name``; only `SPARSE` may have nulls between numbers."""
    values = _number(column, name, place)
    if values.null_count() == len(values):
        return values  # a column without any value counts as absent
    if name in SPARSE:
        values = values.fill_nan(None)
    within = {
        "gold": values.is_between(0, 1),
        "label": values.is_between(0, 1),
        "rating": values.is_finite(),
        "weight": values.is_finite() & (values >= 0),
        "gold_weight": values.is_finite() & (values > 0),
        "propensity": values.is_between(0, 1, closed="right"),
        "p_ask": values.is_between(0, 1),
        "ask_level": (values >= 0) & (values == values.floor()),
    }[name]
    _check(within.fill_null(value=name in SPARSE), column, name, place)
    if name == "weight" and not values.sum():
        raise TruewardError(
            f"`weight` must be positive in some row, but it is 0 in every row of {place.source}: "
            "correct or drop the column"
        )
    largest = values.max()
    if name == "gold_weight" and isinstance(largest, float) and largest < 1:
        raise TruewardError(
            f"`gold_weight` must be {ALLOWED[name]}, but its largest value in {place.source} is {largest:g}, "
            "below 1, which no 1 / P is: if the column holds P(labelled), write 1 / P"
        )
    return values


def _time(column: pl.Series, name: str, place: Place) -> pl.Series:
    """Convert dates and texts of one format to UTC Datetime without a zone; numbers stay Float64."""
    if _is_numbers(column):
        return column.cast(pl.Float64).fill_nan(None)
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if isinstance(column.dtype, pl.Datetime | pl.Date):
        return column.cast(pl.Datetime("us"))
    if not _is_words(column):
        _refuse_all(column, name, place)
    words = _words(column)
    numbers = words.cast(pl.Float64, strict=False)
    if numbers.null_count() == words.null_count():
        return numbers
    times: list[datetime | None] = []
    texts = words.str.to_uppercase().to_list()
    others = [word for word in texts if word is not None and _moment(word) is None]
    form = find_format(others, name) if others else None
    for i, word in enumerate(texts):
        moment = None if word is None else _moment(word)
        if moment is None and word is not None and form is not None:
            moment = parse_date(word, form)
        if moment is None and word is not None:
            _refuse(column, i, name, place)
        aware = moment is not None and moment.tzinfo is not None
        times.append(moment.astimezone(UTC).replace(tzinfo=None) if moment and aware else moment)
    return pl.Series(times, dtype=pl.Datetime("us"))


def _moment(word: str) -> datetime | None:
    """Return the time of ISO 8601 text, in its zone if it names one; None if the text is something else."""
    try:
        return datetime.fromisoformat(word)
    except ValueError:
        return None


def _strings(column: pl.Series, name: str, place: Place) -> pl.Series:
    """Convert ids and categories of any scalar type to String; an empty string becomes null."""
    if column.dtype.is_nested() or isinstance(column.dtype, pl.Binary | pl.Object):
        _refuse_all(column, name, place)
    if column.dtype.is_float():
        column = column.fill_nan(None)
        exact = (column == column.floor()) & (column.abs() <= 2**53)
        if exact.all():  # integer ids that became floats because some are missing
            column = column.cast(pl.Int64)
    return column.cast(pl.String).replace({"": None})


def _check(ok: pl.Series, column: pl.Series, name: str, place: Place) -> None:
    if not ok.all():
        _refuse(column, int((~ok).arg_true()[0]), name, place)


def _refuse_all(column: pl.Series, name: str, place: Place) -> NoReturn:
    """Raise about the type of a column, with its first value."""
    _refuse(column, int(column.is_not_null().arg_true()[0]), name, place)


def _refuse(column: Column, i: int, name: str, place: Place) -> NoReturn:
    value, allowed = column[i], ALLOWED[name.partition(".")[0]]
    value = value.to_list() if isinstance(value, pl.Series) else value
    raise TruewardError(
        f"`{name}` must be {allowed}, but {place(i)} has {shown(value)}: "
        "correct the value or map another column"
    )
