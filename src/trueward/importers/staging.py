"""Records to staged rows, batch by batch, so that only one batch of rows is Python objects."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from trueward.core.errors import TruewardError
from trueward.data.readers.table import settled

from .channels import resolve_thumb
from .contract import (
    WRONG_TYPE,
    Event,
    InvalidRecord,
    NoAnswer,
    Record,
    Reject,
    Response,
    Skip,
)
from .detect import OWN_TABLE, sources
from .records import UnreadableRecord, read_records
from .schema import PLACE, REJECTED, STAGED_EVENTS, STAGED_RESPONSES
from .spans import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from .contract import Row, Source, UserMapping
    from .scratch import Scratch
    from .sorted_ranges import Progress

BATCH = 20_000  # rows that are Python objects at a time
GROUPED_BATCH = 5_000  # records that are Python objects while they are sorted by group
FIELDS = {kind: attrgetter(*kind.__slots__) for kind in (Response, Event)}
ARROW_MESSAGES = pa.large_list(
    pa.struct({"role": pa.large_string(), "content": pa.large_string()}.items())
)
GROUPED = {
    "key": pl.String,
    "file": pl.String,
    "line": pl.Int64,
    "kind": pl.String,
    "json": pl.String,
}


@dataclass
class StagedRows:
    """All rows of an import, in no order, and the account of what became no row.

    Attributes
    ----------
    scratch : Scratch
        Holds rows that exceed memory.
    responses, events : list of LazyFrame
        Columns ``STAGED_RESPONSES`` with ``context.*``, and ``STAGED_EVENTS``.
    rejected : list of DataFrame
        Columns ``REJECTED``.
    read : Counter
        Number of records by kind.
    skipped : Counter
        Number of valid records without a row, by reason.

    """

    scratch: Scratch
    responses: list[pl.LazyFrame] = field(default_factory=list)
    events: list[pl.LazyFrame] = field(default_factory=list)
    rejected: list[pl.DataFrame] = field(default_factory=list)
    read: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)


@dataclass
class _Batch:
    """Rows as Python objects, each with its file and line."""

    responses: list[tuple[Response, str, int]] = field(default_factory=list)
    events: list[tuple[Event, str, int]] = field(default_factory=list)
    rejected: list[tuple[str, int, str]] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        """Whether to flush it."""
        return max(len(self.responses), len(self.events), len(self.rejected)) >= BATCH

    def flush(self, staged: StagedRows) -> None:
        """Move all rows to the staged tables."""
        if self.responses:
            staged.responses.append(staged.scratch.hold(_response_frame(self.responses)))
        if self.events:
            staged.events.append(staged.scratch.hold(_frame(self.events, STAGED_EVENTS)))
        if self.rejected:
            staged.rejected.append(pl.DataFrame(self.rejected, REJECTED, orient="row"))
        for rows in (self.responses, self.events, self.rejected):
            rows.clear()


def stage(
    source: Source,
    paths: Sequence[Path],
    mapping: UserMapping,
    scratch: Scratch,
    progress: Progress,
) -> StagedRows:
    """Read every record of the files into staged rows; an invalid record only rejects itself.

    Parameters
    ----------
    source : Source
        The product of the export.
    paths : sequence of Path
        Files to read record by record.
    mapping : UserMapping
        Names of signals and paths to texts.
    scratch : Scratch
        Holds rows that exceed memory.
    progress : callable
        Called as ``progress(step, rows, total)`` after each batch.

    Returns
    -------
    StagedRows
        All rows, and the account of the rest.

    """
    staged, batch = StagedRows(scratch), _Batch()
    for group in record_groups(source, paths):
        if isinstance(group, UnreadableRecord):
            staged.read["unreadable"] += 1
            batch.rejected.append((group.file, group.line, group.reason))
        else:
            _stage_group(source, group, mapping, staged, batch)
        if batch.is_full:
            batch.flush(staged)
            progress("reading records", staged.read.total(), 0)
    batch.flush(staged)
    return staged


def record_groups(
    source: Source, paths: Sequence[Path]
) -> Iterator[list[Record] | UnreadableRecord]:
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
        _with_kind(source, record)
        for path in paths
        for record in read_records(path, source.reading)
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


def _with_kind(source: Source, record: Record | UnreadableRecord) -> Record | UnreadableRecord:
    if isinstance(record, UnreadableRecord):
        return record
    return Record(record.value, record.file, record.line, source.kind_of(record.value) or "")


def _key(group_key: Callable[[Record], str | None], record: Record) -> str | None:
    try:
        key = group_key(record)
        return None if key is None else _whole(key)
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


def _stage_group(
    source: Source, group: list[Record], mapping: UserMapping, staged: StagedRows, batch: _Batch
) -> None:
    place = group[0].file, group[0].line
    known = [record for record in group if record.kind]
    for record in group:
        staged.read[record.kind or "unknown"] += 1
        if not record.kind:
            batch.rejected.append((record.file, record.line, _other_product(source, record.value)))
    try:
        rows = [_valid_text(row) for row in source.rows(known, mapping)] if known else []
    except TruewardError:  # about the whole file, not about a record
        raise
    except NoAnswer as e:
        staged.skipped[str(e)] += len(known)
        return
    except (InvalidRecord, *WRONG_TYPE) as e:
        reason = reason_of(e)
        batch.rejected += [(record.file, record.line, reason) for record in known]
        return
    for found in rows:
        row = resolve_thumb(found, mapping) if isinstance(found, Event) else found
        if isinstance(row, Skip):
            staged.skipped[row.reason] += 1
            continue
        at = row.place or place
        if isinstance(row, Response):
            batch.responses.append((row, *at))
        elif isinstance(row, Event):
            batch.events.append((row, *at))
        else:
            batch.rejected.append((*at, row.reason))


def _other_product(source: Source, value: dict[str, Any]) -> str:
    known = [s for s in sources().values() if s.name not in {source.name, OWN_TABLE}]
    others = [s.name for s in known if s.kind_of(value)]
    keys = ", ".join(sorted(map(str, value))[:8]) or "none"
    name = f", but of {' or '.join(others)}" if others else f": its keys are {keys}"
    return f"is not a record of {source.name}{name}"


def _valid_text(row: Row) -> Row:
    """Reject text with half a character, which no table can hold."""
    if isinstance(row, Skip | Reject):
        return row if row.reason.isascii() else replace(row, reason=_whole(row.reason))
    texts = [*FIELDS[type(row)](row)]
    if isinstance(row, Response):
        texts += [t for m in (*row.prompt, row.context) for pair in m.items() for t in pair]
    try:
        for text in (t for t in texts if isinstance(t, str) and not t.isascii()):
            text.encode()
    except UnicodeEncodeError:
        return Reject("half of a surrogate pair (a character that was cut in two)", row.place)
    return row


def _whole(text: str) -> str:
    return text if text.isascii() else text.encode(errors="replace").decode()


def _response_frame(rows: list[tuple[Response, str, int]]) -> pl.DataFrame:
    names = sorted({name for row, _, _ in rows for name in row.context})
    values = {name: settled([row.context.get(name) for row, _, _ in rows]) for name in names}
    context = [pl.Series(f"context.{name}", values[name], strict=False) for name in names]
    return _frame(rows, STAGED_RESPONSES).with_columns(context)


def _frame(rows: Any, schema: dict[str, Any]) -> pl.DataFrame:
    columns: dict[str, Any] = {
        name: [getattr(row, name) for row, _, _ in rows] for name in schema if name not in PLACE
    }
    if "prompt" in columns:  # Arrow converts lists of objects faster
        columns["prompt"] = pl.Series(pl.from_arrow(pa.array(columns["prompt"], ARROW_MESSAGES)))
    columns |= {"file": [file for _, file, _ in rows], "line": [line for _, _, line in rows]}
    return pl.DataFrame(columns, schema)
