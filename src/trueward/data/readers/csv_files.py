"""Delimited text, plain or packed; every cell is text until its column is given a type."""

from __future__ import annotations

import csv
import io
import zlib
from typing import TYPE_CHECKING, NoReturn

import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv

from trueward.core.errors import TruewardError
from trueward.data.formula_cells import is_marked, original_names, without_marks

from .cell_types import Place
from .delimited import find_dialect
from .table import Table
from .text_files import LONGEST_LINE, broken_gzip, decode_line, open_packed, read_lines

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from .column_names import WantedColumns
    from .delimited import Dialect

BLOCK = 1 << 24  # bytes that are read at a time; a row may be longer
LONGEST_ROW = 1 << 28  # bytes of a block if a row does not fit into one


def read_csv(path: Path, wanted: WantedColumns) -> Table:
    """Read the wanted columns as text; an empty cell, quoted or not, is the empty string.

    Parameters
    ----------
    path : Path
        A file whose first line names the columns.
    wanted : WantedColumns
        The columns to read.

    Returns
    -------
    Table
        With ``untyped`` set.

    Raises
    ------
    TruewardError
        If rows differ in their number of cells, a name occurs twice, or the file is damaged.

    """
    dialect = find_dialect(path)
    header = _header(path, dialect)
    names = original_names(header)
    columns = [cell for cell, name in names.items() if wanted(name)]
    place = Place(str(path))
    if not columns:
        return Table({}, tuple(names.values()), place, untyped=True)
    try:
        frame = _read(path, dialect, header, columns, BLOCK)
    except pa.ArrowInvalid:  # perhaps a row is longer than a block
        try:
            frame = _read(path, dialect, header, columns, LONGEST_ROW)
        except pa.ArrowException as e:
            _refuse(path, e)
    cells = {names[c]: without_marks(frame[c]) if is_marked(header) else frame[c] for c in columns}
    return Table({**cells}, tuple(names.values()), place, untyped=True)


def _read(
    path: Path, dialect: Dialect, header: tuple[str, ...], columns: list[str], block: int
) -> pl.DataFrame:
    try:
        with open_packed(path) as file:
            table = pacsv.read_csv(
                file,
                pacsv.ReadOptions(use_threads=False, block_size=block, encoding=dialect.encoding),
                pacsv.ParseOptions(newlines_in_values=True, delimiter=dialect.separator),
                pacsv.ConvertOptions(
                    column_types=dict.fromkeys(header, pa.string()),
                    include_columns=columns,
                    strings_can_be_null=False,
                ),
            )
    except (EOFError, zlib.error) as e:
        raise broken_gzip(path) from e
    return pl.DataFrame(pl.from_arrow(table))


def _header(path: Path, dialect: Dialect) -> tuple[str, ...]:
    """Read the names of the columns, which must differ."""
    with open_packed(path) as file:
        lines: Iterable[str] = (
            decode_line(raw, i, path) for i, raw in enumerate(read_lines(file, path), 1)
        )
        if not dialect.encoding.startswith("utf-8"):
            text = io.TextIOWrapper(file, dialect.encoding, newline="")
            lines = iter(lambda: text.readline(LONGEST_LINE), "")
        try:
            rows = csv.reader(lines, strict=True, delimiter=dialect.separator)
            names = next((row for row in rows if row), [])
        except csv.Error as e:
            raise TruewardError(
                f"the header of {path} should name the columns, but it cannot be read ({e}): "
                "correct the first line"
            ) from e
    if names:
        names[0] = names[0].removeprefix("\ufeff")
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise TruewardError(
            f"{path} should name each column once, but its header has {duplicates[0]!r} "
            f"{names.count(duplicates[0])} times: rename or drop one"
        )
    return tuple(names)


def _refuse(path: Path, e: pa.ArrowException) -> NoReturn:
    """Raise about the first line that is not UTF-8, else about the number of cells."""
    if find_dialect(path).encoding.startswith("utf-8"):
        with open_packed(path) as file:
            for number, raw in enumerate(read_lines(file, path), 1):
                decode_line(raw, number, path)
    reason = " ".join(str(e).split()).removeprefix("CSV parse error: ")
    raise TruewardError(
        f"{path} should have the same number of cells in every row, but it cannot be read "
        f"({reason[:200]}; the header is row 1): quote cells that hold commas or line breaks"
    ) from e
