"""Responses and events to a log: one row per response, one column per signal, for every source.

feedback: what users stated, by the label conditions. The last statement counts; opposite statements within
five seconds give null, as does no statement; it is never 0 by absence. channel.*: what users did; 0 only
where the channel was available. gold: what annotators stated, from 0 to 1, averaged over annotators.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from .channels import CHANNELS
from .schema import messages_as_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .dataset_info import DatasetInfo

SLIP = pl.duration(seconds=5)  # opposite statements closer than this are a slip of the finger
THUMBS_UP_DOWN = ("thumbs_up", "thumbs_down")
IDENTITY = ("response_id", "session_id", "position", "turn", "parent_response_id", "p_ask")
# columns of the log about a lottery or a survey, no features: who was asked, and who saw the question
ASKS = ("asked", "seen", "ask_level")
CHANCE = "p_ask of events"
# implicit channels that become a column of the log; dwell_seconds is neither yes nor no
SIGNAL_COLUMNS = {
    name: f"channel.{name}"
    for name, channel in CHANNELS.items()
    if channel.kind == "implicit" and channel.polarity != "none"
}


@dataclass(frozen=True)
class EventSummary:
    """Labels and signals of every response that has an event.

    Attributes
    ----------
    rows : DataFrame
        ``response_id``, ``shown_at`` and the columns of the log that come from events.
    columns : list of str
        Columns ``channel.*`` that happened at least once.
    slips : int
        Responses with opposite statements within five seconds.

    """

    rows: pl.DataFrame
    columns: list[str]
    slips: int


def summarise_events(
    shown_at: pl.DataFrame, events: pl.DataFrame, info: DatasetInfo
) -> EventSummary:
    """Summarise the events of each response.

    Parameters
    ----------
    shown_at : DataFrame
        Columns ``response_id`` and ``shown_at`` of every response with an event, and of others.
    events : DataFrame
        The events table.
    info : DatasetInfo
        Label conditions and rating scale.

    Returns
    -------
    EventSummary
        One row for each response with an event.

    """
    responses = shown_at.join(events.select("response_id"), on="response_id", how="semi")
    responses = responses.with_row_index("row")
    # rows are joined by number, which is shorter than an id
    events = events.join(responses.select("response_id", "row"), on="response_id", how="left")
    events = events.with_columns(pl.col("row").alias("response_id")).drop("row")
    rows = responses.select(pl.col("row").alias("response_id"), "shown_at")
    users = events.filter(pl.col("source") == "user")
    annotators = events.filter(pl.col("source") == "annotator")
    labels = _last_labels(users, info)
    channels = users.filter(pl.col("value") > 0)["channel"].unique()
    columns = sorted(SIGNAL_COLUMNS[c] for c in channels if c in SIGNAL_COLUMNS)
    feedback = pl.when(~pl.col("is_slip")).then("label").alias("feedback")
    for part in (
        labels.select("response_id", feedback),
        _signals(users, columns),
        _gold(annotators, info),
        *_other_columns(rows, users, events),
        *_gold_weights(events),
    ):
        rows = rows.join(part, on="response_id", how="left", maintain_order="left")
    if "gold_weight" in rows.columns:  # it is that of a label
        rows = rows.with_columns(pl.when(pl.col("gold").is_not_null()).then("gold_weight"))
    rows = rows.with_columns(responses["response_id"])
    return EventSummary(rows, columns, labels.filter("is_slip").height)


def derive_log(
    responses: pl.DataFrame, summary: pl.DataFrame, columns: Sequence[str], info: DatasetInfo
) -> pl.DataFrame:
    """Return the log of responses, in their order.

    Parameters
    ----------
    responses : DataFrame
        Rows of the responses table.
    summary : DataFrame
        Rows of `EventSummary.rows` about these responses.
    columns : sequence of str
        Columns ``channel.*`` of the log.
    info : DatasetInfo
        Windows of the channels and the export scope.

    Returns
    -------
    DataFrame
        One row per response.

    """
    rows = responses.join(
        summary.drop("shown_at"), on="response_id", how="left", maintain_order="left"
    )
    asks = [name for name in ASKS if name in rows.columns]
    for name, window in sorted(info.windows.items()):
        # where every question is logged, absence says that nobody was asked
        for column in ("asked", "seen") if name == "seen" else (f"channel.{name}",):
            if column in columns or column in asks:
                is_zero = pl.col(column).is_null() & window.contains(responses.columns)
                zero = pl.when(is_zero).then(0.0).otherwise(column).alias(column)
                rows = rows.with_columns(zero)
    if CHANCE in rows.columns:
        rows = rows.with_columns(p_ask=pl.coalesce(CHANCE, "p_ask"))
    if "asked" in asks:  # without an event nobody was asked about a response of the lottery
        in_lottery = pl.col("asked").is_null() & (pl.col("p_ask") > 0)
        rows = rows.with_columns(asked=pl.when(in_lottery).then(0.0).otherwise("asked"))
    context = sorted(c for c in responses.columns if c.startswith("context."))
    rows = rows.with_columns(
        messages_as_text("prompt"),
        pl.col("shown_at").alias("time"),
        pl.lit(info.export_scope.level).alias("source_coverage"),
        pl.col("n_events").fill_null(0),
    )
    first = ["prompt", "response", "feedback", "prompt_id", "gold", "user_id", "time", "model"]
    asks += ["gold_weight"] if "gold_weight" in rows.columns else []
    last = [*asks, "rating", "judge", "gold_n", "n_events", "first_feedback_s", "source_coverage"]
    return rows.select(*first, *columns, *context, *IDENTITY, *last)


def _last_labels(users: pl.DataFrame, info: DatasetInfo) -> pl.DataFrame:
    """Return for each response the last label of its users, and whether it is a slip."""
    plain = [c for c in info.label_channels if c != "rating"]
    rows = users.filter(pl.col("channel").is_in(info.label_channels))
    rows = rows.with_columns(info.labels().alias("label"))
    is_retracted = pl.col("channel").is_in(plain) & (pl.col("value") == 0)
    rows = rows.filter(pl.col("label").is_not_null() | is_retracted)
    if "rating" in info.label_channels:
        # a thumb is the last word on a rating of the same moment, which may be older
        is_thumb = pl.col("channel").is_in(THUMBS_UP_DOWN) & pl.col("label").is_not_null()
        has_thumb = is_thumb.any().over("response_id", "actor_id", "at")
        rows = rows.filter(~((pl.col("channel") == "rating") & has_thumb))
    rows = rows.with_columns(pl.col("label").is_not_null().alias("has_label"))
    rows = rows.sort("response_id", "at", "has_label", "label", "channel", nulls_last=False)
    last_at, last = (pl.col(name).last().over("response_id") for name in ("at", "label"))
    is_near = ((last_at - pl.col("at")) <= SLIP) | (last_at.is_null() & pl.col("at").is_null())
    is_opposite = (pl.col("label") != last).fill_null(value=False)
    is_opposite &= is_near.fill_null(value=False)
    rows = rows.with_columns(is_opposite.alias("is_opposite"))
    return rows.group_by("response_id", maintain_order=True).agg(
        pl.col("label").last(), pl.col("is_opposite").any().alias("is_slip")
    )


def _signals(users: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Return 1 if the last event of a channel says that it happened, 0 if it was retracted."""
    names = {name: column for name, column in SIGNAL_COLUMNS.items() if column in columns}
    last = (
        users.filter(pl.col("channel").is_in(list(names)))
        .sort("response_id", "channel", "at", "value", nulls_last=False)
        .group_by("response_id", "channel", maintain_order=True)
        .agg((pl.col("value").last() > 0).cast(pl.Float64).alias("value"))
    )
    wide = [
        pl.col("value").filter(pl.col("channel") == name).first().alias(column)
        for name, column in names.items()
    ]
    return last.group_by("response_id").agg(wide)


def _gold(annotators: pl.DataFrame, info: DatasetInfo) -> pl.DataFrame:
    """Scale annotations to 0..1 and average them, first within each annotator, then over annotators."""
    low, high = info.scales.get("rating", (None, None))
    is_rating = pl.col("channel") == "rating"
    thumbs = pl.when(pl.col("channel") == "thumbs_up").then(1.0)
    values: list[pl.Expr] = [thumbs.when(pl.col("channel") == "thumbs_down").then(0.0)]
    if low is not None and high is not None:
        scaled = (pl.col("value") - low) / (high - low)
        values.append(pl.when(is_rating & scaled.is_between(0, 1)).then(scaled))
    rows = annotators.with_columns(pl.coalesce(values).alias("value")).drop_nulls("value")
    means = rows.group_by("response_id", "actor_id").agg(pl.col("value").mean())
    # sorted, so that the sum is the same in whatever order the files come
    return (
        means.sort("response_id", "actor_id", "value")
        .group_by("response_id", maintain_order=True)
        .agg(pl.col("value").mean().alias("gold"), pl.len().alias("gold_n"))
    )


def _gold_weights(events: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the weight that came with the task of a labelling tool, if any did."""
    found = events.filter(pl.col("channel") == "gold_weight").sort("response_id", "at", "value")
    last = found.group_by("response_id", maintain_order=True).agg(
        pl.col("value").last().alias("gold_weight")
    )
    return [last] if last.height else []


def _other_columns(
    responses: pl.DataFrame, users: pl.DataFrame, events: pl.DataFrame
) -> tuple[pl.DataFrame, ...]:
    """Return the last rating, the mean of the judges, the number of events and the delay of feedback."""
    order = ["response_id", "at", "channel", "value"]
    is_rating = pl.col("channel") == "rating"
    ratings = users.filter(is_rating).sort(order)
    rating = ratings.group_by("response_id").agg(pl.col("value").last().alias("rating"))
    judgements = events.filter((pl.col("source") == "judge") & is_rating).sort(order)
    judge = judgements.group_by("response_id", maintain_order=True).agg(
        pl.col("value").mean().alias("judge")
    )
    count = events.group_by("response_id").agg(pl.len().alias("n_events"))
    explicit = [name for name, channel in CHANNELS.items() if channel.kind == "explicit"]
    statements = users.filter(pl.col("channel").is_in(explicit))
    first = statements.group_by("response_id").agg(pl.col("at").min())
    seconds = (pl.col("at") - pl.col("shown_at")).dt.total_microseconds() / 1e6
    delay = pl.when(seconds >= 0).then(seconds).alias("first_feedback_s")
    delays = responses.join(first, on="response_id").select("response_id", delay)
    return rating, judge, count, delays, *_asks(users)


def _asks(users: pl.DataFrame) -> list[pl.DataFrame]:
    """Return what is known of the question to each user; who saw it was asked, unless a lottery says."""
    found = users.filter(pl.col("channel").is_in(ASKS))
    about = found.group_by("response_id", "channel").agg(pl.col("value").max()).sort("response_id")
    columns = []
    for name in ASKS:
        rows = about.filter(pl.col("channel") == name).select("response_id", value="value")
        if name == "asked":
            seen = about.filter((pl.col("channel") == "seen") & (pl.col("value") > 0))
            seen = seen.join(rows, on="response_id", how="anti").select("response_id", "value")
            rows = pl.concat([rows, seen])
        if rows.height:
            columns.append(rows.rename({"value": name}))
    chance = users.filter(pl.col("channel") == "p_ask").sort("response_id", "at", "value")
    last = chance.group_by("response_id", maintain_order=True).agg(
        pl.col("value").last().alias(CHANCE)
    )
    return [*columns, *([last] if last.height else [])]
