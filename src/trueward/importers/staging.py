"""Records to staged rows, batch by batch, so that only one batch of rows is Python objects."""

from __future__ import annotations

import contextlib
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
from .json_columns import with_constants
from .line_blocks import UnreadableRecord
from .record_groups import record_groups, whole_text, with_kind
from .records import file_format, json_line, read_records, read_typed_lines, too_long_line
from .schema import PLACE, REJECTED, STAGED_EVENTS, STAGED_RESPONSES
from .sorted_ranges import prefetched
from .spans import reason_of

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from .contract import Row, Source, UserMapping
    from .scratch import Scratch
    from .sorted_ranges import Progress

JSON_LINES = (".jsonl", ".ndjson")
BATCH = 20_000  # rows that are Python objects at a time
FIELDS = {kind: attrgetter(*kind.__slots__) for kind in (Response, Event)}
ARROW_MESSAGES = pa.large_list(
    pa.struct({"role": pa.large_string(), "content": pa.large_string()}.items())
)


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
            rows = [(file, line, whole_text(reason)) for file, line, reason in self.rejected]
            staged.rejected.append(pl.DataFrame(rows, REJECTED, orient="row"))
        for held in (self.responses, self.events, self.rejected):
            held.clear()


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
    by_record = []
    for path in paths:
        if source.read_columns is not None and file_format(path) in JSON_LINES:
            _stage_lines(source, path, mapping, staged, batch, progress)
        else:
            by_record.append(path)
    if source.survey is not None:
        with contextlib.closing(_known_records(source, by_record)) as records:
            source = replace(source, rows=source.survey(records, mapping))
    with contextlib.closing(record_groups(source, by_record)) as groups:
        for group in groups:
            _stage_group(source, group, mapping, staged, batch)
            if batch.is_full:
                batch.flush(staged)
                progress("reading records", staged.read.total(), 0)
    batch.flush(staged)
    return staged


def _known_records(source: Source, paths: Sequence[Path]) -> Generator[Record, None, None]:
    for path in paths:
        for read in read_records(path, source.reading):
            record = with_kind(source, read)
            if isinstance(record, Record) and record.kind:
                yield record


def _stage_lines(
    source: Source,
    path: Path,
    mapping: UserMapping,
    staged: StagedRows,
    batch: _Batch,
    progress: Progress,
) -> None:
    """Stage JSON lines of the generic tables by column, and what does not fit record by record."""
    name = str(path)
    for rows in prefetched(read_typed_lines(path, source)):
        if isinstance(rows, UnreadableRecord):
            _stage_group(source, rows, mapping, staged, batch)
            continue
        for kind, frame in rows.staged:
            (staged.responses if kind == "response" else staged.events).append(
                with_constants(staged.scratch.hold(frame, pack=False), kind, name)
            )
            staged.read[kind] += frame.height
        for number, raw in rows.others:
            record = json_line(raw, name, number)
            if record is not None:
                group = with_kind(source, record)
                _stage_group(
                    source, [group] if isinstance(group, Record) else group, mapping, staged, batch
                )
        if rows.too_long is not None:
            _stage_group(source, too_long_line(name, rows.too_long), mapping, staged, batch)
        if batch.is_full:
            batch.flush(staged)
        progress("reading records", staged.read.total(), 0)


def _stage_group(
    source: Source,
    group: list[Record] | UnreadableRecord,
    mapping: UserMapping,
    staged: StagedRows,
    batch: _Batch,
) -> None:
    if isinstance(group, UnreadableRecord):
        staged.read["unreadable"] += 1
        batch.rejected.append((group.file, group.line, group.reason))
        return
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
        return replace(row, reason=whole_text(row.reason))
    texts = [*FIELDS[type(row)](row)]
    if isinstance(row, Response):
        texts += [t for m in (*row.prompt, row.context) for pair in m.items() for t in pair]
    try:
        for text in (t for t in texts if isinstance(t, str) and not t.isascii()):
            text.encode()
    except UnicodeEncodeError:
        return Reject("half of a surrogate pair (a character that was cut in two)", row.place)
    return row


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
