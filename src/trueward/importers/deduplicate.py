"""Responses that compete: copies of one id, fallbacks of a trace, regenerated answers.

Responses pass in batches. Of all rows, memory holds 64-bit hashes of ids: rows whose hash occurs twice or
belongs to an event are compared by the ids themselves. Every choice depends on the content of rows and not
on their order, so that shuffled files give the same tables.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from .schema import (
    PLACE,
    REJECTED,
    RESPONSES,
    STAGED_EVENTS,
    STAGED_RESPONSES,
    split_faults,
    with_prompt_ids,
)
from .scratch import Scratch, compact_copy
from .sorted_ranges import SortedRanges, prefetched, range_starts, rows_at_once
from .traces import shown_answers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .schema import Faults
    from .sorted_ranges import Progress
    from .traces import Traces

EVENT_KEYS = ("response_id", "shown_at", "group", "alias")  # what events are joined by
# rows whose fate depends on others: of a trace, regenerated, or not a plain answer
IS_RELATED = (
    pl.col("group").is_not_null()
    | pl.col("sibling_group").is_not_null()
    | (pl.col("precedence") != "answer")
)


@dataclass
class UniqueResponses:
    """Responses, each once, in sorted ranges.

    Attributes
    ----------
    ranges : SortedRanges
        The rows in the columns of the responses table.
    protect : callable
        Applied to every row before it is stored: ids of people are hashed, texts redacted.
    keys : list of DataFrame
        Columns ``EVENT_KEYS`` of responses that an event may name.
    related : list of DataFrame
        Rows whose fate depends on others.
    rejected : list of DataFrame
        Columns ``REJECTED``.
    copies : int
        Number of rows that were copies of another.

    """

    ranges: SortedRanges
    protect: Callable[[pl.DataFrame], pl.DataFrame]
    keys: list[pl.DataFrame] = field(default_factory=list)
    related: list[pl.DataFrame] = field(default_factory=list)
    rejected: list[pl.DataFrame] = field(default_factory=list)
    copies: int = 0

    def add(self, rows: pl.DataFrame) -> None:
        """Add rows that do not depend on others.

        Parameters
        ----------
        rows : DataFrame
            Valid rows, each id once.

        """
        self.keys.append(compact_copy(rows.filter("is_named").select(EVENT_KEYS)))
        self.ranges.add(self.protect(rows))

    def add_related(self, events: pl.DataFrame, shown: tuple[str, ...]) -> Traces:
        """Decide on the rows that depend on others, add those that stay, and return them.

        Parameters
        ----------
        events : DataFrame
            Staged events, which name responses.
        shown : tuple of str
            Names of the calls that users saw; empty to decide by the text of their trace.

        Returns
        -------
        Traces
            The rows that stay, and the account of the others.

        """
        traces = shown_answers(pl.concat(self.related), events, shown)
        traces.answers = _name_regenerated(traces.answers)
        self.keys.append(traces.answers.select(EVENT_KEYS))
        self.ranges.add(self.protect(traces.answers))
        return traces


def unique_responses(
    parts: list[pl.LazyFrame],
    faults: Faults,
    events: pl.DataFrame,
    protect: Callable[[pl.DataFrame], pl.DataFrame],
    scratch: Scratch,
    progress: Progress,
) -> UniqueResponses:
    """Check staged responses and keep one row of each id.

    Parameters
    ----------
    parts : list of LazyFrame
        Staged responses with equal types of equal columns.
    faults : list of (Expr, Expr)
        Conditions that reject a row, and the reasons.
    events : DataFrame
        Staged events; they decide which responses may be named.
    protect : callable
        Applied to every row before it is stored.
    scratch : Scratch
        Holds rows that exceed memory.
    progress : callable
        Called as ``progress(step, rows, total)``.

    Returns
    -------
    UniqueResponses
        All rows but the related ones, which `UniqueResponses.add_related` adds.

    """
    rows = pl.concat(parts, how="diagonal_relaxed")
    names = rows.collect_schema().names()
    context = sorted(name for name in names if name.startswith("context."))
    rows = rows.select(*STAGED_RESPONSES, *context)
    schema = rows.collect_schema()
    flags, batch_rows = _flags(rows, events), rows_at_once(rows)
    written = pl.Schema({name: schema[name] for name in (*RESPONSES, *context)})
    starts = range_starts(rows, flags.height, batch_rows)
    result = UniqueResponses(SortedRanges(starts, written, scratch), protect)
    buckets: list[list[pl.LazyFrame]] = [
        [] for _ in range(1 + int(flags["is_repeated"].sum()) // batch_rows)
    ]
    bucket = pl.col("response_id").hash(1) % len(buckets)
    done = 0
    batches = _batches(parts, schema, batch_rows)
    for valid, rejected in prefetched(_checked(batches, flags, faults)):
        done += valid.height + rejected.height
        progress("sorting responses", done, flags.height)
        result.rejected.append(rejected)
        needs_others = pl.col("is_repeated") | IS_RELATED
        result.add(valid.filter(~needs_others))
        some = valid.filter(needs_others).with_columns(bucket.alias("bucket"))
        by_bucket = some.partition_by("bucket", as_dict=True, include_key=False)
        for (k,), part in by_bucket.items():
            buckets[int(k)].append(scratch.hold(part))
    empty = pl.LazyFrame(schema={**schema, **flags.schema})
    for frames in buckets:
        unique, rejected, copies = _one_per_id(pl.concat([empty, *frames]).collect())
        result.rejected.append(rejected)
        result.copies += copies
        result.add(unique.filter(~IS_RELATED))
        result.related.append(compact_copy(unique.filter(IS_RELATED)))
    return result


def _batches(
    parts: list[pl.LazyFrame], schema: pl.Schema, batch_rows: int
) -> Iterator[pl.DataFrame]:
    """Yield about ``batch_rows`` rows at a time; reading all parts together would take more memory."""
    empty = pl.LazyFrame(schema=schema)
    frames: list[pl.DataFrame] = []
    for part in parts:
        even = pl.concat([empty, part], how="diagonal_relaxed").select(schema.names())
        for batch in even.collect_batches(chunk_size=batch_rows):
            frames.append(batch)
            if sum(frame.height for frame in frames) >= batch_rows:
                yield pl.concat(frames)
                frames = []
    if frames:
        yield pl.concat(frames)


def _checked(
    batches: Iterator[pl.DataFrame], flags: pl.DataFrame, faults: Faults
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield the valid rows of each batch, with prompt ids and flags, and its rejected rows."""
    start = 0
    for batch in batches:
        valid, rejected = split_faults(batch.hstack(flags.slice(start, batch.height)), faults)
        start += batch.height
        yield with_prompt_ids(valid), rejected


def _flags(rows: pl.LazyFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Return for each row whether its id may occur twice, and whether an event may name it."""
    has_siblings = pl.col("sibling_group").is_not_null()
    parent = pl.when(has_siblings).then(pl.col("parent_response_id").hash())
    hashes = rows.select(pl.col("response_id").hash().alias("id"), parent.alias("parent"))
    ids = hashes.collect(engine="streaming")
    named = pl.concat([events["response_id"].drop_nulls().hash(), ids["parent"].drop_nulls()])
    return ids.select(
        pl.col("id").is_duplicated().alias("is_repeated"),
        pl.col("id").is_in(named.unique().implode()).alias("is_named"),
    )


def _one_per_id(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """Keep one row per id: no echo beside another copy, and the latest update.

    Two equally new texts of one id are both rejected, since feedback could be about either. A span and its
    texts may be two records of one id.
    """
    is_owner = pl.col("precedence") == "owner"
    owners = rows.filter(is_owner)
    order = [c for c in rows.columns if c not in {"response_id", "updated_at", "prompt", *PLACE}]
    once = owners.sort("response_id", "updated_at", *order, nulls_last=False)
    once = once.unique("response_id", keep="last", maintain_order=True)
    unique, rejected, copies = _one_answer_per_id(rows.filter(~is_owner))
    return pl.concat([unique, once]), rejected, copies + owners.height - once.height


def _one_answer_per_id(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    twice = rows.select(pl.col("response_id").is_duplicated()).to_series()
    if not twice.any():
        return rows, pl.DataFrame(schema=REJECTED), 0
    single, rows = rows.filter(~twice), rows.filter(twice)
    is_echo = pl.col("precedence") == "echo"
    rows = rows.filter(~is_echo | is_echo.all().over("response_id"))
    count = rows.filter(~is_echo).height
    latest = pl.col("updated_at").max().over("response_id")
    rows = rows.filter(latest.is_null() | (pl.col("updated_at") == latest))
    texts = pl.struct("prompt", "response").n_unique().over("response_id")
    conflicting = rows.filter(texts > 1)
    two = pl.lit(" has two texts, so its feedback could be about either")
    reason = pl.concat_str(pl.lit("the id "), "response_id", two)
    order = [c for c in rows.columns if c not in {"response_id", "prompt", *PLACE}]
    unique = rows.filter(texts == 1).sort("response_id", *order, nulls_last=True)
    unique = unique.unique("response_id", keep="first", maintain_order=True)
    copies = count - conflicting.filter(~is_echo).height - unique.filter(~is_echo).height
    rejected = conflicting.select(*PLACE, reason.alias("reason"))
    return pl.concat([single, unique]), rejected, copies


def _name_regenerated(responses: pl.DataFrame) -> pl.DataFrame:
    """Set the parent of each later sibling to the sibling shown before it."""
    rows = responses.sort("shown_at", "response_id")
    previous = pl.col("response_id").shift(1).over("sibling_group")
    previous = pl.when(pl.col("sibling_group").is_not_null()).then(previous)
    parent = pl.coalesce("parent_response_id", previous)
    return rows.with_columns(parent.alias("parent_response_id"))


def regenerate_events(responses: pl.DataFrame) -> pl.DataFrame:
    """Return one ``regenerate`` event for each response that a sibling regenerated.

    Parameters
    ----------
    responses : DataFrame
        Related responses, with parents.

    Returns
    -------
    DataFrame
        Columns ``STAGED_EVENTS``.

    """
    has_parent = pl.col("parent_response_id").is_not_null()
    events = responses.filter(pl.col("sibling_group").is_not_null() & has_parent).select(
        pl.col("parent_response_id").alias("response_id"),
        pl.col("shown_at").alias("at"),
        pl.lit("regenerate").alias("channel"),
        pl.lit(1.0).alias("value"),
        pl.lit("user").alias("source"),
        "file",
        "line",
    )
    empty = pl.DataFrame(schema=STAGED_EVENTS)
    return pl.concat([empty, events], how="diagonal").select(*STAGED_EVENTS)
