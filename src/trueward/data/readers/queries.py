"""A file that ends in .sql stands for the rows of its query: one statement that selects."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import polars as pl

from trueward.core.errors import TruewardError

from . import databases
from .cells import Place
from .table import Table
from .values import Rows, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from .names import Want

MIXED = ", and give the column one type, as by COALESCE(CAST(name AS TEXT), '')"
FIRST = ("select", "with", "values", "from", "table")
# what may hold a semicolon that ends nothing: comments, texts, quoted names, PostgreSQL's $tag$ texts
INERT = re.compile(
    r"--[^\n]*|/\*[\s\S]*?\*/|[eE]'(?:[^'\\]|\\[\s\S]|'')*'|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\""
    r"|`[^`]*`|(\$\w*\$)[\s\S]*?\1"
)


def statement(path: Path) -> str:
    """Read the one statement of a file, which must select."""
    try:
        text = path.read_text("utf-8-sig").strip()
    except UnicodeDecodeError as e:
        raise TruewardError(f"{path} should be UTF-8 text, and is not: write it again") from e
    except OSError as e:
        raise TruewardError(f"{path} cannot be read ({e.strerror or e}): check the file") from e
    bare = INERT.sub(lambda m: " " if m[0][:2] in {"--", "/*"} else "'", text).strip()
    if not bare:
        raise TruewardError(f"{path} should hold a query, and is empty: write a SELECT into it")
    if bare.rstrip("; \n\t\r").count(";"):
        raise TruewardError(
            f"{path} should hold one statement, and has several: give each query a file of its own"
        )
    first = re.match(r"\W*(\w*)", bare)
    if first is None or first[1].lower() not in FIRST:
        raise TruewardError(
            f"{path} should select rows ({', '.join(FIRST).upper()}), and starts with "
            f"{bare.split()[0][:20]!r}: an import reads a database and never changes it"
        )
    return text


@contextlib.contextmanager
def rows(path: Path, want: Callable[[str], bool]) -> Iterator[Rows]:
    """Give the rows of a query as they arrive, never all at once."""
    query = statement(path)
    with databases.connected() as cursor:
        with _told(path):
            cursor.execute(query)
            found = cursor.fetch_record_batch()
        yield plain(found.schema, _arriving(found, path), want, path)


def _arriving(found: pa.RecordBatchReader, path: Path) -> Iterator[pa.RecordBatch]:
    while True:
        with _told(path):
            try:
                batch = found.read_next_batch()
            except StopIteration:
                return
            batch.validate(full=True)  # what is damaged would end the process later
        yield batch


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Word what the database says."""
    try:
        yield
    except databases.failures() as e:
        raise TruewardError(
            f"{path} could not be read from {databases.place()} ({databases.worded(e)}): correct the query"
            + (MIXED if "Type mismatch" in str(e) else "")
        ) from None


def read(path: Path, want: Want) -> Table:
    """Read the wanted columns of a query's rows."""
    with rows(path, want) as found:
        frames = list(found.frames)
    none = pl.DataFrame(schema=dict.fromkeys(filter(want, found.names), pl.Null))
    columns = pl.concat(frames or [none], rechunk=True).to_dict()
    return Table({**columns}, found.names, Place(str(path)))
