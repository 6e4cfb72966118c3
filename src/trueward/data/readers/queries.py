"""Rows of a SQL query: a file that ends in .sql and holds one SELECT statement."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import polars as pl

from trueward.core.errors import TruewardError

from . import databases
from .cell_types import Place
from .database_types import Rows, converted
from .table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from .column_names import WantedColumns

# part of an error of a driver -> what to do beside correcting the query
HINTS = {
    "Type mismatch": ", and give the column one type, as by COALESCE(CAST(name AS TEXT), '')",
    "disabled by configuration": (
        f"; a query of a DuckDB database reads its tables and no other files: unset {databases.VARIABLE} to "
        "read files"
    ),
    "Missing Extension": "; no extension is loaded: download the file first",
}
FIRST_WORDS = ("select", "with", "values", "from", "table")
# where a semicolon does not end a statement: comments, texts, quoted names, PostgreSQL's $tag$ texts
INERT = re.compile(
    r"--[^\n]*|/\*[\s\S]*?\*/|[eE]'(?:[^'\\]|\\[\s\S]|'')*'|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\""
    r"|`[^`]*`|(\$\w*\$)[\s\S]*?\1"
)


def statement(path: Path) -> str:
    """Return the statement of a .sql file.

    Parameters
    ----------
    path : Path
        A text file.

    Returns
    -------
    str
        Its text.

    Raises
    ------
    TruewardError
        If the file does not hold exactly one statement that selects rows.

    """
    try:
        text = path.read_text("utf-8-sig").strip()
    except UnicodeDecodeError as e:
        raise TruewardError(f"{path} should be UTF-8 text, but is not: save it as UTF-8") from e
    except OSError as e:
        raise TruewardError(f"{path} cannot be read ({e.strerror or e}): check the file") from e
    bare = INERT.sub(lambda m: " " if m[0][:2] in {"--", "/*"} else "'", text).strip()
    if not bare:
        raise TruewardError(
            f"{path} should hold a query, but is empty: write a SELECT statement into it"
        )
    if bare.rstrip("; \n\t\r").count(";"):
        raise TruewardError(
            f"{path} should hold one statement, but has several: write each query to a file of its own"
        )
    first = re.match(r"\W*(\w*)", bare)
    if first is None or first[1].lower() not in FIRST_WORDS:
        raise TruewardError(
            f"{path} should select rows ({', '.join(FIRST_WORDS).upper()}), but starts with "
            f"{bare.split()[0][:20]!r}: a query may only read the database"
        )
    return text


@contextlib.contextmanager
def query_rows(path: Path, wanted: Callable[[str], bool]) -> Iterator[Rows]:
    """Run a query and yield its rows batch by batch, so that memory is bounded.

    Parameters
    ----------
    path : Path
        A .sql file with one statement.
    wanted : callable
        Takes the name of a column and returns whether to read it.

    Yields
    ------
    Rows
        Valid inside of the ``with`` block only.

    Raises
    ------
    TruewardError
        If the statement is not a query, or the database refuses it.

    """
    query = statement(path)
    with databases.connected() as cursor:
        with _database_errors(path):
            cursor.execute(query)
            reader = cursor.fetch_record_batch()
        yield converted(reader.schema, _batches(reader, path), wanted, path)


def _batches(reader: pa.RecordBatchReader, path: Path) -> Iterator[pa.RecordBatch]:
    while True:
        with _database_errors(path):
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                return
            batch.validate(full=True)  # damaged bytes would crash the process later
        yield batch


@contextlib.contextmanager
def _database_errors(path: Path) -> Iterator[None]:
    """Turn an error of the database into one that names the file."""
    try:
        yield
    except databases.driver_errors() as e:
        hint = next((hint for part, hint in HINTS.items() if part in str(e)), "")
        raise TruewardError(
            f"{path} could not be read from {databases.description()} ({databases.error_text(e)}): "
            f"correct the query{hint}"
        ) from None


def read_query(path: Path, wanted: WantedColumns) -> Table:
    """Run a query and read the wanted columns of all its rows.

    Parameters
    ----------
    path : Path
        A .sql file with one statement.
    wanted : WantedColumns
        The columns to read.

    Returns
    -------
    Table
        All rows in memory.

    Raises
    ------
    TruewardError
        If the statement is not a query, or the database refuses it.

    """
    with query_rows(path, wanted) as rows:
        frames = list(rows.frames)
    empty = pl.DataFrame(schema=dict.fromkeys(filter(wanted, rows.names), pl.Null))
    columns = pl.concat(frames or [empty], rechunk=True).to_dict()
    return Table({**columns}, rows.names, Place(str(path)))
