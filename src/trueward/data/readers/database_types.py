"""Convert Arrow columns of a database to text, numbers, times and messages; other types are refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from trueward.core.errors import TruewardError

from .messages import Malformed, turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Convert = Callable[[pa.Array], pl.Series]

CHAT = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
TEXT_COLUMNS = ("prompt", "response")
CHAT_OR_TEXT = "text or a JSON list of {role, content} messages"
FINITE = "a time of the years 1 to 9999 or NULL"
TICKS = {  # in a day, by the unit of a type
    "date32[day]": 1,
    "date64[ms]": 86_400_000,
    "s": 86_400,
    "ms": 86_400_000,
    "us": 86_400_000_000,
    "ns": 86_400_000_000_000,
}
FIRST_DAY, LAST_DAY = -719_162, 2_932_896  # of the years 1 and 9999, counted from 1970
LARGEST = 2**63 - 3  # beyond it a time is infinite


@dataclass(frozen=True)
class Rows:
    """Rows of a query, batch by batch.

    Attributes
    ----------
    names : tuple of str
        Names of all columns of the query.
    frames : iterator of polars.DataFrame
        The wanted columns, one frame per batch; can be read once.

    """

    names: tuple[str, ...]
    frames: Iterator[pl.DataFrame]


def converted(
    schema: pa.Schema, batches: Iterator[pa.RecordBatch], wanted: Callable[[str], bool], path: Path
) -> Rows:
    """Convert the wanted columns of Arrow batches to types that a log has.

    Parameters
    ----------
    schema : pyarrow.Schema
        Types of the columns.
    batches : iterator of pyarrow.RecordBatch
        The rows, in order.
    wanted : callable
        Takes the name of a column and returns whether to convert it.
    path : Path
        The query, for errors.

    Returns
    -------
    Rows
        The converted batches, computed as they are read.

    Raises
    ------
    TruewardError
        If a wanted column occurs twice or has a type that a log cannot hold.

    """
    names = tuple(schema.names)
    fields = [(i, field.name, field.type) for i, field in enumerate(schema) if wanted(field.name)]
    if duplicates := sorted({name for _, name, _ in fields if names.count(name) > 1}):
        raise TruewardError(
            f"{path} returns the column {duplicates[0]!r} twice: name each column once, by AS"
        )
    conversions = [(i, name, _conversion(name, dtype, path)) for i, name, dtype in fields]
    return Rows(names, _frames(batches, conversions, path))


def _frames(
    batches: Iterator[pa.RecordBatch], conversions: list[tuple[int, str, Convert]], path: Path
) -> Iterator[pl.DataFrame]:
    rows_before = 0
    for batch in batches:
        columns = {}
        for i, name, convert in conversions:
            try:
                columns[name] = convert(batch.column(i))
            except _RowError as e:
                raise TruewardError(
                    f"row {rows_before + e.args[0] + 1} of {path} {e.args[1]} where {name!r} should be "
                    f"{e.args[2]}: convert it in the query"
                ) from None
        yield pl.DataFrame(columns)
        rows_before += batch.num_rows


class _RowError(Exception):
    """Number of a row in its batch, from 0, what is wrong with it, and what it should be."""


def _conversion(name: str, dtype: pa.DataType, path: Path) -> Convert:
    """Choose the conversion of a column by its type; numeric ids become text and keep every digit."""
    if isinstance(dtype, pa.BaseExtensionType):
        kind = dtype.extension_name
        if kind == "arrow.json":
            return _chat if name == "prompt" else _unquoted
        if kind == "arrow.uuid":
            return _uuid
        if kind == "arrow.bool8":
            return _boolean
        if kind == "arrow.opaque" and dtype.type_name == "numeric":
            return _text if name.endswith("_id") else _number
    elif pa.types.is_decimal(dtype):
        return _text if name.endswith("_id") else _number
    elif pa.types.is_dictionary(dtype):
        return _text
    elif pa.types.is_date(dtype) or pa.types.is_timestamp(dtype):
        return _time
    elif _is_plain(name, dtype):
        return _same
    type_name = dtype.type_name if isinstance(dtype, pa.OpaqueType) else str(dtype)
    raise TruewardError(
        f"{path} returns the column {name!r} as {type_name}, which a log cannot hold: convert it in the "
        f'query, as CAST(... AS TEXT) AS "{name}"'
    )


def _is_plain(name: str, dtype: pa.DataType) -> bool:
    is_text = pa.types.is_string(dtype) or pa.types.is_large_string(dtype)
    is_number = pa.types.is_integer(dtype) or pa.types.is_floating(dtype)
    if is_text or is_number or pa.types.is_boolean(dtype) or pa.types.is_null(dtype):
        return True
    if name in TEXT_COLUMNS and (pa.types.is_list(dtype) or pa.types.is_large_list(dtype)):
        inner = dtype.value_type
        return pa.types.is_struct(inner) and {"role", "content"} <= {f.name for f in inner}
    return name in {"context", "channel"} and pa.types.is_struct(dtype)


def _same(values: pa.Array) -> pl.Series:
    return pl.Series(pl.from_arrow(values))


def _stored(values: pa.Array) -> pa.Array:
    return values.storage if isinstance(values, pa.ExtensionArray) else values


def _text(values: pa.Array) -> pl.Series:
    return _same(_stored(values).cast(pa.string()))


def _number(values: pa.Array) -> pl.Series:
    return _same(_stored(values).cast(pa.float64()))


def _boolean(values: pa.Array) -> pl.Series:
    return _same(_stored(values).cast(pa.bool_()))


def _time(values: pa.Array) -> pl.Series:
    _refuse_endless(values)
    zone = values.type.tz if pa.types.is_timestamp(values.type) else None
    times = _same(values.cast(pa.timestamp("us", zone), safe=False))
    return times.dt.convert_time_zone("UTC") if zone else times


def _refuse_endless(values: pa.Array) -> None:
    """Refuse the first time that is infinite, as databases allow, or beyond the years 1 to 9999."""
    unit = values.type.unit if pa.types.is_timestamp(values.type) else str(values.type)
    day = TICKS[unit]
    low, high = max(FIRST_DAY * day, -LARGEST), min((LAST_DAY + 1) * day - 1, LARGEST)
    ticks = values.cast(pa.int32()) if unit == "date32[day]" else values
    ticks = ticks.cast(pa.int64())
    endless = pc.or_(pc.less(ticks, low), pc.greater(ticks, high)).fill_null(fill_value=False)
    if pc.any(endless).as_py():
        i = endless.index(True).as_py()
        after = ticks[i].as_py() > 0
        raise _RowError(
            i, f"has a time {'after the year 9999' if after else 'before the year 1'}", FINITE
        )


def _uuid(values: pa.Array) -> pl.Series:
    digits = _same(_stored(values)).bin.encode("hex")
    parts = [
        digits.str.slice(start, n) for start, n in ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))
    ]
    return pl.select(pl.concat_str(parts, separator="-")).to_series()


def _unquoted(values: pa.Array) -> pl.Series:
    """Return JSON as its text, and a JSON string without its quotes."""
    texts = _text(values)
    quoted = texts.str.strip_chars().str.starts_with('"')
    decoded = texts.set(~quoted, None).str.json_decode(pl.String)
    return texts.zip_with(~quoted.fill_null(value=False), decoded)


def _chat(values: pa.Array) -> pl.Series:
    """Return JSON as messages: a list of them, or a string as one message of the user."""
    texts = _text(values).str.strip_chars()
    if texts.str.starts_with("[").all():
        try:
            chats = texts.str.json_decode(CHAT)
        except pl.exceptions.ComputeError:
            pass  # a content in parts, or no messages: the rows are read one by one
        else:
            messages = chats.explode()
            if messages.struct.field("role").null_count() == messages.is_null().sum():
                content = pl.element().struct.field("content").fill_null("")
                role = pl.element().struct.field("role")
                return chats.list.eval(pl.struct(role, content))
    return pl.Series([_messages(text, i) for i, text in enumerate(texts)], dtype=CHAT)


def _messages(text: str | None, i: int) -> list[dict[str, str]] | None:
    if text is None or (value := json.loads(text)) is None:
        return None
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if isinstance(value, list):
        try:
            turns = [turn(_with_content(m), n) for n, m in enumerate(value, 1)]
        except Malformed as e:
            raise _RowError(i, str(e), CHAT_OR_TEXT) from None
        return [{"role": role, "content": content} for role, content in turns]
    raise _RowError(i, f"has {' '.join(text.split())[:40]}", CHAT_OR_TEXT)


def _with_content(message: object) -> object:
    """Give a message without content, such as a tool call, the empty content."""
    if not isinstance(message, dict):
        return message
    return {**message, "content": message.get("content") or ""}
