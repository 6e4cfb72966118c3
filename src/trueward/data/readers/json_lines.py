"""JSON lines, or one JSON array of objects, plain or gzipped."""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from typing import TYPE_CHECKING

import polars as pl

from trueward.core.errors import TruewardError

from .cell_types import Place
from .json_stream import json_documents
from .messages import shown
from .table import Table, joined, settled
from .text_files import (
    LONGEST_LINE,
    UTF8_BOM,
    broken_gzip,
    decode_line,
    open_packed,
    read_lines,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .cell_types import Column
    from .column_names import WantedColumns
    from .json_stream import Document

CHUNK = 20_000  # rows held as Python objects at a time


def read_json(path: Path, wanted: WantedColumns) -> Table:
    """Read the wanted columns of a file of JSON objects, a chunk of rows at a time.

    Parameters
    ----------
    path : Path
        JSON lines; a name in ``.json`` or ``.json.gz`` may also hold one array.
    wanted : WantedColumns
        The columns to read.

    Returns
    -------
    Table
        A key that an object lacks is null in its row.

    Raises
    ------
    TruewardError
        If a line or element is not a JSON object, or the file is damaged.

    """
    chunks: dict[str, list[Column]] = {}
    names: dict[str, None] = {}
    numbers: list[int] = []
    is_array = _is_array(path)
    records = _array(path) if is_array else _lines(path)
    while batch := list(itertools.islice(records, CHUNK)):
        for _, record in batch:
            names |= dict.fromkeys(record)
        for name in filter(wanted, names):
            before = [pl.Series([None] * len(numbers), dtype=pl.Null)] if numbers else []
            column = settled([record.get(name) for _, record in batch])
            chunks.setdefault(name, [*before]).append(column)
        numbers += [number for number, _ in batch]
    gapless = not numbers or numbers[-1] == len(numbers)
    place = Place(str(path), "record" if is_array else "line", None if gapless else numbers)
    return Table({name: joined(column) for name, column in chunks.items()}, tuple(names), place)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield (line number, object); blank lines are skipped."""
    with open_packed(path) as file:
        for number, raw in enumerate(read_lines(file, path), 1):
            line = decode_line(raw.removeprefix(UTF8_BOM) if number == 1 else raw, number, path)
            if line and not line.isspace():
                yield number, _parse(line.rstrip("\r\n"), f"line {number} of {path}")


def _parse(line: str, place: str) -> dict[str, object]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as e:
        reason = f"{e.msg}: character {e.pos + 1}" if isinstance(e, json.JSONDecodeError) else e
        raise TruewardError(
            f"{place} should be one JSON object, but it cannot be read ({reason}): correct or "
            "drop that line"
        ) from e
    return _object(record, place)


def _object(record: object, place: str) -> dict[str, object]:
    if not isinstance(record, dict):
        raise TruewardError(
            f'{place} should be a JSON object such as {{"prompt": ..., "response": ...}}, but it '
            f"is {shown(record)}: write one object per row"
        )
    return record


def _is_array(path: Path) -> bool:
    """Whether a .json file holds one array; every other name means JSON lines."""
    name = path.name.lower()
    if name.removesuffix(".gz").removesuffix(".zst").endswith(".json"):
        with open_packed(path) as file:
            for raw in read_lines(file, path):
                if start := raw.removeprefix(UTF8_BOM).strip():
                    return start.startswith(b"[")
    return False


def _array(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield (number of the element, object)."""
    with open_packed(path) as file:
        documents = enumerate(json_documents(file, LONGEST_LINE), 1)
        while (found := _next_document(documents, path)) is not None:
            number, (line, record, error) = found
            if error:
                raise TruewardError(
                    f"{path} should be one JSON array of objects, but it cannot be read (line {line}: "
                    f"{error}): correct it, or write one object per line"
                )
            yield number, _object(record, f"record {number} of {path}")


def _next_document(
    documents: Iterator[tuple[int, Document]], path: Path
) -> tuple[int, Document] | None:
    try:
        return next(documents, None)
    except (EOFError, zlib.error, gzip.BadGzipFile) as e:
        raise broken_gzip(path) from e
