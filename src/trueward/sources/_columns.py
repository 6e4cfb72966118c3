"""The generic tables as Parquet, column by column: no row of them ever becomes a Python object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trueward.readers.columnar import DAMAGE

from ._staging import EVENTS, MESSAGES, RESPONSES, STAGED_EVENTS, STAGED_RESPONSES, TIME

if TYPE_CHECKING:
    from pathlib import Path

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
        zoned = column if found.time_zone else column.dt.replace_time_zone("UTC")
        return zoned.dt.convert_time_zone("UTC").cast(TIME)
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
