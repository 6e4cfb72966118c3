"""Columns of a database as text, numbers, times and messages; what is none of these is refused by name."""

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
SPOKEN = ("prompt", "response")


@dataclass(frozen=True)
class Rows:
    """Rows of a query: the names of all its columns, and its wanted ones, a batch at a time."""

    names: tuple[str, ...]
    frames: Iterator[pl.DataFrame]


def plain(
    schema: pa.Schema, batches: Iterator[pa.RecordBatch], want: Callable[[str], bool], path: Path
) -> Rows:
    """Give the wanted columns in types that a log has."""
    names = tuple(schema.names)
    wanted = [(i, field.name, field.type) for i, field in enumerate(schema) if want(field.name)]
    if twice := sorted({name for _, name, _ in wanted if names.count(name) > 1}):
        raise TruewardError(
            f"{path} gives the column {twice[0]!r} twice: name each column once, by AS"
        )
    converts = [(i, name, _convert(name, dtype, path)) for i, name, dtype in wanted]
    return Rows(names, _frames(batches, converts, path))


def _frames(
    batches: Iterator[pa.RecordBatch], converts: list[tuple[int, str, Convert]], path: Path
) -> Iterator[pl.DataFrame]:
    seen = 0
    for batch in batches:
        columns = {}
        for i, name, convert in converts:
            try:
                columns[name] = convert(batch.column(i))
            except _Row as e:
                raise TruewardError(
                    f"row {seen + e.args[0] + 1} of {path} {e.args[1]} where {name!r} should be text or "
                    "a JSON list of {role, content} messages: convert it in the query"
                ) from None
        yield pl.DataFrame(columns)
        seen += batch.num_rows


class _Row(Exception):  # noqa: N818 - a finding about a row, which the caller words
    """The number of a row in its batch, from 0, and what is wrong with it."""


def _convert(name: str, dtype: pa.DataType, path: Path) -> Convert:
    """Choose how a column is read; an id keeps every digit of a number."""
    if isinstance(dtype, pa.BaseExtensionType):
        kind = dtype.extension_name
        if kind == "arrow.json":
            return _chat if name == "prompt" else _unquoted
        if kind == "arrow.uuid":
            return _uuid
        if kind == "arrow.bool8":
            return _truth
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
    said = dtype.type_name if isinstance(dtype, pa.OpaqueType) else str(dtype)
    raise TruewardError(
        f"{path} gives the column {name!r} as {said}, which a log does not hold: convert it in the query, as "
        f'CAST(... AS TEXT) AS "{name}"'
    )


def _is_plain(name: str, dtype: pa.DataType) -> bool:
    is_text = pa.types.is_string(dtype) or pa.types.is_large_string(dtype)
    is_number = pa.types.is_integer(dtype) or pa.types.is_floating(dtype)
    if is_text or is_number or pa.types.is_boolean(dtype) or pa.types.is_null(dtype):
        return True
    if name in SPOKEN and (pa.types.is_list(dtype) or pa.types.is_large_list(dtype)):
        inner = dtype.value_type
        return pa.types.is_struct(inner) and {"role", "content"} <= {f.name for f in inner}
    return name in {"context", "channel"} and pa.types.is_struct(dtype)


def _same(values: pa.Array) -> pl.Series:
    return pl.Series(pl.from_arrow(values))


def _stored(values: pa.Array) -> pa.Array:
    return values.storage if isinstance(values, pa.ExtensionArray) else values


def _text(values: pa.Array) -> pl.Series:
    return _same(pc.cast(_stored(values), pa.string()))


def _number(values: pa.Array) -> pl.Series:
    return _same(pc.cast(_stored(values), pa.float64()))


def _truth(values: pa.Array) -> pl.Series:
    return _same(pc.cast(_stored(values), pa.bool_()))


def _time(values: pa.Array) -> pl.Series:
    zone = values.type.tz if pa.types.is_timestamp(values.type) else None
    times = _same(pc.cast(values, pa.timestamp("us", zone), safe=False))
    return times.dt.convert_time_zone("UTC") if zone else times


def _uuid(values: pa.Array) -> pl.Series:
    digits = _same(_stored(values)).bin.encode("hex")
    parts = [
        digits.str.slice(start, n) for start, n in ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))
    ]
    return pl.select(pl.concat_str(parts, separator="-")).to_series()


def _unquoted(values: pa.Array) -> pl.Series:
    """Give JSON as its text, and a JSON string as what it says."""
    texts = _text(values)
    quoted = texts.str.strip_chars().str.starts_with('"')
    said = texts.set(~quoted, None).str.json_decode(pl.String)
    return texts.zip_with(~quoted.fill_null(value=False), said)


def _chat(values: pa.Array) -> pl.Series:
    """Give JSON as messages: a list of them, or a string that the user said."""
    texts = _text(values).str.strip_chars()
    if texts.str.starts_with("[").all():
        try:
            made = texts.str.json_decode(CHAT)
        except pl.exceptions.ComputeError:
            pass  # a content in parts, or what is no message: looked at one by one
        else:
            said = made.explode()
            if said.struct.field("role").null_count() == said.is_null().sum():
                content = pl.element().struct.field("content").fill_null("")
                role = pl.element().struct.field("role")
                return made.list.eval(pl.struct(role, content))
    return pl.Series([_spoken(text, i) for i, text in enumerate(texts)], dtype=CHAT)


def _spoken(text: str | None, i: int) -> list[dict[str, str]] | None:
    if text is None or (value := json.loads(text)) is None:
        return None
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if isinstance(value, list):
        try:
            said = [turn(_filled(m), n) for n, m in enumerate(value, 1)]
        except Malformed as e:
            raise _Row(i, str(e)) from None
        return [{"role": role, "content": content} for role, content in said]
    raise _Row(i, f"has {' '.join(text.split())[:40]}")


def _filled(said: object) -> object:
    """Give a message without a content, as a call of a tool is, an empty one."""
    return {**said, "content": said.get("content") or ""} if isinstance(said, dict) else said
