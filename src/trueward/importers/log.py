"""The one place where responses and events become a log: one row per response, one column a signal.

feedback: what users said outright, through the label map; the last word counts, and opposite words within
five seconds are no word. A response without one is null, never 0. channel.*: what users did, 0 only where
the channel was there to be used. gold: what annotators said, from 0 to 1, averaged over annotators.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from .channels import CHANNELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .about import About

SLIP = pl.duration(seconds=5)  # opposite signals closer than this are a slip of the finger
CARRIED = ("response_id", "session_id", "position", "turn", "parent_response_id", "p_ask")


@dataclass(frozen=True)
class Told:
    """What events say of responses: a row for each that is spoken of, with its label and its signals."""

    rows: pl.DataFrame  # response_id, shown_at, and the columns of the log that come from events
    used: list[str]  # channel.* that some event is in
    slips: int  # responses that were called good and bad within five seconds


def told(known: pl.DataFrame, events: pl.DataFrame, about: About) -> Told:
    """Sum the events up, each about one of the ``known`` responses (response_id, shown_at)."""
    here = known.join(events.select("response_id"), on="response_id", how="semi")
    here = here.with_row_index("row")
    # rows are told apart by their number, which is shorter than an id
    events = events.join(here.select("response_id", "row"), on="response_id", how="left")
    events = events.with_columns(pl.col("row").alias("response_id")).drop("row")
    rows = here.select(pl.col("row").alias("response_id"), "shown_at")
    users = events.filter(pl.col("source") == "user")
    annotators = events.filter(pl.col("source") == "annotator")
    judged = _judged(users, about)
    names = _implicit()
    used = sorted(names[c] for c in users["channel"].unique() if c in names)
    for part in (
        judged.select("response_id", pl.when(~pl.col("slipped")).then("label").alias("feedback")),
        _channels(users, used),
        _gold(annotators, about),
        *_carried(rows, users, events),
    ):
        rows = rows.join(part, on="response_id", how="left", maintain_order="left")
    rows = rows.with_columns(here["response_id"])
    return Told(rows, used, judged.filter("slipped").height)


def derived(
    responses: pl.DataFrame, said: pl.DataFrame, used: Sequence[str], about: About
) -> pl.DataFrame:
    """Give the log of responses and of what is told of them, in their order."""
    rows = responses.join(
        said.drop("shown_at"), on="response_id", how="left", maintain_order="left"
    )
    rows = rows.with_columns(
        pl.when(pl.col(f"channel.{name}").is_null() & window.holds(responses.columns))
        .then(0.0)
        .otherwise(pl.col(f"channel.{name}"))
        .alias(f"channel.{name}")
        for name, window in sorted(about.windows.items())
        if f"channel.{name}" in used
    )
    if {"channel.repair", "channel.continue"} <= set(
        used
    ):  # whoever went on could have taken it back
        went_on = pl.col("channel.repair").is_null() & (pl.col("channel.continue") == 1)
        repair = pl.when(went_on).then(0.0).otherwise("channel.repair")
        rows = rows.with_columns(repair.alias("channel.repair"))
    names = ["feedback", *used, *sorted(c for c in responses.columns if c.startswith("context."))]
    made = rows.with_columns(
        text_of("prompt"),
        pl.col("shown_at").alias("time"),
        pl.lit(about.export_scope.level).alias("source_coverage"),
        pl.col("n_events").fill_null(0),
    )
    first = ["prompt", "response", *names[:1], "prompt_id", "gold", "user_id", "time", "model"]
    last = ["rating", "judge", "gold_n", "n_events", "first_feedback_s", "source_coverage"]
    return made.select(*first, *names[1:], *CARRIED, *last)


def pairs(events: pl.DataFrame) -> pl.DataFrame:
    """One row per comparison that one side won: winner_id, loser_id, source, at."""
    told = events.filter(
        (pl.col("channel") == "preferred")
        & pl.col("value").is_in([0.0, 1.0])
        & pl.col("other_response_id").is_not_null()
    )
    won = pl.col("value") == 1
    this, other = pl.col("response_id"), pl.col("other_response_id")
    return (
        told.select(
            pl.when(won).then(this).otherwise(other).alias("winner_id"),
            pl.when(won).then(other).otherwise(this).alias("loser_id"),
            "source",
            "at",
        )
        .unique()
        .sort("winner_id", "loser_id", "source", "at")
    )


def text_of(name: str) -> pl.Expr:
    """Give messages as one text: a lone message of the user as it is, else role: content, line by line."""
    messages = pl.col(name)
    said = pl.element().struct.field("content")
    line = pl.concat_str(pl.element().struct.field("role"), pl.lit(": "), said)
    lines = messages.list.eval(line).list.join("\n")
    first = messages.list.first()
    lone = (messages.list.len() == 1) & (first.struct.field("role") == "user")
    return pl.when(lone).then(first.struct.field("content")).otherwise(lines).alias(name)


def _judged(users: pl.DataFrame, about: About) -> pl.DataFrame:
    """Give each response with explicit feedback its last label, and whether it was a slip."""
    plain = [c for c in about.labelled if c != "rating"]
    told = users.filter(pl.col("channel").is_in(about.labelled)).with_columns(
        about.labels().alias("label")
    )
    taken_back = pl.col("channel").is_in(plain) & (pl.col("value") == 0)
    told = told.filter(pl.col("label").is_not_null() | taken_back)
    told = told.with_columns(pl.col("label").is_not_null().alias("says"))
    told = told.sort("response_id", "at", "says", "label", "channel", nulls_last=False)
    last_at, last = (
        pl.col("at").last().over("response_id"),
        pl.col("label").last().over("response_id"),
    )
    near = ((last_at - pl.col("at")) <= SLIP) | (last_at.is_null() & pl.col("at").is_null())
    opposite = near.fill_null(value=False) & (pl.col("label") != last).fill_null(value=False)
    told = told.with_columns(opposite.alias("opposite"))
    return told.group_by("response_id", maintain_order=True).agg(
        pl.col("label").last(), pl.col("opposite").any().alias("slipped")
    )


def _implicit() -> dict[str, str]:
    """Channels that are a column of the log; how long a look took is no yes or no."""
    yes = [
        c for c, about in CHANNELS.items() if about.kind == "implicit" and about.polarity != "none"
    ]
    return {name: f"channel.{name}" for name in yes}


def _channels(users: pl.DataFrame, used: Sequence[str]) -> pl.DataFrame:
    """Give 1 where the last event of a channel says that it happened, 0 where it was taken back."""
    names = {name: column for name, column in _implicit().items() if column in used}
    last = (
        users.filter(pl.col("channel").is_in(list(names)))
        .sort("response_id", "channel", "at", "value", nulls_last=False)
        .group_by("response_id", "channel", maintain_order=True)
        .agg((pl.col("value").last() > 0).cast(pl.Float64).alias("value"))
    )
    made = [
        pl.col("value").filter(pl.col("channel") == name).first().alias(column)
        for name, column in names.items()
    ]
    return last.group_by("response_id").agg(made)


def _gold(annotators: pl.DataFrame, about: About) -> pl.DataFrame:
    """Scale what annotators said to 0..1 and average, first of each annotator, then over them."""
    low, high = about.scales.get("rating", (None, None))
    is_rating = pl.col("channel") == "rating"
    thumbs = pl.when(pl.col("channel") == "thumbs_up").then(1.0)
    value: list[pl.Expr] = [thumbs.when(pl.col("channel") == "thumbs_down").then(0.0)]
    if low is not None and high is not None:
        scaled = (pl.col("value") - low) / (high - low)
        value.append(pl.when(is_rating & scaled.is_between(0, 1)).then(scaled))
    told = annotators.with_columns(pl.coalesce(value).alias("value")).drop_nulls("value")
    each = told.group_by("response_id", "actor_id").agg(pl.col("value").mean())
    # sorted, so that the sum is the same whatever the order of the files
    return (
        each.sort("response_id", "actor_id", "value")
        .group_by("response_id", maintain_order=True)
        .agg(pl.col("value").mean().alias("gold"), pl.len().alias("gold_n"))
    )


def _carried(
    here: pl.DataFrame, users: pl.DataFrame, events: pl.DataFrame
) -> tuple[pl.DataFrame, ...]:
    """What is kept beside the labels: the last rating, the mean of the judges, counts and delays."""
    order = ["response_id", "at", "channel", "value"]
    rated = users.filter(pl.col("channel") == "rating").sort(order)
    rating = rated.group_by("response_id").agg(pl.col("value").last().alias("rating"))
    judged = events.filter((pl.col("source") == "judge") & (pl.col("channel") == "rating")).sort(
        order
    )
    judge = judged.group_by("response_id", maintain_order=True).agg(
        pl.col("value").mean().alias("judge")
    )
    count = events.group_by("response_id").agg(pl.len().alias("n_events"))
    explicit = [c for c, kind in CHANNELS.items() if kind.kind == "explicit"]
    soon = (
        users.filter(pl.col("channel").is_in(explicit))
        .group_by("response_id")
        .agg(pl.col("at").min())
    )
    late = (pl.col("at") - pl.col("shown_at")).dt.total_microseconds() / 1e6
    delay = here.join(soon, on="response_id").select(
        "response_id", pl.when(late >= 0).then(late).alias("first_feedback_s")
    )
    return rating, judge, count, delay
