"""The staged rows as the two generic tables: one row a response, one a signal, each counted once.

Texts pass through batch by batch. What is held of all rows are 64-bit hashes of their ids, which say where to
look: rows whose hash comes twice, or is that of an event, are compared by the ids themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from ._channels import CHANNELS
from ._ranges import Ranges, ahead, marks
from ._related import one_each, owned, regenerated, regenerations, standing
from ._scratch import Scratch
from ._staging import (
    EVENTS,
    PLACE,
    REJECTED,
    RESPONSES,
    STAGED_EVENTS,
    STAGED_RESPONSES,
    Staged,
    identified,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


ACTORS = ("user", "annotator", "judge")
BATCH = 200_000  # responses that are looked at together
KNOWN = ("response_id", "shown_at", "group")


@dataclass
class Tables:
    """What an import gives, sorted, and how many rows went which way."""

    ranges: Ranges  # of the responses
    known: pl.DataFrame  # response_id, shown_at of those that an event is about, and of others
    events: pl.DataFrame
    rejected: pl.DataFrame
    skipped: dict[str, int]
    read: dict[str, int]
    duplicates: dict[str, int] = field(default_factory=dict)  # responses, events
    join_misses: int = 0  # events whose response is not there
    channels: dict[str, int] = field(default_factory=dict)  # events by channel

    @property
    def responses(self) -> pl.DataFrame:
        """All responses at once."""
        return pl.concat([self.ranges.range(k) for k in range(len(self.ranges))])


def merged(staged: Staged, hide: Callable[[pl.DataFrame], pl.DataFrame]) -> Tables:
    """Check, de-duplicate and join what was staged.

    hide: what is done to every row that is kept, before it is written anywhere: ids of people are hashed.
    """
    rows = _stacked(staged.responses, STAGED_RESPONSES)
    events, bad_events = _split(_stacked(staged.events, STAGED_EVENTS).collect(), _event_faults())
    events, told_again = _newest(events)
    ranges, known, related, bad = _sifted(rows, events, hide, staged.scratch)
    related, torn, repeated = one_each(related)
    related = regenerated(standing(owned(related), events))
    ranges.put(hide(related))
    known = pl.concat([known, related.select(KNOWN)])
    events, missed = _joined(events.vstack(regenerations(related)), known)
    rejected = pl.concat(
        [pl.DataFrame(schema=REJECTED), *staged.rejected, *bad, torn, bad_events, missed]
    )
    return Tables(
        ranges=ranges,
        known=known.drop("group"),
        events=hide(events.select(*EVENTS)).sort(["response_id", "at", "channel", *_rest(EVENTS)]),
        rejected=rejected.sort(*REJECTED),
        skipped=dict(sorted(staged.skipped.items())),
        read=dict(sorted(staged.read.items())),
        duplicates={"responses": repeated, "events": told_again},
        join_misses=missed.height,
        channels=dict(sorted(events["channel"].value_counts().iter_rows())),
    )


def _sifted(
    rows: pl.LazyFrame,
    events: pl.DataFrame,
    hide: Callable[[pl.DataFrame], pl.DataFrame],
    scratch: Scratch,
) -> tuple[Ranges, pl.DataFrame, pl.DataFrame, list[pl.DataFrame]]:
    """Put rows that stand alone into their ranges, and part what an event names, the related and the bad."""
    names = rows.collect_schema().names()
    context = sorted(name for name in names if name.startswith("context."))
    rows = rows.select(*STAGED_RESPONSES, *context)
    schema = rows.collect_schema()
    flags = _flags(rows, events)
    kept = pl.Schema({name: schema[name] for name in (*RESPONSES, *context)})
    ranges = Ranges(marks(rows, flags.height), kept, Scratch(scratch.beside))
    empty = pl.DataFrame(schema=schema)
    known, related, bad = [empty.select(KNOWN)], [empty], []
    alone = ~pl.col("twice") & pl.col("group").is_null() & pl.col("siblings").is_null()
    alone &= pl.col("standing") == "answer"
    for sound, faulty in ahead(_judged(rows, flags)):
        plain = sound.filter(alone)
        ranges.put(hide(plain))
        known.append(plain.filter("named").select(KNOWN))
        related.append(sound.filter(~alone).drop(flags.columns))
        bad.append(faulty)
    return ranges, pl.concat(known), pl.concat(related), bad


def _judged(rows: pl.LazyFrame, flags: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield batches of sound responses, with their prompt_id and flags, and of faulty ones."""
    at = 0
    for batch in rows.collect_batches(chunk_size=BATCH):
        sound, faulty = _split(batch.hstack(flags.slice(at, batch.height)), _response_faults())
        at += batch.height
        yield identified(sound), faulty


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


def _rest(schema: dict[str, Any]) -> list[str]:
    return [name for name in schema if name not in {"response_id", "at", "channel"}]


def _stacked(frames: list[pl.LazyFrame], schema: dict[str, Any]) -> pl.LazyFrame:
    """Join the batches; a context that is a number here and text there becomes text."""
    empty = pl.LazyFrame(schema=schema)
    schemas = [frame.collect_schema() for frame in frames]
    kinds: dict[str, set[str]] = {}
    for found in schemas:
        for name, dtype in found.items():
            if name.startswith("context.") and dtype != pl.Null:
                kinds.setdefault(name, set()).add("n" if dtype.is_numeric() else str(dtype))
    mixed = {name for name, seen in kinds.items() if len(seen) > 1}
    even = [
        frame.with_columns(pl.col(name).cast(pl.String) for name in mixed if name in found)
        for frame, found in zip(frames, schemas, strict=True)
    ]
    return pl.concat([empty, *even], how="diagonal_relaxed")


def _split(
    rows: pl.DataFrame, faults: list[tuple[pl.Expr, pl.Expr]]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part the rows without a fault from those with one, which name their first."""
    reason = pl.coalesce([pl.when(fault).then(said) for fault, said in faults])
    marked = rows.with_columns(reason.alias("reason"))
    bad = marked.filter(pl.col("reason").is_not_null()).select(*REJECTED)
    return marked.filter(pl.col("reason").is_null()).drop("reason"), bad


def _response_faults() -> list[tuple[pl.Expr, pl.Expr]]:
    return [
        (pl.col("response_id").is_null(), pl.lit("a response needs a response_id, and has none")),
        (
            (pl.col("prompt").list.len().fill_null(0) == 0) & (pl.col("standing") != "owner"),
            pl.lit("a response needs a prompt, and has none"),
        ),
        (pl.col("response").is_null(), pl.lit("a response needs a text, and has none")),
        (
            ~pl.col("p_ask").is_between(0, 1).fill_null(value=True),
            pl.format("p_ask should be a probability, and is {}", "p_ask"),
        ),
    ]


def _event_faults() -> list[tuple[pl.Expr, pl.Expr]]:
    channels = ", ".join(CHANNELS)
    return [
        (
            pl.col("response_id").is_null() & pl.col("group").is_null(),
            pl.lit("an event needs a response_id, and has none"),
        ),
        (
            ~pl.col("channel").is_in(list(CHANNELS)).fill_null(value=False),
            pl.format(
                f"the channel {{}} is not one of {channels}", pl.col("channel").fill_null("null")
            ),
        ),
        (
            ~pl.col("value").is_finite().fill_null(value=False),
            pl.lit("an event needs a finite value, and has none"),
        ),
        (
            ~pl.col("source").is_in(ACTORS).fill_null(value=False),
            pl.format(
                "the source of an event should be user, annotator or judge, and is {}",
                pl.col("source").fill_null("null"),
            ),
        ),
    ]


def _newest(events: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Keep the newest event of each key; an event without one is told again where all is equal."""
    about = [c for c in STAGED_EVENTS if c not in {"key", "updated", "raw", *PLACE}]
    same = [c for c in about if c not in {"event_id", "text"}]
    keyed = events.filter(pl.col("key").is_not_null())
    order = ["updated", "at", *(c for c in about if c != "at")]
    keyed = keyed.sort(*order, descending=True, nulls_last=True)
    keyed = keyed.unique(["response_id", "group", "key"], keep="first", maintain_order=True)
    plain = events.filter(pl.col("key").is_null()).sort(*about, nulls_last=True)
    named = plain.filter(pl.col("event_id").is_not_null()).unique(
        "event_id", keep="last", maintain_order=True
    )
    other = plain.filter(pl.col("event_id").is_null()).unique(
        same, keep="first", maintain_order=True
    )
    kept = pl.concat([keyed, named, other])
    return kept, events.height - kept.height


def _joined(events: pl.DataFrame, responses: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give events to their response, else to the last of their group, and part those that have neither."""
    last = (
        responses.filter(pl.col("group").is_not_null())
        .sort("shown_at", "response_id")
        .unique("group", keep="last", maintain_order=True)
        .select("group", pl.col("response_id").alias("last"))
    )
    rows = events.join(last, on="group", how="left")
    here = pl.col("response_id").is_in(responses["response_id"].implode())
    known = pl.when(here | pl.col("last").is_null()).then("response_id").otherwise("last")
    rows = rows.with_columns(known.alias("target"))
    there = rows.join(
        responses.select(pl.col("response_id").alias("target")), on="target", how="semi"
    )
    gone = rows.join(
        responses.select(pl.col("response_id").alias("target")), on="target", how="anti"
    )
    name = pl.coalesce("response_id", "group", pl.lit("?"))
    reason = pl.format("a {} without its response: {} is not among the responses", "channel", name)
    kept = there.with_columns(pl.col("target").alias("response_id")).drop("last", "target")
    return kept, gone.select(*PLACE, reason.alias("reason"))
