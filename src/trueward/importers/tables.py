"""The staged rows as the two generic tables: one row a response, one a signal, each counted once.

Every choice is made by the content of the rows, never by their order, so that shuffled files give the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from .channels import CHANNELS
from .related import regenerations
from .scratch import Scratch
from .sift import sifted, split
from .staging import EVENTS, PLACE, REJECTED, STAGED_EVENTS, STAGED_RESPONSES, Staged

if TYPE_CHECKING:
    from collections.abc import Callable

    from .ranges import Progress, Ranges
    from .sift import Faults

ACTORS = ("user", "annotator", "judge")


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


def merged(
    staged: Staged, hide: Callable[[pl.DataFrame], pl.DataFrame], progress: Progress
) -> Tables:
    """Check, de-duplicate and join what was staged.

    hide: what is done to every row that is kept, before it is written anywhere: ids of people are hashed.
    """
    told = pl.concat(_even(staged.events, STAGED_EVENTS), how="diagonal_relaxed").collect()
    events, bad_events = split(told, _event_faults())
    events, told_again = _newest(events)
    rows = _even(staged.responses, STAGED_RESPONSES)
    scratch = Scratch(staged.scratch.beside)
    made = sifted(rows, _response_faults(), events, hide, scratch, progress)
    kin = made.family(events)
    known = pl.concat(made.known)
    events, missed = _joined(events.vstack(regenerations(kin)), known)
    rejected = [*staged.rejected, *made.rejected, bad_events, missed]
    return Tables(
        ranges=made.ranges,
        known=hide(known.drop("group")),
        events=hide(events.select(*EVENTS)).sort(["response_id", "at", "channel", *_rest(EVENTS)]),
        rejected=pl.concat([pl.DataFrame(schema=REJECTED), *rejected]).sort(*REJECTED),
        skipped=dict(sorted(staged.skipped.items())),
        read=dict(sorted(staged.read.items())),
        duplicates={"responses": made.repeated, "events": told_again},
        join_misses=missed.height,
        channels=dict(sorted(events["channel"].value_counts().iter_rows())),
    )


def _rest(schema: dict[str, Any]) -> list[str]:
    return [name for name in schema if name not in {"response_id", "at", "channel"}]


def _even(frames: list[pl.LazyFrame], schema: dict[str, Any]) -> list[pl.LazyFrame]:
    """Give frames that can be joined; a context that is a number here and text there becomes text."""
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
    return [empty, *even]


# What is said is put together by concat_str: format ends in a panic where a column has an empty piece
# (pola-rs/polars#25339).
def _response_faults() -> Faults:
    return [
        (pl.col("response_id").is_null(), pl.lit("a response needs a response_id, and has none")),
        (
            (pl.col("prompt").list.len().fill_null(0) == 0) & (pl.col("standing") != "owner"),
            pl.lit("a response needs a prompt, and has none"),
        ),
        (pl.col("response").is_null(), pl.lit("a response needs a text, and has none")),
        (
            ~pl.col("p_ask").is_between(0, 1).fill_null(value=True),
            pl.concat_str(pl.lit("p_ask should be a probability, and is "), "p_ask"),
        ),
    ]


def _event_faults() -> Faults:
    channels = ", ".join(CHANNELS)
    return [
        (
            pl.col("response_id").is_null() & pl.col("group").is_null(),
            pl.lit("an event needs a response_id, and has none"),
        ),
        (
            ~pl.col("channel").is_in(list(CHANNELS)).fill_null(value=False),
            pl.concat_str(
                pl.lit("the channel "),
                pl.col("channel").fill_null("null"),
                pl.lit(f" is not one of {channels}"),
            ),
        ),
        (
            ~pl.col("value").is_finite().fill_null(value=False),
            pl.lit("an event needs a finite value, and has none"),
        ),
        (
            ~pl.col("source").is_in(ACTORS).fill_null(value=False),
            pl.concat_str(
                pl.lit("the source of an event should be user, annotator or judge, and is "),
                pl.col("source").fill_null("null"),
            ),
        ),
    ]


def _newest(events: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Keep the newest event of each key; an event without one is told again where all is equal."""
    about = [c for c in STAGED_EVENTS if c not in {"key", "updated", "raw", *PLACE}]
    same = [c for c in about if c not in {"event_id", "text"}]
    has_key, has_id = pl.col("key").is_not_null(), pl.col("event_id").is_not_null()
    by_key, by_rest = pl.struct("response_id", "group", "key"), pl.struct(same)
    name = pl.when(has_key).then(by_key.hash()).when(has_id).then(pl.col("event_id").hash(1))
    twice = name.otherwise(by_rest.hash(2)).is_duplicated()  # or two of one hash
    single, several = events.filter(~twice), events.filter(twice)
    keyed = several.filter(has_key)
    order = ["updated", "at", *(c for c in about if c != "at")]
    keyed = keyed.sort(*order, descending=True, nulls_last=True)
    keyed = keyed.unique(["response_id", "group", "key"], keep="first", maintain_order=True)
    plain = several.filter(~has_key).sort(*about, nulls_last=True)
    named = plain.filter(has_id).unique("event_id", keep="last", maintain_order=True)
    other = plain.filter(~has_id).unique(same, keep="first", maintain_order=True)
    kept = pl.concat([single, keyed, named, other])
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
    without, missing = pl.lit(" without its response: "), pl.lit(" is not among the responses")
    reason = pl.concat_str(pl.lit("a "), "channel", without, name, missing)
    kept = there.with_columns(pl.col("target").alias("response_id")).drop("last", "target")
    return kept, gone.select(*PLACE, reason.alias("reason"))
