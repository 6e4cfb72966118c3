"""Turn the cells of one column into text, numbers, ids, times or categories, or name the cell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

import polars as pl

from trueward.core.errors import TruewardError

from .messages import Malformed, flatten, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

# A column as a reader gives it: typed, or plain values where the rows disagree on the type.
Column = pl.Series | list[object]

ALLOWED = {
    "prompt": "text or a list of {role, content} messages",
    "response": "text or a list of {role, content} messages",
    "feedback": "1 (good), 0 (bad) or null (none given)",
    "channel": "1, 0 or null (not logged)",
    "gold": "a number from 0 to 1, or null where there is none",
    "label": "a number from 0 to 1 in every row",
    "rating": "a finite number in every row",
    "weight": "a finite number, 0 or more, in every row",
    "propensity": "a probability above 0 and at most 1 in every row",
    "context": "a finite number, a category or null",
    "time": "an ISO 8601 date or time, or a number",
    "prompt_id": "text or a number in every row",
    "user_id": "text or a number",
    "model": "text or a number",
}


@dataclass(frozen=True)
class Place:
    """Says where a row of a table is: ``row 3 of log.csv``, ``line 7 of log.jsonl``."""

    source: str
    unit: str = "row"
    lines: Sequence[int] | None = None  # line of each row, where it is not the row's number

    def __call__(self, i: int) -> str:
        """Name row ``i``, counted from 0."""
        return f"{self.unit} {i + 1 if self.lines is None else self.lines[i]} of {self.source}"


def parse(column: Column, name: str, place: Place, *, untyped: bool = False) -> pl.Series:
    """Give the cells in the type that the canonical column ``name`` has, or name the wrong cell.

    ``untyped``: the source knows text only (CSV), so a context of numbers is recognised by parsing.
    """
    if isinstance(column, pl.Series) and column.null_count() == len(column):
        column = pl.Series([None] * len(column), dtype=pl.Null)
    if name in {"prompt", "response"}:
        return _text(column, name, place).alias(name)
    untyped |= isinstance(column, list)
    if isinstance(column, list):
        column = _spelled(column, name, place)
    kind = name.split(".", maxsplit=1)[0]
    if kind in {"feedback", "channel"}:
        values = _number(column, name, place).fill_nan(None)
        _check(values.is_null() | values.is_in([0.0, 1.0]), column, name, place)
    elif kind in {"gold", "label", "rating", "weight", "propensity"}:
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
    """Strings or lists of messages as String without nulls; an empty string is allowed."""
    if isinstance(column, pl.Series):
        if _is_words(column):
            _check(column.is_not_null(), column, name, place)
            return column.cast(pl.String)
        if not isinstance(column.dtype, pl.List | pl.Array):
            _refuse_all(column, name, place)
        column = column.to_list()
    flat: list[str] = []
    for i, value in enumerate(column):
        try:
            flat.append(flatten(value, "assistant" if name == "response" else "user"))
        except Malformed as e:
            raise TruewardError(
                f"`{name}` must be {ALLOWED[name]}, but {place(i)} {e}: correct or drop that row"
            ) from None
    return _encoded(flat, name, place)


def _encoded(values: Sequence[str | None], name: str, place: Place) -> pl.Series:
    try:
        return pl.Series(values, dtype=pl.String)
    except UnicodeEncodeError:
        i = next(i for i, v in enumerate(values) if v and v != v.encode(errors="replace").decode())
        raise TruewardError(
            f"`{name}` must be valid Unicode, but {place(i)} has half of a surrogate pair (a "
            "character that was cut in two): replace it by U+FFFD or drop that row"
        ) from None


def _spelled(column: list[object], name: str, place: Place) -> pl.Series:
    """Values of mixed types as strings, so that one rule parses them all."""
    for i, value in enumerate(column):
        if value is not None and not isinstance(value, str | int | float):
            _refuse(column, i, name, place)
    return _encoded([None if v is None else str(v) for v in column], name, place)


def _is_words(column: pl.Series) -> bool:
    return isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum | pl.Null)


def _is_numbers(column: pl.Series) -> bool:
    return column.dtype.is_numeric() or isinstance(column.dtype, pl.Boolean | pl.Null)


def _holds_numbers(column: pl.Series, *, untyped: bool) -> bool:
    """Say whether a context column is numbers: by its type, or in ``untyped`` text by its cells."""
    if not (untyped and _is_words(column)):
        return _is_numbers(column)
    words = _words(column)
    return words.cast(pl.Float64, strict=False).null_count() == words.null_count()


def _words(column: pl.Series) -> pl.Series:
    """Text cells ready to be parsed as numbers: true is 1, false is 0, empty is null."""
    words = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    return words.replace({"true": "1", "false": "0", "": None})


def _number(column: pl.Series, name: str, place: Place) -> pl.Series:
    """Numbers, booleans and their spellings as Float64."""
    if _is_numbers(column):
        return column.cast(pl.Float64)
    if not _is_words(column):
        _refuse_all(column, name, place)
    words = _words(column)
    values = words.cast(pl.Float64, strict=False)
    _check(words.is_null() | values.is_not_null(), column, name, place)
    return values


def _quantity(column: pl.Series, name: str, place: Place) -> pl.Series:
    """Float64 within the range of ``name``; only gold may have nulls between its numbers."""
    values = _number(column, name, place)
    if values.null_count() == len(values):
        return values  # a column without a single value counts as absent
    if name == "gold":
        values = values.fill_nan(None)
    within = {
        "gold": values.is_between(0, 1),
        "label": values.is_between(0, 1),
        "rating": values.is_finite(),
        "weight": values.is_finite() & (values >= 0),
        "propensity": values.is_between(0, 1, closed="right"),
    }[name]
    _check(within.fill_null(value=name == "gold"), column, name, place)
    if name == "weight" and not values.sum():
        raise TruewardError(
            f"`weight` must be positive in some row, but it is 0 in every row of {place.source}: "
            "correct or drop the column"
        )
    return values


def _time(column: pl.Series, name: str, place: Place) -> pl.Series:
    """Dates and ISO 8601 texts as UTC Datetime without a zone; numbers stay numbers (Float64)."""
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
    for i, word in enumerate(words.str.to_uppercase().to_list()):
        try:
            moment = None if word is None else datetime.fromisoformat(word)
        except ValueError:
            _refuse(column, i, name, place)
        aware = moment is not None and moment.tzinfo is not None
        times.append(moment.astimezone(UTC).replace(tzinfo=None) if moment and aware else moment)
    return pl.Series(times, dtype=pl.Datetime("us"))


def _strings(column: pl.Series, name: str, place: Place) -> pl.Series:
    """Ids and categories of any scalar type as String; an empty string is null."""
    if column.dtype.is_nested() or isinstance(column.dtype, pl.Binary | pl.Object):
        _refuse_all(column, name, place)
    if column.dtype.is_float():
        column = column.fill_nan(None)
        exact = (column == column.floor()) & (column.abs() <= 2**53)
        if exact.all():  # ids that became floats because some are missing
            column = column.cast(pl.Int64)
    return column.cast(pl.String).replace({"": None})


def _check(ok: pl.Series, column: pl.Series, name: str, place: Place) -> None:
    if not ok.all():
        _refuse(column, int((~ok).arg_true()[0]), name, place)


def _refuse_all(column: pl.Series, name: str, place: Place) -> NoReturn:
    """Raise about the type of a whole column, at its first value."""
    _refuse(column, int(column.is_not_null().arg_true()[0]), name, place)


def _refuse(column: Column, i: int, name: str, place: Place) -> NoReturn:
    value, allowed = column[i], ALLOWED[name.partition(".")[0]]
    value = value.to_list() if isinstance(value, pl.Series) else value
    raise TruewardError(
        f"`{name}` must be {allowed}, but {place(i)} has {shown(value)}: "
        "correct the value or map another column"
    )
