"""Raw records of a file, one at a time: JSON lines, JSON, CSV, Parquet; plain, gzip or zstd.

What cannot be read becomes an `UnreadableRecord`, so that it is counted and the rest of the file is read.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Self

import pyarrow.parquet as pq

from trueward.core.errors import TruewardError, UsageError
from trueward.data.formula_cells import is_marked, original_names, unmarked
from trueward.data.readers.column_names import WantedColumns
from trueward.data.readers.columnar import DAMAGE
from trueward.data.readers.delimited import find_dialect
from trueward.data.readers.json_stream import (
    INVALID_BYTES,
    InvalidJson,
    json_documents,
    parse_json_line,
)
from trueward.data.readers.messages import shown
from trueward.data.readers.sheets import EXCEL, SQLITE, read_excel, read_sqlite
from trueward.data.readers.text_files import open_packed

from .contract import Record

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from trueward.data.readers.delimited import Dialect, Reading

BATCH = 10_000  # rows of a Parquet file that are Python objects at a time
MAX_LENGTH = 1 << 28  # bytes of one line; a longer one is skipped without being held in memory
SKIP_STEP = 1 << 20  # bytes of a long line that are skipped at a time
QUERY = ".sql"
FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".parquet")
TABLES = (".tsv", *EXCEL, *SQLITE)  # formats of people's own tables only
PACKED = (".gz", ".zst")
EVERY_COLUMN = WantedColumns((), (), {}, lambda _: True)
# keys of an API page whose records are under "data"
PAGE_KEYS = {"meta", "next_cursor", "limit", "has_more", "page", "total", "count", "error"}


@dataclass(frozen=True, slots=True)
class UnreadableRecord:
    """A part of a file that is not a record.

    Attributes
    ----------
    file : str
        Path of the file.
    line : int
        Line or row where the part starts, from 1; 0 for the whole file.
    reason : str
        Why it cannot be read.

    """

    file: str
    line: int
    reason: str


def file_format(path: Path) -> str:
    """Return the format by the ending of a file name, without compression; empty if unknown.

    Parameters
    ----------
    path : Path
        A file, such as ``log.jsonl.gz``.

    Returns
    -------
    str
        One of ``FORMATS``, or an empty string.

    """
    name = path.name.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    return next((ending for ending in (*FORMATS, *TABLES) if name.endswith(ending)), "")


def read_records(
    path: Path, reading: Reading | None = None
) -> Generator[Record | UnreadableRecord, None, None]:
    """Yield every record of a file, in order.

    Parameters
    ----------
    path : Path
        A file in one of ``FORMATS``, plain or packed, or of ``TABLES``.
    reading : Reading, optional
        Separator, encoding and table that the user gave.

    Yields
    ------
    Record or UnreadableRecord
        The records, without their kind.

    Raises
    ------
    TruewardError
        If the system refuses to read the file.

    """
    kind = file_format(path)
    try:
        if kind == ".parquet":
            yield from _parquet_rows(path)
            return
        if kind in (*EXCEL, *SQLITE):
            yield from _table_rows(path, reading)
            return
        with open_packed(path) as file:
            if kind in {".csv", ".tsv"}:
                yield from _csv_rows(file, str(path), find_dialect(path, reading))
            elif kind == ".json":
                yield from _json_records(file, str(path))
            else:
                yield from _json_lines(file, str(path))
    except PermissionError as e:
        raise TruewardError(
            f"{path} should be readable, but you have no permission to read it: copy it"
        ) from e
    except OSError as e:
        if not isinstance(e, gzip.BadGzipFile) and not path.name.endswith(".zst"):
            raise TruewardError(f"{path} cannot be read ({e.strerror or e}): check the disk") from e
        yield UnreadableRecord(str(path), 0, "the packed file is cut off or damaged")
    except (EOFError, zlib.error):
        yield UnreadableRecord(str(path), 0, "the packed file is cut off: the rest is missing")


def _json_lines(file: IO[bytes], name: str) -> Iterator[Record | UnreadableRecord]:
    number = 0
    while raw := file.readline(MAX_LENGTH):
        number += 1
        if len(raw) == MAX_LENGTH and not raw.endswith(b"\n"):
            while rest := file.readline(SKIP_STEP):
                if rest.endswith(b"\n"):
                    break
            reason = f"the line is longer than {MAX_LENGTH:,} bytes"
            yield UnreadableRecord(name, number, reason)
            continue
        if raw := raw.strip().removeprefix(b"\xef\xbb\xbf"):
            try:
                yield _to_record(parse_json_line(raw), name, number)
            except InvalidJson as e:
                yield UnreadableRecord(name, number, str(e))


def _to_record(value: Any, name: str, number: int) -> Record | UnreadableRecord:
    if isinstance(value, dict):
        return Record(value, name, number)
    return UnreadableRecord(name, number, f"should be a JSON object, and is {shown(value)}")


def _json_records(file: IO[bytes], name: str) -> Iterator[Record | UnreadableRecord]:
    """Yield the elements of an array, the records of pages or envelopes, or the documents themselves."""
    for line, value, error in json_documents(file, MAX_LENGTH):
        if error:
            yield UnreadableRecord(name, line, error)
        elif (inner := _enveloped(value)) is not None:
            for record in inner:
                yield _to_record(record, name, line)
        else:
            yield _to_record(value, name, line)


def _enveloped(value: Any) -> list[Any] | None:
    """Return the records of an API page or of an export with a header; None if the value is a record."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("feedback_data"), list):
        return list(value["feedback_data"])
    inner = value.get("data")
    if isinstance(inner, list) and not (value.keys() - PAGE_KEYS - {"data"}):
        return inner
    return None


def _csv_rows(file: IO[bytes], name: str, dialect: Dialect) -> Iterator[Record | UnreadableRecord]:
    """Yield the rows; bytes that are not UTF-8 stay marked, so that only their row is lost."""
    csv.field_size_limit(MAX_LENGTH)
    encoding = "utf-8-sig" if dialect.encoding == "utf-8" else dialect.encoding
    errors = "surrogateescape" if encoding == "utf-8-sig" else "replace"
    with io.TextIOWrapper(file, encoding, errors=errors, newline="") as text:
        lines = _BoundedLines(text)
        rows = csv.reader(lines, delimiter=dialect.separator)
        header: list[str] | None = None
        marked = False
        while True:
            start = lines.number + 1
            try:
                cells = next(rows, None)
            except csv.Error as e:
                yield UnreadableRecord(name, start, f"invalid CSV ({e})")
                continue
            if cells is None:
                return
            if header is None:
                header, marked = list(original_names(cells).values()) or None, is_marked(cells)
                if len(set(cells)) < len(cells):
                    reason = "the header names a column twice: the file is not read"
                    yield UnreadableRecord(name, start, reason)
                    return
            elif cells:
                texts = [unmarked(cell) for cell in cells[:-1]] if marked else cells
                yield _csv_row(header, texts, name, start)


class _BoundedLines:
    """The lines of a text; one that is too long is skipped without being held in memory."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self.text, self.number = text, 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self.text.readline(MAX_LENGTH)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == MAX_LENGTH and not line.endswith(("\n", "\r")):
            while (rest := self.text.readline(SKIP_STEP)) and not rest.endswith(("\n", "\r")):
                pass
            raise csv.Error(f"the line is longer than {MAX_LENGTH:,} characters")
        return line


def _csv_row(
    header: list[str], cells: list[str], name: str, start: int
) -> Record | UnreadableRecord:
    if len(cells) + 1 == len(header) and header[-1] == "timestamp" and "flag" in header:
        cells = [*cells[:-1], "", cells[-1]]  # Gradio leaves out an empty flag or user name
    if len(cells) != len(header):
        reason = f"has {len(cells)} cells where the header has {len(header)}"
        return UnreadableRecord(name, start, reason)
    if any(INVALID_BYTES.search(cell) for cell in cells if not cell.isascii()):
        return UnreadableRecord(name, start, "invalid UTF-8")
    return Record(dict(zip(header, cells, strict=True)), name, start)


def _table_rows(path: Path, reading: Reading | None) -> Iterator[Record | UnreadableRecord]:
    """Yield the rows of a table of a database or a sheet of a workbook."""
    read = read_excel if path.name.lower().endswith(EXCEL) else read_sqlite
    try:
        table = read(path, EVERY_COLUMN, None if reading is None else reading.table)
    except UsageError:
        raise
    except TruewardError as e:
        if "should be a" not in str(e):
            raise
        yield UnreadableRecord(str(path), 0, str(e))
        return
    columns = {name: list(column) for name, column in table.columns.items()}
    lines = table.place.lines
    for i, cells in enumerate(zip(*columns.values(), strict=True)):
        line = i + 1 if lines is None else lines[i]
        yield Record(dict(zip(columns, cells, strict=True)), str(path), line)


def _parquet_rows(path: Path) -> Iterator[Record | UnreadableRecord]:
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH):
                for value in batch.to_pylist(maps_as_pydicts="lossy"):
                    number += 1
                    yield Record(value, str(path), number)
    except PermissionError:
        raise
    except DAMAGE as e:
        reason = f"the Parquet file is cut off or damaged ({' '.join(str(e).split())[:100]})"
        yield UnreadableRecord(str(path), number + 1, reason)
