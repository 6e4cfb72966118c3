"""Responses batch by batch: those that stand alone pass, those that depend on others are looked at together.

What is held of all rows are 64-bit hashes of their ids, which say where to look: rows whose hash comes twice,
or is that of an event, are compared by the ids themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from .ranges import Ranges, ahead, at_once, marks
from .related import KIN, one_each, owned, regenerated, standing
from .scratch import Scratch, compact
from .staging import PLACE, RESPONSES, STAGED_RESPONSES, identified

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .ranges import Progress

Faults = list[tuple[pl.Expr, pl.Expr]]  # what is wrong, and how it is said
KNOWN = ("response_id", "shown_at", "group")


@dataclass
class Sifted:
    """Responses, each once, in ranges of their order, and what is to be known of them."""

    ranges: Ranges
    hide: Callable[[pl.DataFrame], pl.DataFrame]
    known: list[pl.DataFrame] = field(default_factory=list)  # those that an event may name
    kin: list[pl.DataFrame] = field(default_factory=list)  # of a trace, or siblings
    rejected: list[pl.DataFrame] = field(default_factory=list)
    repeated: int = 0

    def settle(self, rows: pl.DataFrame) -> None:
        """Keep rows that stand alone."""
        self.known.append(compact(rows.filter("named").select(KNOWN)))
        self.ranges.put(self.hide(rows))

    def family(self, events: pl.DataFrame) -> pl.DataFrame:
        """Keep the rows that depend on others, and give them."""
        kin = regenerated(standing(owned(pl.concat(self.kin)), events))
        self.known.append(kin.select(KNOWN))
        self.ranges.put(self.hide(kin))
        return kin


def sifted(
    parts: list[pl.LazyFrame],
    faults: Faults,
    events: pl.DataFrame,
    hide: Callable[[pl.DataFrame], pl.DataFrame],
    scratch: Scratch,
    progress: Progress,
) -> Sifted:
    """Sift the staged responses; ``events`` say which of them must be known by name."""
    rows = pl.concat(parts, how="diagonal_relaxed")
    names = rows.collect_schema().names()
    context = sorted(name for name in names if name.startswith("context."))
    rows = rows.select(*STAGED_RESPONSES, *context)
    schema = rows.collect_schema()
    flags, many = _flags(rows, events), at_once(rows)
    kept = pl.Schema({name: schema[name] for name in (*RESPONSES, *context)})
    made = Sifted(Ranges(marks(rows, flags.height, many), kept, scratch), hide)
    shared: list[list[pl.LazyFrame]] = [[] for _ in range(1 + int(flags["twice"].sum()) // many)]
    bucket = pl.col("response_id").hash(1) % len(shared)
    done = 0
    batches = _batches(parts, schema, many)
    for sound, faulty in ahead(_checked(batches, flags, faults)):
        progress("sorting responses", done := done + sound.height + faulty.height, flags.height)
        made.rejected.append(faulty)
        together = pl.col("twice") | KIN
        made.settle(sound.filter(~together))
        some = sound.filter(together).with_columns(bucket.alias("bucket"))
        split_up = some.partition_by("bucket", as_dict=True, include_key=False)
        for (k,), part in split_up.items():
            shared[int(k)].append(scratch.held(part))
    empty = pl.LazyFrame(schema={**schema, **flags.schema})
    for held in shared:
        _once(pl.concat([empty, *held]).collect(), made)
    return made


def _once(rows: pl.DataFrame, made: Sifted) -> None:
    """Keep one row of each id."""
    kept, torn, repeated = one_each(rows)
    made.rejected.append(torn)
    made.repeated += repeated
    made.settle(kept.filter(~KIN))
    made.kin.append(compact(kept.filter(KIN)))


def _batches(parts: list[pl.LazyFrame], schema: pl.Schema, many: int) -> Iterator[pl.DataFrame]:
    """Yield about ``many`` rows at a time, part by part: read together, each would take memory."""
    empty = pl.LazyFrame(schema=schema)
    held: list[pl.DataFrame] = []
    for part in parts:
        even = pl.concat([empty, part], how="diagonal_relaxed").select(schema.names())
        for batch in even.collect_batches(chunk_size=many):
            held.append(batch)
            if sum(b.height for b in held) >= many:
                yield pl.concat(held)
                held = []
    if held:
        yield pl.concat(held)


def _checked(
    batches: Iterator[pl.DataFrame], flags: pl.DataFrame, faults: Faults
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield of each batch the sound responses, with their prompt_id and flags, and the faulty ones."""
    at = 0
    for batch in batches:
        sound, faulty = split(batch.hstack(flags.slice(at, batch.height)), faults)
        at += batch.height
        yield identified(sound), faulty


def split(rows: pl.DataFrame, faults: Faults) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part the rows without a fault from those with one, which name their first."""
    reason = pl.coalesce([pl.when(fault).then(said) for fault, said in faults])
    marked = rows.with_columns(reason.alias("reason"))
    bad = marked.filter(pl.col("reason").is_not_null()).select(*PLACE, "reason")
    return marked.filter(pl.col("reason").is_null()).drop("reason"), bad


def _flags(rows: pl.LazyFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Say of each row, in order, whether its id may come twice, and whether an event may name it."""
    again = pl.when(pl.col("siblings").is_not_null()).then(pl.col("parent_response_id").hash())
    hashes = rows.select(pl.col("response_id").hash().alias("id"), again.alias("again"))
    ids = hashes.collect(engine="streaming")
    named = pl.concat([events["response_id"].drop_nulls().hash(), ids["again"].drop_nulls()])
    return ids.select(
        pl.col("id").is_duplicated().alias("twice"),
        pl.col("id").is_in(named.unique().implode()).alias("named"),
    )
