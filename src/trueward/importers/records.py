"""Raw records of a file, one at a time: JSON lines, JSON, CSV, Parquet; plain, gzip or zstd.

What cannot be read becomes an `UnreadableRecord`, so that it is counted and the rest of the file is read.
"""

from __future__ import annotations

import gzip
import io
import itertools
import zlib
from typing import IO, TYPE_CHECKING, Any, TypeVar

import pyarrow.parquet as pq

from trueward.core.errors import TruewardError, UsageError
from trueward.data.readers.column_names import WantedColumns
from trueward.data.readers.columnar import DAMAGE
from trueward.data.readers.delimited import find_dialect
from trueward.data.readers.json_stream import InvalidJson, json_documents, parse_json_line
from trueward.data.readers.messages import shown
from trueward.data.readers.sheets import EXCEL, SQLITE, read_excel, sqlite_rows
from trueward.data.readers.text_files import open_packed

from .contract import Record
from .csv_records import csv_records
from .json_columns import json_rows
from .line_blocks import UnreadableRecord, line_blocks

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from pathlib import Path

    from trueward.data.readers.delimited import Reading

    from .contract import Source
    from .json_columns import Rows

T = TypeVar("T")
BATCH = 10_000  # rows of a Parquet file that are Python objects at a time
MAX_LENGTH = 1 << 28  # bytes of one line; a longer one is skipped without being held in memory
BLOCK = 1 << 20  # bytes of lines that are read at a time
QUERY = ".sql"
FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".parquet")
TABLES = (".tsv", *EXCEL, *SQLITE)  # formats of people's own tables only
PACKED = (".gz", ".zst")
EVERY_COLUMN = WantedColumns((), (), {}, lambda _: True)
# keys of an API page whose records are under "data"
PAGE_KEYS = {"meta", "next_cursor", "limit", "has_more", "page", "total", "count", "error"}


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
    yield from _unless_damaged(path, _records(path, reading))


def _records(path: Path, reading: Reading | None) -> Iterator[Record | UnreadableRecord]:
    kind = file_format(path)
    if kind == ".parquet":
        yield from _parquet_rows(path)
    elif kind in (*EXCEL, *SQLITE):
        yield from _table_rows(path, reading)
    else:
        with open_packed(path) as file:
            if kind in {".csv", ".tsv"}:
                yield from csv_records(file, str(path), find_dialect(path, reading), MAX_LENGTH)
            elif kind == ".json":
                yield from _json_records(file, str(path))
            else:
                yield from _json_lines(file, str(path))


def read_typed_lines(path: Path, source: Source) -> Iterator[Rows | UnreadableRecord]:
    """Yield the rows of JSON lines of the generic tables, block by block.

    Parameters
    ----------
    path : Path
        A file of JSON lines, plain or packed.
    source : Source
        Tells responses from events.

    Yields
    ------
    Rows or UnreadableRecord
        Staged rows and the lines that must be read one by one; at last, what is wrong with the file.

    Raises
    ------
    TruewardError
        If the system refuses to read the file.

    """

    def blocks() -> Iterator[Rows]:
        with open_packed(path) as file:
            yield from json_rows(file, source, MAX_LENGTH)

    yield from _unless_damaged(path, blocks())


def _unless_damaged(path: Path, parts: Iterator[T]) -> Iterator[T | UnreadableRecord]:
    """Yield what is read of a file, and at its end what is wrong with it."""
    try:
        yield from parts
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
    for block in line_blocks(file, BLOCK, MAX_LENGTH):
        for number, raw in enumerate(io.BytesIO(block.lines), block.first):
            record = json_line(raw, name, number)
            if record is not None:
                yield record
        if block.too_long:
            yield too_long_line(name, block.first + block.lines.count(b"\n"))


def json_line(raw: bytes, name: str, number: int) -> Record | UnreadableRecord | None:
    """Return the record of a line of JSON.

    Parameters
    ----------
    raw : bytes
        The line.
    name : str
        Path of the file.
    number : int
        Number of the line, from 1.

    Returns
    -------
    Record or UnreadableRecord or None
        None for an empty line.

    """
    raw = raw.strip().removeprefix(b"\xef\xbb\xbf")
    if not raw:
        return None
    try:
        return _to_record(parse_json_line(raw), name, number)
    except InvalidJson as e:
        return UnreadableRecord(name, number, str(e))


def too_long_line(name: str, number: int) -> UnreadableRecord:
    """Return the account of a line that was skipped.

    Parameters
    ----------
    name : str
        Path of the file.
    number : int
        Number of the line, from 1.

    Returns
    -------
    UnreadableRecord
        With the limit.

    """
    return UnreadableRecord(name, number, f"the line is longer than {MAX_LENGTH:,} bytes")


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


def _table_rows(path: Path, reading: Reading | None) -> Iterator[Record | UnreadableRecord]:
    """Yield the rows of a table of a database or a sheet of a workbook."""
    chosen = None if reading is None else reading.table
    try:
        if path.name.lower().endswith(EXCEL):
            table = read_excel(path, EVERY_COLUMN, chosen)
            names, lines = list(table.columns), table.place.lines
            rows: Iterable[tuple[Any, ...]] = zip(*table.columns.values(), strict=True)
        else:
            _, names, batches = sqlite_rows(path, EVERY_COLUMN, chosen)
            rows, lines = itertools.chain.from_iterable(batches), None
        for i, cells in enumerate(rows):
            line = i + 1 if lines is None else lines[i]
            yield Record(dict(zip(names, cells, strict=True)), str(path), line)
    except UsageError:
        raise
    except TruewardError as e:
        if "should be a" not in str(e):
            raise
        yield UnreadableRecord(str(path), 0, str(e))


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
