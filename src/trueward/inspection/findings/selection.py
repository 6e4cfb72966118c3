"""Whether who reacts varies with what the log shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.inspection.chance import SURE, Rates, bucket, p_value, rates
from trueward.inspection.finding import Finding, brief, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log

LARGE = 1.5  # highest over lowest rate


def find(log: Log) -> Iterator[Finding]:
    """Compare feedback rates by response length, model, user and context."""
    if log.regime == "channels" or not log.has_unrated or log.feedback_rate == 0:
        return
    rows = log.frame
    if "user_id" in log.columns:  # a user is called by a row of theirs, as no id reaches a report
        first = pl.col("row").min().over("user_id")
        told = pl.when(pl.col("user_id").is_not_null()).then(
            pl.concat_str(pl.lit("the one of row "), first)
        )
        rows = rows.with_row_index("row", offset=1).with_columns(told.alias("user_id"))
    frame = rows.select(
        pl.col("feedback").is_not_null().alias("seen"),
        pl.col("response").str.len_chars().cast(pl.Int64).alias("length"),
        *(c for c in rows.columns if c in {"model", "user_id"} or c.startswith("context.")),
    )
    named = {"length": "response length", "user_id": "user"}
    for column in frame.columns[1:]:
        compared = rates(_table(frame, column))
        if compared is not None:
            short = column.removesuffix("_id")
            yield _finding(log, f"selection_by_{short}", named.get(column, column), compared)


def _table(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """Count rows and feedback at every level; numbers in tenths of the rows."""
    frame = frame.select("seen", pl.col(column).alias("value")).drop_nulls()
    counts = pl.len().alias("rows"), pl.col("seen").sum().alias("hits")
    if frame["value"].dtype == pl.String:
        return frame.group_by(pl.col("value").alias("level")).agg(*counts)
    value = pl.col("value")
    tenths = frame.group_by(bucket("value", 10).alias("tenth")).agg(
        value.min().alias("low"), value.max().alias("high"), *counts
    )
    spans = [_span(low, high) for low, high in tenths.select("low", "high").iter_rows()]
    return tenths.select(pl.Series("level", spans, dtype=pl.String), "rows", "hits")


def _span(low: float, high: float) -> str:
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


def _finding(log: Log, name: str, column: str, compared: Rates) -> Finding:
    clicks = log.regime == "implicit"
    (low, least), (high, most) = compared.lowest, compared.highest
    uneven = compared.uneven(LARGE)
    times = f", {compared.ratio:.1f} times as often" if uneven and compared.ratio else ""
    chance = "" if compared.p < SURE else ", no more than chance"
    message = (
        f"the {'click' if clicks else 'feedback'} rate by {column} runs from {percent(least)} ({brief(low)}) "
        f"to {percent(most)} ({brief(high)}){times}; chi-square {p_value(compared.p)}{chance}"
    )
    if uneven and not clicks:
        message = f"who reacts is not random: {message}"
    warn = uneven and not clicks and not column.startswith("context.")
    return Finding(name, "warning" if warn else "note", message, compared.figures())
