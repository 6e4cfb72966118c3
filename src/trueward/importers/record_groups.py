"""Records that a source reads together: one, or all records of one key in any file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl

from .contract import WRONG_TYPE, InvalidRecord, Record
from .line_blocks import UnreadableRecord
from .records import read_records

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from .contract import Source

GROUPED_BATCH = 5_000  # records that are Python objects while they are sorted by group
GROUPED = {
    "key": pl.String,
    "file": pl.String,
    "line": pl.Int64,
    "kind": pl.String,
    "json": pl.String,
}


def record_groups(
    source: Source, paths: Sequence[Path]
) -> Generator[list[Record] | UnreadableRecord, None, None]:
    """Yield the records that the source reads together: one, or all records of one key in any file.

    Parameters
    ----------
    source : Source
        The product; its ``group_key`` defines which records belong together.
    paths : sequence of Path
        The files.

    Yields
    ------
    list of Record or UnreadableRecord
        Records with their kind, sorted by file and line.

    """
    records = (
        with_kind(source, record) for path in paths for record in read_records(path, source.reading)
    )
    if source.group_key is None:
        yield from ([r] if isinstance(r, Record) else r for r in records)
        return
    spool: list[pl.DataFrame] = []
    rows: list[tuple[Any, ...]] = []
    for record in records:
        if isinstance(record, UnreadableRecord):
            yield record
            continue
        key = _key(source.group_key, record) if record.kind else None
        if key is None:
            yield [record]
            continue
        # ASCII holds half characters and the times of a table, too
        text = json.dumps(record.value, default=str)
        rows.append((key, record.file, record.line, record.kind, text))
        if len(rows) >= GROUPED_BATCH:
            spool.append(pl.DataFrame(rows, GROUPED, orient="row"))
            rows = []
    if rows:
        spool.append(pl.DataFrame(rows, GROUPED, orient="row"))
    if spool:
        yield from _groups(pl.concat(spool).sort("key", "file", "line"))


def with_kind(source: Source, record: Record | UnreadableRecord) -> Record | UnreadableRecord:
    """Return a record with its kind.

    Parameters
    ----------
    source : Source
        The product.
    record : Record or UnreadableRecord
        As it was read.

    Returns
    -------
    Record or UnreadableRecord
        The kind is empty if the record is not of the source.

    """
    if isinstance(record, UnreadableRecord):
        return record
    return Record(record.value, record.file, record.line, source.kind_of(record.value) or "")


def _key(group_key: Callable[[Record], str | None], record: Record) -> str | None:
    try:
        key = group_key(record)
        return None if key is None else whole_text(key)
    except (InvalidRecord, *WRONG_TYPE):
        return None


def _groups(spool: pl.DataFrame) -> Iterator[list[Record]]:
    group: list[Record] = []
    last: str | None = None
    for key, file, line, kind, text in spool.iter_rows(buffer_size=GROUPED_BATCH):
        if group and key != last:
            yield group
            group = []
        last = key
        group.append(Record(json.loads(text), file, line, kind))
    if group:
        yield group


def whole_text(text: str) -> str:
    """Replace halves of characters, which no table can hold.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        The same in valid Unicode.

    """
    return text if text.isascii() else text.encode(errors="replace").decode()
