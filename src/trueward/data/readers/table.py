"""The result of every reader: the wanted columns, the names of all columns, and where each row is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from trueward.core.errors import TruewardError, UsageError

from .column_names import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trueward.data.export_scope import ExportScope

    from .cell_types import Column, Place


@dataclass(frozen=True)
class Table:
    """The wanted columns of a source, all of one length.

    Attributes
    ----------
    columns : dict of str to Column
        The columns that were read, by their names in the source.
    names : tuple of str
        Names of all columns of the source, read or not.
    place : Place
        Names a row in errors.
    untyped : bool
        Whether the source has text only (CSV), so that numbers are recognised by parsing.
    export_scope : ExportScope or None
        Which responses the file says it holds.
    gaps : bool
        Whether a missing text leaves out its row, as in pandas, where NaN stands for it, and in workbooks and
        databases, whose cells may be empty.

    """

    columns: dict[str, Column]
    names: tuple[str, ...]
    place: Place
    untyped: bool = False
    export_scope: ExportScope | None = None
    gaps: bool = False

    @property
    def source(self) -> str:
        """Path of the source, or a description of a table in memory."""
        return self.place.source


def expanded(table: Table) -> Table:
    """Replace the columns ``context`` and ``channel`` of records by ``context.NAME``, ``channel.NAME``.

    Parameters
    ----------
    table : Table
        A table as read.

    Returns
    -------
    Table
        A column of one of these names that does not hold records is unchanged.

    Raises
    ------
    TruewardError
        If a name exists both as a column and inside of a record.

    """
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
    return replace(table, columns=columns, names=tuple(names))


def without_gaps(table: Table, texts: Sequence[str]) -> tuple[Table, int]:
    """Leave out the rows without a text, if the source has gaps.

    Parameters
    ----------
    table : Table
        A table as read.
    texts : sequence of str
        Columns that need a text in every row.

    Returns
    -------
    tuple of (Table, int)
        The other rows under their numbers in the source, and how many were left out.

    """
    if not table.gaps:
        return table, 0
    empty = [[value is None for value in table.columns[name]] for name in texts]
    kept = [i for i, gaps in enumerate(zip(*empty, strict=True)) if not any(gaps)]
    rows = len(empty[0]) if empty else 0
    if len(kept) == rows:
        return table, 0
    columns: dict[str, Column] = {
        name: column[kept] if isinstance(column, pl.Series) else [column[i] for i in kept]
        for name, column in table.columns.items()
    }
    lines = table.place.lines
    place = replace(table.place, lines=[i + 1 if lines is None else lines[i] for i in kept])
    return replace(table, columns=columns, place=place), rows - len(kept)


def _fields(column: Column) -> dict[str, Column] | None:
    """Split a column of records by field; None if it holds something else."""
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
    """Return plain values as a typed series if all are of one scalar type.

    Parameters
    ----------
    values : list
        Values of one column; integers may be mixed with floats, and any type with None.

    Returns
    -------
    polars.Series or list
        The list itself if the types differ or a value does not fit the type.

    Examples
    --------
    >>> settled([1, None, 2.5]).dtype
    Float64
    >>> settled([1, "a"])
    [1, 'a']

    """
    types = set(map(type, values)) - {type(None)}
    if not types:
        return pl.Series(values, dtype=pl.Null)
    if types == {int, float}:
        types = {float}
    dtype = {str: pl.String, bool: pl.Boolean, int: pl.Int64, float: pl.Float64}.get(types.pop())
    if types or dtype is None:
        return values
    try:
        return pl.Series(values, dtype=dtype, strict=True)
    except (TypeError, UnicodeEncodeError):  # an integer too large, half of a surrogate pair
        return values


def joined(chunks: list[Column]) -> Column:
    """Concatenate the chunks of one column.

    Parameters
    ----------
    chunks : list of Column
        In the order of the rows.

    Returns
    -------
    polars.Series or list
        Plain values if the types of the chunks differ.

    """
    series = [c for c in chunks if isinstance(c, pl.Series)]
    types = {str(c.dtype) for c in series} - {"Null"}
    if len(series) == len(chunks) and len(types) <= 1:
        dtype = next((c.dtype for c in series if str(c.dtype) in types), pl.Null())
        return pl.concat([c.cast(dtype) for c in series])
    return [value for chunk in chunks for value in chunk]


def chosen_part(
    source: str | Path, what: str, names: Sequence[str], name: str | None, option: str
) -> str:
    """Return the part of a source that the user named, or the only one.

    Parameters
    ----------
    source : str or Path
        A folder of splits, a database or a workbook.
    what : str
        What the parts are, in the plural.
    names : sequence of str
        Names of the parts.
    name : str or None
        What the user named.
    option : str
        How a user names one, up to the name, such as ``split=``.

    Raises
    ------
    UsageError
        If there is no such part, or several and none is named.

    Examples
    --------
    >>> chosen_part("log.db", "tables", ["answers"], None, "--table ")
    'answers'

    """
    if name is None and len(names) == 1:
        return names[0]
    if name is None or name not in names:
        problem = "none was chosen" if name is None else f"not {name!r}"
        raise UsageError(
            f"{source} holds the {what} {', '.join(map(repr, names)) or '(none)'}, and {problem}: "
            f"choose one with {option}{names[0] if names else 'NAME'}"
        )
    return name
