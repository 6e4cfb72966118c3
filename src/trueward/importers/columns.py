"""The generic tables as Parquet, column by column: no row of them ever becomes a Python object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trueward.data.readers.columnar import DAMAGE

from .staging import EVENTS, MESSAGES, RESPONSES, STAGED_EVENTS, STAGED_RESPONSES, TIME
from .values import SCALES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# of seconds up to 59, a fraction of six digits at most
UTC_TEXT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d(?:\.(\d{1,6}))?(?:Z|\+00:00)$"
Part = tuple[str, pl.LazyFrame]  # response or event, and the staged rows


def columns(path: Path) -> Part | None:
    """Give the rows of a file whose columns have the types of the tables; None: read it row by row."""
    try:
        rows = pl.scan_parquet(path)
        schema = dict(rows.collect_schema())
    except DAMAGE:
        return None  # the row reader says where
    wanted, staged, kind = RESPONSES, STAGED_RESPONSES, "response"
    if not {"response_id", "prompt", "response"} <= schema.keys():
        wanted, staged, kind = EVENTS, STAGED_EVENTS, "event"
        if not {"response_id", "channel", "value"} <= schema.keys():
            return None
    made = []
    for name, dtype in wanted.items():
        column = _cast(name, schema[name], dtype) if name in schema else pl.lit(None, dtype)
        if column is None and dtype == TIME:
            column = _time(rows, name)
        if column is None:
            return None
        made.append(column.alias(name))
    context = _context(schema) if kind == "response" else []
    rows = rows.with_row_index("line", offset=1).select(
        pl.col("line").cast(pl.Int64), *made, *context
    )
    given: dict[str, Any] = {"file": str(path), "standing": "answer"}
    more = [
        pl.lit(given.get(name), dtype).alias(name)
        for name, dtype in staged.items()
        if name not in wanted and name != "line"
    ]
    return kind, rows.with_columns(more)


def _cast(name: str, found: pl.DataType, wanted: Any) -> pl.Expr | None:
    """Give a column in the wanted type, or None where that takes a look at each value."""
    column = pl.col(name)
    if found == pl.Null:
        return column.cast(wanted)
    if wanted == MESSAGES:
        return _messages(column, found)
    if wanted == TIME:
        if not isinstance(found, pl.Datetime):
            return None
        return utc(column, found)
    if wanted == pl.String:
        plain = (
            found == pl.String or found.is_integer() or isinstance(found, pl.Categorical | pl.Enum)
        )
        text = column.cast(pl.String)
        whole = name == "response"  # an answer may be empty, an id may not
        return (text if whole else pl.when(text != "").then(text)) if plain else None
    if wanted == pl.Float64:
        return column.cast(pl.Float64) if found.is_numeric() or found == pl.Boolean else None
    return column.cast(wanted, strict=False) if found.is_integer() else None


def utc(column: pl.Expr, found: pl.Datetime) -> pl.Expr:
    """Give times as the tables have them; without a zone they are UTC."""
    zoned = column if found.time_zone else column.dt.replace_time_zone("UTC")
    return zoned.dt.convert_time_zone("UTC").cast(TIME)


def counted(column: pl.Expr) -> pl.Expr:
    """Microseconds since 1970 of a number that counts from then, whose size says in which unit."""
    number = column.cast(pl.Float64)
    scale = pl.coalesce([pl.when(number.abs() < limit).then(pl.lit(per)) for limit, per in SCALES])
    return (number / scale * 1e6).round(mode="half_to_even")


def _time(rows: pl.LazyFrame, name: str) -> pl.Expr | None:
    """Give times that are counted since 1970, or ISO 8601 in UTC, if all of a column are."""
    column, kind = pl.col(name), rows.collect_schema()[name]
    if kind.is_integer():
        made = counted(column).cast(pl.Int64).cast(TIME)
    elif kind == pl.String:
        plain = pl.when(column.str.contains(UTC_TEXT)).then(column.str.head(19))
        fraction = column.str.extract(UTC_TEXT, 1).str.pad_end(6, "0").cast(pl.Int64)
        whole = plain.str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False)
        micro = pl.duration(microseconds=fraction.fill_null(0))
        made = (whole + micro).dt.replace_time_zone("UTC").cast(TIME)
    else:
        return None
    right = column.is_null() | made.dt.year().is_between(1, 9999).fill_null(value=False)
    try:
        every = rows.select(right.all()).collect(engine="streaming").item()
    except DAMAGE:
        return None  # the row reader says where
    return made if every else None


def _messages(column: pl.Expr, found: pl.DataType) -> pl.Expr | None:
    if found == pl.String:
        message = pl.struct(pl.lit("user").alias("role"), column.alias("content"))
        return pl.when(column != "").then(pl.concat_list(message)).cast(MESSAGES)
    if not isinstance(found, pl.List) or not isinstance(found.inner, pl.Struct):
        return None
    fields = {field.name: field.dtype for field in found.inner.fields}
    if fields.get("role") != pl.String or fields.get("content") != pl.String:
        return None
    both = pl.struct(pl.element().struct.field("role"), pl.element().struct.field("content"))
    return column.list.eval(both).cast(MESSAGES)


def _context(schema: dict[str, pl.DataType]) -> list[pl.Expr]:
    """Give the columns ``context.NAME``, and the fields of a column ``context``."""
    found = [pl.col(name) for name in schema if name.startswith("context.")]
    held = schema.get("context")
    if isinstance(held, pl.Struct):
        found += [
            pl.col("context").struct.field(f.name).alias(f"context.{f.name}") for f in held.fields
        ]
    return found


def damaged(paths: Iterable[Path]) -> tuple[Path, str] | None:
    """Find a file that ends where nobody expects it, and say what its reader says."""
    for path in paths:
        try:
            for _ in pl.scan_parquet(path).collect_batches():
                pass
        except DAMAGE as e:
            return path, " ".join(str(e).split())[:150]
    return None
