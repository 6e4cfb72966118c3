"""The staged rows as the two generic tables: one row a response, one a signal, each counted once.

Every choice is made by the content of the rows, never by their order, so that shuffled files give the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from ._channels import CHANNELS
from ._staging import (
    EVENTS,
    PLACE,
    REJECTED,
    RESPONSES,
    STAGED_EVENTS,
    STAGED_RESPONSES,
    Staged,
)

ACTORS = ("user", "annotator", "judge")


@dataclass
class Tables:
    """What an import gives, sorted, and how many rows went which way."""

    responses: pl.DataFrame
    events: pl.DataFrame
    rejected: pl.DataFrame
    skipped: dict[str, int]
    read: dict[str, int]
    duplicates: dict[str, int] = field(default_factory=dict)  # responses, events
    join_misses: int = 0  # events whose response is not there
    channels: dict[str, int] = field(default_factory=dict)  # events by channel


def merged(staged: Staged) -> Tables:
    """Check, de-duplicate and join what was staged."""
    responses, bad_responses = _split(
        _stacked(staged.responses, STAGED_RESPONSES), _response_faults()
    )
    events, bad_events = _split(_stacked(staged.events, STAGED_EVENTS), _event_faults())
    responses, torn, repeated = _one_each(responses)
    events, told_again = _newest(events)
    responses = _regenerated(_standing(_owned(responses), events))
    events, missed = _joined(events.vstack(_regenerations(responses)), responses)
    rejected = [*staged.rejected, bad_responses, torn, bad_events, missed]
    context = sorted(c for c in responses.columns if c.startswith("context."))
    return Tables(
        responses=responses.select(*RESPONSES, *context).sort("shown_at", "response_id"),
        events=events.select(*EVENTS).sort(["response_id", "at", "channel", *_rest(EVENTS)]),
        rejected=pl.concat([pl.DataFrame(schema=REJECTED), *rejected]).sort(*REJECTED),
        skipped=dict(sorted(staged.skipped.items())),
        read=dict(sorted(staged.read.items())),
        duplicates={"responses": repeated, "events": told_again},
        join_misses=missed.height,
        channels=dict(sorted(events["channel"].value_counts().iter_rows())),
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
    rows: pl.LazyFrame, faults: list[tuple[pl.Expr, pl.Expr]]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part the rows without a fault from those with one, which name their first."""
    reason = pl.coalesce([pl.when(fault).then(said) for fault, said in faults])
    marked = rows.with_columns(reason.alias("reason")).collect()
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


def _one_each(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """Keep one row per id: no echo beside the real one, the newest update, and none of two texts.

    Two texts that are as new as each other leave no way to know which the feedback is about.
    """
    twice = rows.select(pl.col("response_id").is_duplicated()).to_series()
    if not twice.any():
        return rows, pl.DataFrame(schema=REJECTED), 0
    single, rows = rows.filter(~twice), rows.filter(twice)
    echo = pl.col("standing") == "echo"
    rows = rows.filter(~echo | echo.all().over("response_id"))
    count = rows.filter(~echo).height
    newest = pl.col("updated").max().over("response_id")
    rows = rows.filter(newest.is_null() | (pl.col("updated") == newest))
    text = pl.struct("prompt", "response").n_unique().over("response_id")
    torn = rows.filter(text > 1)
    reason = pl.format(
        "the id {} has two texts, so its feedback could be about either", "response_id"
    )
    order = [c for c in rows.columns if c not in {"response_id", "prompt", *PLACE}]
    kept = rows.filter(text == 1).sort("response_id", *order, nulls_last=True)
    kept = kept.unique("response_id", keep="first", maintain_order=True)
    repeated = count - torn.filter(~echo).height - kept.filter(~echo).height
    return pl.concat([single, kept]), torn.select(*PLACE, reason.alias("reason")), repeated


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


def _owned(responses: pl.DataFrame) -> pl.DataFrame:
    """Give the answers of a trace its user and session where they have none of their own."""
    owner = responses.filter(pl.col("standing").is_in(["fallback", "owner"]))
    owner = owner.group_by("group").agg(
        *(
            pl.col(name).drop_nulls().min().alias(f"its_{name}")
            for name in ("user_id", "session_id")
        )
    )
    rows = responses.filter(pl.col("standing") != "owner").join(owner, on="group", how="left")
    return rows.with_columns(
        pl.coalesce(name, f"its_{name}").alias(name) for name in ("user_id", "session_id")
    ).drop("its_user_id", "its_session_id")


def _standing(responses: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Drop what is no response here: a fallback beside an answer, what no event names, what it replaces."""
    named = events["response_id"].drop_nulls().unique()
    is_named = pl.col("response_id").is_in(named.implode())
    stands = pl.col("standing")
    kept = responses.filter((stands != "named") | is_named)
    fallback = (stands == "fallback") & (stands == "answer").any().over("group")
    kept = kept.filter(pl.col("group").is_null() | ~fallback)
    replaced = (stands == "answer") & ~is_named & (stands == "named").any().over("group")
    return kept.filter(pl.col("group").is_null() | ~replaced)


def _regenerated(responses: pl.DataFrame) -> pl.DataFrame:
    """Name the answer that each later sibling regenerated, by the times they were shown at."""
    rows = responses.sort("shown_at", "response_id")
    before = pl.when(pl.col("siblings").is_not_null()).then(
        pl.col("response_id").shift(1).over("siblings")
    )
    return rows.with_columns(pl.coalesce("parent_response_id", before).alias("parent_response_id"))


def _regenerations(responses: pl.DataFrame) -> pl.DataFrame:
    """One event per answer that a sibling regenerated."""
    again = responses.filter(
        pl.col("siblings").is_not_null() & pl.col("parent_response_id").is_not_null()
    )
    made = again.select(
        pl.col("parent_response_id").alias("response_id"),
        pl.col("shown_at").alias("at"),
        pl.lit("regenerate").alias("channel"),
        pl.lit(1.0).alias("value"),
        pl.lit("user").alias("source"),
        "file",
        "line",
    )
    return pl.concat([pl.DataFrame(schema=STAGED_EVENTS), made], how="diagonal").select(
        *STAGED_EVENTS
    )


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
