"""The generic tables as JSON lines, read column by column where all values have the types of the tables.

A block of lines is decoded into columns of the types that its first lines have. What does not fit is left to
the row reader, with its line numbers: a line that is no object, a value of another type, a time in another
spelling, a row without a text. So both ways give the same rows and the same rejects.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.json

from .columns import NEEDED_EVENT, NEEDED_RESPONSE, cast_column, is_time, parsed_times
from .json_types import CONTEXT, KNOWN, JsonTypes
from .line_blocks import line_blocks
from .schema import EVENTS, MESSAGES, RESPONSES, STAGED_EVENTS, STAGED_RESPONSES, TIME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .contract import Source

BLOCK = 1 << 24  # bytes of lines that are decoded at a time
FEW = 256  # lines that are not divided further if some do not fit
WHOLE = 2**31  # limit of the whole numbers of the tables
EXACT = 2.0**63  # numbers beyond are no integers of 64 bits


@dataclass
class Rows:
    """What became of a block of lines.

    Attributes
    ----------
    staged : list of (str, DataFrame)
        ``response`` or ``event``, and the columns that they have, for `with_constants`.
    others : list of (int, bytes)
        Lines for the row reader, each with its number.
    too_long : int or None
        Number of a line that was skipped.

    """

    staged: list[tuple[str, pl.DataFrame]] = field(default_factory=list)
    others: list[tuple[int, bytes]] = field(default_factory=list)
    too_long: int | None = None


def with_constants(rows: pl.LazyFrame, kind: str, name: str) -> pl.LazyFrame:
    """Add the columns of staged rows that have one value in the whole file.

    Parameters
    ----------
    rows : LazyFrame
        Rows of a file, with their lines.
    kind : str
        ``response`` or ``event``.
    name : str
        Path of the file.

    Returns
    -------
    LazyFrame
        Staged rows.

    """
    names = rows.collect_schema().names()
    constants: dict[str, Any] = {"file": name, "precedence": "answer"}
    staged = STAGED_RESPONSES if kind == "response" else STAGED_EVENTS
    return rows.with_columns(
        pl.lit(constants.get(column), dtype).alias(column)
        for column, dtype in staged.items()
        if column not in names
    )


def json_rows(file: IO[bytes], source: Source, longest: int) -> Iterator[Rows]:
    """Yield the rows of JSON lines, block by block.

    Parameters
    ----------
    file : binary file
        The lines.
    source : Source
        Tells responses from events.
    longest : int
        Bytes of a line that is too long.

    Yields
    ------
    Rows
        Rows and the lines that the row reader must read.

    """
    types = JsonTypes(source)
    for block in line_blocks(file, BLOCK, longest):
        rows = Rows()
        start = block.lines.removeprefix(b"\xef\xbb\xbf")
        if not types.counts:
            types.learn(start, whole=False)
        _read(start, block.first, types, rows)
        if block.too_long:
            rows.too_long = block.first + block.lines.count(b"\n")
        yield rows


def _read(lines: bytes, first: int, types: JsonTypes, rows: Rows) -> None:
    """Read lines by column; halve those that do not fit, and leave the last few to the row reader."""
    staged = _by_column(lines, first, types)
    if staged is not None:
        rows.staged += staged.staged
        rows.others += staged.others
        return
    middle = lines.find(b"\n", len(lines) // 2) + 1
    if lines.count(b"\n") <= FEW or not 0 < middle < len(lines):
        types.learn(lines, whole=True)
        rows.others += enumerate(io.BytesIO(lines), first)
        return
    _read(lines[:middle], first, types, rows)
    _read(lines[middle:], first + lines.count(b"\n", 0, middle), types, rows)


def _by_column(lines: bytes, first: int, types: JsonTypes) -> Rows | None:
    """Return the rows of lines of one object each; None if some value has another type."""
    breaks = _line_breaks(lines)
    if breaks is None:
        return None
    try:
        if not lines.isascii():
            lines.decode()
        table = pyarrow.json.read_json(
            pa.BufferReader(lines),
            pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
            pyarrow.json.ParseOptions(
                explicit_schema=types.schema(), unexpected_field_behavior="ignore"
            ),
        )
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    if table.num_rows != len(breaks) + 1 or not types.knows_context(lines, table):
        return None
    frame = _flat(pl.DataFrame(pl.from_arrow(table)))
    if frame is None:
        return None
    kind = "response" if frame["response"].null_count() < frame.height else "event"
    if kind == "event" and b'"prompt"' in lines and b'"response"' in lines:
        return None  # these keys would make responses of the rows, even without values
    typed = _typed(frame, first, kind)
    if typed is None:
        return None
    staged, odd = typed
    ends = [-1, *breaks.tolist(), len(lines)] if odd else []
    return Rows(staged, [(first + k, lines[ends[k] + 1 : ends[k + 1]]) for k in odd])


def _line_breaks(lines: bytes) -> np.ndarray[Any, Any] | None:
    """Return the positions of the line breaks; None if a line is not from ``{`` to ``}``."""
    end = next((end for end in (b"}\n", b"}\r\n", b"}") if lines.endswith(end)), None)
    if end is None or not lines.startswith(b"{"):
        return None
    text = np.frombuffer(lines, np.uint8, len(lines) - len(end) + 1)
    breaks = np.flatnonzero(text == ord("\n"))
    before = text[breaks - 1]
    if (before == ord("\r")).any():
        before = np.where(before == ord("\r"), text[breaks - 2], before)
    return breaks if (before == ord("}")).all() and (text[breaks + 1] == ord("{")).all() else None


def _flat(frame: pl.DataFrame) -> pl.DataFrame | None:
    """Replace the objects of the column ``context`` by columns; None if a name occurs twice."""
    if not isinstance(frame.schema.get(CONTEXT), pl.Struct):
        return frame
    inner = frame[CONTEXT].struct.unnest()
    inner = inner.rename({name: f"{CONTEXT}.{name}" for name in inner.columns})
    if set(inner.columns) & set(frame.columns):
        return None
    return frame.drop(CONTEXT).hstack(inner)


def _typed(
    frame: pl.DataFrame, first: int, kind: str
) -> tuple[list[tuple[str, pl.DataFrame]], list[int]] | None:
    """Return rows of one kind whose values all have the types of the tables, and where the others are."""
    has_value = {name: frame[name].null_count() < frame.height for name in frame.columns}
    schema = {n: dtype for n, dtype in frame.schema.items() if has_value[n] or n not in KNOWN}
    wanted, needed = (RESPONSES, NEEDED_RESPONSE) if kind == "response" else (EVENTS, NEEDED_EVENT)
    context = [name for name in schema if kind == "response" and name.startswith("context.")]
    if not needed <= schema.keys() or not all(_is_scalar(frame[name]) for name in context):
        return None
    if kind == "response" and has_value.get(CONTEXT):
        return None
    columns, valid = [], []
    for column in wanted.keys() & schema.keys():
        cast = _cast(column, schema[column], wanted[column])
        if cast is None:
            return None
        columns.append(cast[0].alias(column))
        valid += [] if cast[1] is None else [cast[1]]
        valid += [cast[0].is_not_null()] if column in needed else []
    line = (pl.int_range(pl.len(), dtype=pl.Int64) + first).alias("line")
    fits = pl.all_horizontal(valid).fill_null(value=False).alias("fits")
    rows = frame.select(fits, line, *columns, *context)
    for time in (name for name in schema if wanted.get(name) == TIME):
        is_valid = frame[time].is_null() | rows.select(is_time(pl.col(time))).to_series()
        rows = rows.with_columns(pl.col("fits") & is_valid)
    odd = (~rows["fits"]).arg_true().to_list()
    rows = (rows.filter("fits") if odd else rows).drop("fits")
    empty = [column for column in context if rows[column].null_count() == rows.height]
    if odd and empty:
        return None  # perhaps only rows that are left out have that key
    rows = rows.with_columns(pl.lit(None, pl.Null).alias(column) for column in empty)
    return ([(kind, rows)] if rows.height else []), odd


def _cast(name: str, dtype: pl.DataType, wanted: Any) -> tuple[pl.Expr, pl.Expr | None] | None:
    """Return a column in its type and whether each value has it, None for all; None if no value has."""
    column = pl.col(name)
    if wanted == TIME and dtype != pl.Null:
        times = parsed_times(name, dtype)
        return None if times is None else (times, None)
    if wanted == pl.Int32 and dtype.is_float():
        whole = column.cast(pl.Int64, strict=False).cast(pl.Int32, strict=False)
        return whole, column.is_null() | (column.abs() < WHOLE)
    if wanted == pl.Int32 and dtype == pl.Boolean:
        return None
    cast = cast_column(name, dtype, wanted)
    if cast is None or (name == "response" and dtype != pl.String):
        return None
    if wanted == pl.Int32:
        return cast, column.is_null() | column.is_between(-WHOLE, WHOLE - 1)
    if wanted == pl.Float64:
        return cast, column.is_null() | column.cast(pl.Float64).is_finite()
    if wanted == MESSAGES and dtype != pl.String:
        message = pl.element().struct
        has_gap = message.field("role").is_null() | message.field("content").is_null()
        return cast, (column.list.len() > 0) & ~column.list.eval(has_gap).list.any()
    if name == "channel":
        return cast, cast.is_not_null() & (cast != "thumbs")
    return cast, None


def _is_scalar(column: pl.Series) -> bool:
    """Whether all values of a context column have the type that the row reader would give them."""
    if column.dtype.is_float():
        return bool((column.is_null() | (column.abs() < EXACT)).all())
    return not column.dtype.is_nested()
