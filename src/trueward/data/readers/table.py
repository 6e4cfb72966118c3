"""What every reader gives: the wanted columns, the names of all of them, and where a row is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from trueward.core.errors import TruewardError

from .names import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueward.data.export_scope import ExportScope

    from .cells import Column, Place


@dataclass(frozen=True)
class Table:
    """The wanted columns of a source, all of one length."""

    columns: dict[str, Column]
    names: tuple[str, ...]  # of every column of the source
    place: Place
    untyped: bool = False  # the source knows text only (CSV)
    export_scope: ExportScope | None = None  # what the file says it holds of what was shown

    @property
    def source(self) -> str:
        """Where the table came from."""
        return self.place.source


def expanded(table: Table) -> Table:
    """Give struct columns ``context`` and ``channel`` as ``context.NAME`` and ``channel.NAME``."""
    columns, names = dict(table.columns), dict.fromkeys(table.names)
    for family in FAMILIES:
        fields = _fields(columns[family]) if family in columns else None
        if fields is None:
            continue
        inner = {f"{family}.{name}": values for name, values in fields.items()}
        if clash := sorted(names.keys() & inner.keys()):
            raise TruewardError(
                f"{table.source} has {clash[0]!r} twice, as a column and inside the column "
                f"{family!r}: keep one of them"
            )
        del columns[family], names[family]
        columns |= inner
        names |= dict.fromkeys(inner)
    return Table(columns, tuple(names), table.place, table.untyped, table.export_scope)


def _fields(column: Column) -> dict[str, Column] | None:
    """Split a column of records by field; None when it holds something else."""
    if isinstance(column, pl.Series):
        if not isinstance(column.dtype, pl.Struct):
            return None
        return {field.name: column.struct.field(field.name) for field in column.dtype.fields}
    if not all(value is None or isinstance(value, dict) for value in column):
        return None
    records: Sequence[dict[str, object]] = [v if isinstance(v, dict) else {} for v in column]
    names = dict.fromkeys(str(name) for record in records for name in record)
    return {name: settled([record.get(name) for record in records]) for name in names}


def settled(values: list[object]) -> Column:
    """Give plain values as a typed column where all are of one scalar type."""
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pl.Series(values, dtype=pl.Null)
    if kinds == {int, float}:
        kinds = {float}
    dtype = {str: pl.String, bool: pl.Boolean, int: pl.Int64, float: pl.Float64}.get(kinds.pop())
    if kinds or dtype is None:
        return values
    try:
        return pl.Series(values, dtype=dtype, strict=True)
    except (TypeError, UnicodeEncodeError):  # an integer too large, half a character
        return values


def joined(chunks: list[Column]) -> Column:
    """Concatenate the chunks of one column; plain values when their types differ."""
    series = [c for c in chunks if isinstance(c, pl.Series)]
    types = {str(c.dtype) for c in series} - {"Null"}
    if len(series) == len(chunks) and len(types) <= 1:
        dtype = next((c.dtype for c in series if str(c.dtype) in types), pl.Null())
        return pl.concat([c.cast(dtype) for c in series])
    return [value for chunk in chunks for value in chunk]
