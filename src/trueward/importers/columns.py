"""The generic tables as Parquet, read column by column: no row of them becomes a Python object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trueward.data.readers.columnar import DAMAGE

from .schema import EVENTS, MESSAGES, RESPONSES, STAGED_EVENTS, STAGED_RESPONSES, TIME
from .values import TIME_UNITS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# seconds up to 59, a fraction of at most six digits; without a zone it is UTC
UTC_TEXT = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:[0-5]\d(?:\.(\d{1,6}))?(?:Z|\+00:00)?$"
NEEDED_RESPONSE = {"response_id", "prompt", "response"}
NEEDED_EVENT = {"response_id", "channel", "value"}


def read_columns(path: Path) -> tuple[str, pl.LazyFrame] | None:
    """Return the staged rows of a Parquet file whose columns have the types of the tables.

    Parameters
    ----------
    path : Path
        A file with responses or events.

    Returns
    -------
    tuple of (str, LazyFrame) or None
        ``response`` or ``event``, and the rows; None if the file must be read row by row.

    """
    try:
        rows = pl.scan_parquet(path)
        schema = dict(rows.collect_schema())
    except DAMAGE:
        return None  # the row reader reports where
    wanted, staged, kind = RESPONSES, STAGED_RESPONSES, "response"
    if not schema.keys() >= NEEDED_RESPONSE:
        wanted, staged, kind = EVENTS, STAGED_EVENTS, "event"
        if not schema.keys() >= NEEDED_EVENT:
            return None
    columns = []
    for name, dtype in wanted.items():
        column = cast_column(name, schema[name], dtype) if name in schema else pl.lit(None, dtype)
        if column is None and dtype == TIME:
            column = _parsed_times(rows, name)
        if column is None:
            return None
        columns.append(column.alias(name))
    context = _context_columns(schema) if kind == "response" else []
    line = pl.col("line").cast(pl.Int64)
    rows = rows.with_row_index("line", offset=1).select(line, *columns, *context)
    constants: dict[str, Any] = {"file": str(path), "precedence": "answer"}
    others = [
        pl.lit(constants.get(name), dtype).alias(name)
        for name, dtype in staged.items()
        if name not in wanted and name != "line"
    ]
    return kind, rows.with_columns(others)


def cast_column(name: str, dtype: pl.DataType, wanted: Any) -> pl.Expr | None:
    """Return a column in the wanted type; None if its type alone does not decide.

    Parameters
    ----------
    name : str
        The column.
    dtype : DataType
        Its type.
    wanted : DataType
        A type of ``RESPONSES`` or ``EVENTS``.

    Returns
    -------
    Expr or None
        The cast. An empty text is null, except in ``response``: an id must not be empty.

    """
    column = pl.col(name)
    if dtype == pl.Null:
        return column.cast(wanted)
    if wanted == MESSAGES:
        return _cast_messages(column, dtype)
    if wanted == TIME:
        return to_utc(column, dtype) if isinstance(dtype, pl.Datetime) else None
    if wanted == pl.String:
        is_category = isinstance(dtype, pl.Categorical | pl.Enum)
        if not (dtype == pl.String or dtype.is_integer() or is_category):
            return None
        text = column.cast(pl.String)
        return text if name == "response" else pl.when(text != "").then(text)
    if wanted == pl.Float64:
        return column.cast(pl.Float64) if dtype.is_numeric() or dtype == pl.Boolean else None
    return column.cast(wanted, strict=False) if dtype.is_integer() else None


def to_utc(column: pl.Expr, dtype: pl.Datetime) -> pl.Expr:
    """Return times in the type ``TIME``; times without a zone are UTC.

    Parameters
    ----------
    column : Expr
        A datetime column.
    dtype : Datetime
        Its type.

    Returns
    -------
    Expr
        The times in UTC.

    """
    zoned = column if dtype.time_zone else column.dt.replace_time_zone("UTC")
    return zoned.dt.convert_time_zone("UTC").cast(TIME)


def number_to_micros(column: pl.Expr) -> pl.Expr:
    """Return microseconds since 1970 of a number whose size determines its unit; see `values.parse_time`.

    Parameters
    ----------
    column : Expr
        Seconds, milli-, micro- or nanoseconds since 1970.

    Returns
    -------
    Expr
        Whole microseconds, as Float64.

    """
    number = column.cast(pl.Float64)
    units = [pl.when(number.abs() < limit).then(pl.lit(unit)) for limit, unit in TIME_UNITS]
    return (number / pl.coalesce(units) * 1e6).round(mode="half_to_even")


def parsed_times(name: str, dtype: pl.DataType) -> pl.Expr | None:
    """Return times from numbers since 1970 or from ISO 8601 in UTC.

    Parameters
    ----------
    name : str
        The column.
    dtype : DataType
        Its type.

    Returns
    -------
    Expr or None
        The times in the type ``TIME``, for `is_time` to check; None for a type that holds no such times.

    """
    column = pl.col(name)
    if dtype.is_integer() or dtype.is_float():
        micros = number_to_micros(column)
        return micros.cast(pl.Int64, strict=False).cast(TIME)
    if dtype == pl.String:
        seconds = pl.when(column.str.contains(UTC_TEXT)).then(column.str.head(19))
        digits = column.str.extract(UTC_TEXT, 1).str.pad_end(6, "0").cast(pl.Int64)
        whole = seconds.str.replace(" ", "T", literal=True).str.to_datetime(
            "%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False
        )
        fraction = pl.duration(microseconds=digits.fill_null(0))
        return (whole + fraction).dt.replace_time_zone("UTC").cast(TIME)
    return None


def is_time(times: pl.Expr) -> pl.Expr:
    """Return whether values became times that a log can hold.

    Parameters
    ----------
    times : Expr
        As `parsed_times` returns it.

    Returns
    -------
    Expr
        False for a null.

    """
    return times.dt.year().is_between(1, 9999).fill_null(value=False)


def _parsed_times(rows: pl.LazyFrame, name: str) -> pl.Expr | None:
    """Return times from numbers since 1970 or from ISO 8601 in UTC; None if any value is neither."""
    dtype = rows.collect_schema()[name]
    times = None if dtype.is_float() else parsed_times(name, dtype)
    if times is None:
        return None
    is_valid = pl.col(name).is_null() | is_time(times)
    try:
        all_valid = rows.select(is_valid.all()).collect(engine="streaming").item()
    except DAMAGE:
        return None  # the row reader reports where
    return times if all_valid else None


def _cast_messages(column: pl.Expr, dtype: pl.DataType) -> pl.Expr | None:
    if dtype == pl.String:
        message = pl.struct(pl.lit("user").alias("role"), column.alias("content"))
        return pl.when(column != "").then(pl.concat_list(message)).cast(MESSAGES)
    if not isinstance(dtype, pl.List) or not isinstance(dtype.inner, pl.Struct):
        return None
    fields = {field.name: field.dtype for field in dtype.inner.fields}
    if fields.get("role") != pl.String or fields.get("content") != pl.String:
        return None
    return role_and_content(column)


def role_and_content(column: pl.Expr) -> pl.Expr:
    """Return a list of structs with only the fields role and content, as ``MESSAGES``.

    Parameters
    ----------
    column : Expr
        A list of structs that have these fields, and perhaps others.

    Returns
    -------
    Expr
        The messages.

    """
    both = pl.struct(pl.element().struct.field("role"), pl.element().struct.field("content"))
    return column.list.eval(both).cast(MESSAGES)


def _context_columns(schema: dict[str, pl.DataType]) -> list[pl.Expr]:
    """Return the columns ``context.NAME``, and the fields of a column ``context``."""
    columns = [pl.col(name) for name in schema if name.startswith("context.")]
    struct = schema.get("context")
    if isinstance(struct, pl.Struct):
        context = pl.col("context").struct
        columns += [context.field(f.name).alias(f"context.{f.name}") for f in struct.fields]
    return columns


def find_damaged(paths: Iterable[Path]) -> tuple[Path, str] | None:
    """Return the first Parquet file that cannot be read to its end, and its reader's error.

    Parameters
    ----------
    paths : iterable of Path
        Parquet files.

    Returns
    -------
    tuple of (Path, str) or None
        None if all files are whole.

    """
    for path in paths:
        try:
            for _ in pl.scan_parquet(path).collect_batches():
                pass
        except DAMAGE as e:
            return path, " ".join(str(e).split())[:150]
    return None
