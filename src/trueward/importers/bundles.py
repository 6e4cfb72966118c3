"""Records that belong together, from files that hold them in any order."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl

from .contract import ODD, Bad, Record
from .records import Lost, records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from .contract import Source

BATCH = 5_000  # records
SPOOL = {
    "key": pl.String,
    "file": pl.String,
    "line": pl.Int64,
    "shape": pl.String,
    "json": pl.String,
}


def units(source: Source, paths: Sequence[Path]) -> Iterator[list[Record] | Lost]:
    """Yield what the source reads at a time: one record, or all records of one key."""
    found = (_shaped(source, r) for path in paths for r in records(path))
    if source.bundle is None:
        yield from ([r] if isinstance(r, Record) else r for r in found)
        return
    spool: list[pl.DataFrame] = []
    held: list[tuple[Any, ...]] = []
    for record in found:
        key = _key(source.bundle, record) if isinstance(record, Record) and record.shape else None
        if isinstance(record, Lost) or key is None:
            yield record if isinstance(record, Lost) else [record]
            continue
        held.append((key, record.file, record.line, record.shape, _spelled(record.value)))
        if len(held) >= BATCH:
            spool.append(pl.DataFrame(held, SPOOL, orient="row"))
            held = []
    if held:
        spool.append(pl.DataFrame(held, SPOOL, orient="row"))
    if spool:
        yield from _grouped(pl.concat(spool).sort("key", "file", "line"))


def _spelled(value: dict[str, Any]) -> str:
    """Spell a record as ASCII, which holds half characters and times of a table too."""
    return json.dumps(value, default=str)


def _shaped(source: Source, record: Record | Lost) -> Record | Lost:
    if isinstance(record, Lost):
        return record
    return Record(record.value, record.file, record.line, source.shape_of(record.value) or "")


def _key(bundle: Callable[[Record], str | None], record: Record) -> str | None:
    try:
        return bundle(record)
    except (Bad, *ODD):
        return None


def _grouped(spool: pl.DataFrame) -> Iterator[list[Record]]:
    unit: list[Record] = []
    last: str | None = None
    for key, file, line, shape, text in spool.iter_rows(buffer_size=BATCH):
        if unit and key != last:
            yield unit
            unit = []
        last = key
        unit.append(Record(json.loads(text), file, line, shape))
    if unit:
        yield unit
