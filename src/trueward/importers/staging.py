"""Rows of any source as two tables, batch by batch, so that only one batch is ever Python objects."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from trueward.data.readers.table import settled

from .contract import ODD, Bad, Event, Record, Reject, Response, Silent, Skip
from .records import Lost

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .contract import Ask, Row, Source
    from .ranges import Progress
    from .scratch import Scratch

TIME = pl.Datetime("us", "UTC")
MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
ARROW_MESSAGES = pa.large_list(
    pa.struct({"role": pa.large_string(), "content": pa.large_string()}.items())
)
PLACE = {"file": pl.String, "line": pl.Int64}
RESPONSES: dict[str, Any] = {
    "response_id": pl.String,
    "prompt_id": pl.String,
    "prompt": MESSAGES,
    "response": pl.String,
    "user_id": pl.String,
    "session_id": pl.String,
    "shown_at": TIME,
    "model": pl.String,
    "position": pl.Int32,
    "turn": pl.Int32,
    "parent_response_id": pl.String,
    "p_ask": pl.Float64,
}
EVENTS: dict[str, Any] = {
    "response_id": pl.String,
    "at": TIME,
    "channel": pl.String,
    "value": pl.Float64,
    "source": pl.String,
    "event_id": pl.String,
    "actor_id": pl.String,
    "other_response_id": pl.String,
    "text": pl.String,
    "raw": pl.String,
}
STAGED_RESPONSES = {
    **RESPONSES,
    "group": pl.String,
    "standing": pl.String,
    "siblings": pl.String,
    "updated": TIME,
    **PLACE,
}
STAGED_EVENTS = {**EVENTS, "group": pl.String, "key": pl.String, "updated": TIME, **PLACE}
REJECTED = {**PLACE, "reason": pl.String}
BATCH = 20_000  # rows


@dataclass
class Staged:
    """All rows of an import, in no order, and what did not become one."""

    scratch: Scratch  # for what memory does not hold
    responses: list[pl.LazyFrame] = field(default_factory=list)
    events: list[pl.LazyFrame] = field(default_factory=list)
    rejected: list[pl.DataFrame] = field(default_factory=list)
    read: Counter[str] = field(default_factory=Counter)  # records by shape
    skipped: Counter[str] = field(default_factory=Counter)  # by reason


@dataclass
class Batch:
    """The rows that are held as objects, each with its place."""

    responses: list[tuple[Response, str, int]] = field(default_factory=list)
    events: list[tuple[Event, str, int]] = field(default_factory=list)
    rejected: list[tuple[str, int, str]] = field(default_factory=list)

    @property
    def full(self) -> bool:
        """Whether it is time to empty it."""
        return max(len(self.responses), len(self.events), len(self.rejected)) >= BATCH

    def flush(self, staged: Staged) -> None:
        """Move all rows to the tables."""
        if self.responses:
            staged.responses.append(staged.scratch.held(_responses(self.responses)))
        if self.events:
            staged.events.append(staged.scratch.held(_frame(self.events, STAGED_EVENTS)))
        if self.rejected:
            staged.rejected.append(pl.DataFrame(self.rejected, REJECTED, orient="row"))
        for rows in (self.responses, self.events, self.rejected):
            rows.clear()


def stage(
    source: Source,
    units: Iterable[list[Record] | Lost],
    ask: Ask,
    scratch: Scratch,
    progress: Progress,
) -> Staged:
    """Read every unit of records; what is wrong with one is its own affair."""
    staged, batch = Staged(scratch), Batch()
    for unit in units:
        if isinstance(unit, Lost):
            staged.read["unreadable"] += 1
            batch.rejected.append((unit.file, unit.line, unit.reason))
        else:
            _take(source, unit, ask, staged, batch)
        if batch.full:
            batch.flush(staged)
            progress("reading records", staged.read.total(), 0)
    batch.flush(staged)
    return staged


def _take(source: Source, unit: list[Record], ask: Ask, staged: Staged, batch: Batch) -> None:
    place = unit[0].file, unit[0].line
    known = [record for record in unit if record.shape]
    for record in unit:
        staged.read[record.shape or "unknown"] += 1
        if not record.shape:
            keys = ", ".join(sorted(record.value)[:8])
            reason = f"is no record of {source.name}: its keys are {keys or 'none'}"
            batch.rejected.append((record.file, record.line, reason))
    try:
        rows = [_sound(row) for row in source.rows(known, ask)] if known else []
    except Silent as e:
        staged.skipped[str(e)] += len(known)
        return
    except (Bad, *ODD) as e:
        reason = worded(e)
        batch.rejected += [(record.file, record.line, reason) for record in known]
        return
    for row in rows:
        if isinstance(row, Response):
            batch.responses.append((row, *place))
        elif isinstance(row, Event):
            batch.events.append((row, *place))
        elif isinstance(row, Skip):
            staged.skipped[row.reason] += 1
        else:
            batch.rejected.append((*place, row.reason))


def worded(e: Exception) -> str:
    """Say why a record is rejected."""
    if isinstance(e, Bad):
        return str(e)
    return f"a value is not of the kind that the source writes ({' '.join(str(e).split())[:100]})"


def _sound(row: Row) -> Row:
    """Reject text with half a character, which no table can hold."""
    if isinstance(row, Response):
        texts = [row.response, row.response_id, *(m["content"] for m in row.prompt)]
    elif isinstance(row, Event):
        texts = [row.text or "", row.response_id or ""]
    else:
        return row
    try:
        for text in texts:
            text.isascii() or text.encode()
    except UnicodeEncodeError:
        return Reject("half of a surrogate pair (a character that was cut in two)")
    return row


def identified(rows: pl.DataFrame) -> pl.DataFrame:
    """Give responses without one the prompt_id of their messages: SHA-256 of canonical JSON, 16 digits."""
    lacking = rows["prompt_id"].is_null() & rows["prompt"].is_not_null()
    if not lacking.any():
        return rows
    ordered = pl.element().struct.field("content"), pl.element().struct.field("role")
    held = pl.struct(pl.col("prompt").list.eval(pl.struct(ordered)).alias("p")).struct.json_encode()
    cut = slice(len('{"p":'), -1)  # the canonical JSON stands inside of {"p": ...}
    texts = rows.filter(lacking).select(held).to_series().to_list()
    made = [hashlib.sha256(text[cut].encode()).hexdigest()[:16] for text in texts]
    every = pl.Series("prompt_id", made, pl.String)
    if len(made) < rows.height:
        every = rows["prompt_id"].scatter(lacking.arg_true(), every)
    return rows.with_columns(every)


def _responses(rows: list[tuple[Response, str, int]]) -> pl.DataFrame:
    frame = _frame(rows, STAGED_RESPONSES)
    names = sorted({name for row, _, _ in rows for name in row.context})
    context = [
        pl.Series(
            f"context.{name}", settled([row.context.get(name) for row, _, _ in rows]), strict=False
        )
        for name in names
    ]
    return frame.with_columns(context)


def _frame(rows: Any, schema: dict[str, Any]) -> pl.DataFrame:
    columns: dict[str, Any] = {
        name: [getattr(row, name) for row, _, _ in rows] for name in schema if name not in PLACE
    }
    if "prompt" in columns:  # lists of objects are read faster by Arrow
        columns["prompt"] = pl.Series(pl.from_arrow(pa.array(columns["prompt"], ARROW_MESSAGES)))
    columns |= {"file": [file for _, file, _ in rows], "line": [line for _, _, line in rows]}
    return pl.DataFrame(columns, schema)
