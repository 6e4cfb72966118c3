"""Tables of SQLite files and sheets of Excel workbooks, as text or typed columns of polars."""

from __future__ import annotations

import contextlib
import sqlite3
import zipfile
from typing import TYPE_CHECKING, Any

import polars as pl

from trueward.core.errors import TruewardError, missing_extra

from .cell_types import Place
from .table import Table, chosen_part, joined, settled
from .text_files import most_unpacked, too_large

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .cell_types import Column
    from .column_names import WantedColumns

EXCEL = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
BATCH = 20_000  # rows of a database that are Python objects at a time
SQLITE = (".sqlite", ".sqlite3", ".db")


def read_sqlite(path: Path, wanted: WantedColumns, table: str | None = None) -> Table:
    """Read the wanted columns of a table of a SQLite file, which is opened for reading only.

    Parameters
    ----------
    path : Path
        The database.
    wanted : WantedColumns
        The columns to read.
    table : str or None
        Name of the table or view; needed if there are several.

    Returns
    -------
    Table
        Its rows in the order of the table.

    Raises
    ------
    TruewardError
        If the file is no database.
    UsageError
        If there is no such table, or none was chosen.

    """
    names, kept, batches = sqlite_rows(path, wanted, table)
    chunks: dict[str, list[Column]] = {name: [] for name in kept}
    for rows in batches:
        for i, name in enumerate(kept):
            chunks[name].append(settled([row[i] for row in rows]))
    values = {
        name: joined(found) if found else pl.Series([], dtype=pl.Null)
        for name, found in chunks.items()
    }
    return Table(values, names, Place(str(path)), gaps=True)


def sqlite_rows(
    path: Path, wanted: WantedColumns, table: str | None = None
) -> tuple[tuple[str, ...], list[str], Iterator[list[tuple[Any, ...]]]]:
    """Return the columns of a table of a SQLite file, those that are wanted, and their rows in batches.

    Parameters
    ----------
    path : Path
        The database.
    wanted : WantedColumns
        The columns to read.
    table : str or None
        As for `read_sqlite`.

    Returns
    -------
    tuple of (tuple of str, list of str, iterator of list of tuple)
        The rows are read while they are taken.

    Raises
    ------
    TruewardError
        If the file is no database.
    UsageError
        If there is no such table, or none was chosen.

    """
    uri = f"{path.resolve().as_uri()}?mode=ro"
    with _sqlite_errors(path), contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
        query = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
        names = [row[0] for row in database.execute(query) if not row[0].startswith("sqlite_")]
        chosen = _quoted(chosen_part(path, "tables", names, table, "--table "))
        cursor = database.execute(f"SELECT * FROM {chosen} LIMIT 0")  # noqa: S608 - a known name
        columns = [column[0] for column in cursor.description]
    kept = [name for name in columns if wanted(name)]
    listed = ", ".join(map(_quoted, kept)) or "1"

    def batches() -> Iterator[list[tuple[Any, ...]]]:
        with _sqlite_errors(path), contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
            cursor = database.execute(f"SELECT {listed} FROM {chosen}")  # noqa: S608 - as above
            while rows := cursor.fetchmany(BATCH):
                yield rows

    return tuple(columns), kept, batches()


@contextlib.contextmanager
def _sqlite_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as e:
        raise TruewardError(
            f"{path} should be a SQLite database, but it cannot be read ({e}): write or copy it again"
        ) from e


def read_excel(path: Path, wanted: WantedColumns, sheet: str | None = None) -> Table:
    """Read the wanted columns of a sheet of a workbook.

    Parameters
    ----------
    path : Path
        An Excel or OpenDocument workbook.
    wanted : WantedColumns
        The columns to read.
    sheet : str or None
        Name of the sheet; by default the only one, or the first.

    Returns
    -------
    Table
        Its rows; the row after the header is row 2, as in the sheet.

    Raises
    ------
    TruewardError
        If the package that reads workbooks is missing, or the file is damaged.
    UsageError
        If there is no such sheet.

    """
    try:
        import fastexcel  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as e:
        raise missing_extra("Excel files", "fastexcel", "excel") from e
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as parts:
            if sum(part.file_size for part in parts.infolist()) > most_unpacked(path):
                raise too_large(path)
    try:
        workbook = fastexcel.read_excel(str(path))
        name = chosen_part(
            path, "sheets", workbook.sheet_names, sheet or workbook.sheet_names[0], "--table "
        )
        frame = pl.DataFrame(workbook.load_sheet(name).to_polars())
    except (fastexcel.FastExcelError, pl.exceptions.PolarsError, OSError, IndexError) as e:
        raise TruewardError(
            f"{path} should be a workbook, but it cannot be read ({' '.join(str(e).split())[:150]}): "
            "save it again, or as CSV"
        ) from e
    frame = frame.with_columns(
        pl.col(pl.String).replace("", None)
    )  # an empty cell, however written
    columns = {name: frame[name] for name in frame.columns if wanted(name)}
    lines = range(2, frame.height + 2)
    return Table(dict(columns), tuple(frame.columns), Place(str(path), lines=lines), gaps=True)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
