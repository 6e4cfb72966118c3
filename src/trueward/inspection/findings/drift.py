"""Whether feedback changed over the time of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.inspection.chance import bucket, p_value, rates
from trueward.inspection.finding import Finding, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log

LARGE = 1.25  # one quarter's rate over the other's


def find(log: Log) -> Iterator[Finding]:
    """Compare the first and the last quarter of the rows by time: feedback rate, share of good."""
    if "time" not in log.columns:
        return
    feedback = pl.col("feedback")
    quarters = log.frame.select("time", "feedback").drop_nulls("time")
    quarters = quarters.with_columns(bucket("time", 4).alias("quarter"))
    quarter = pl.col("quarter")
    ends = quarters.filter((quarter == 0) | (quarter == quarter.max()))
    late = "; recent responses may still get some"
    yield from _compare(ends, feedback.is_not_null(), "drift", "feedback rate", late)
    if log.regime == "observational":
        rated = ends.drop_nulls("feedback")
        yield from _compare(rated, feedback == 1, "drift_in_ratings", "share of good ratings", "")


def _compare(
    ends: pl.DataFrame, hit: pl.Expr, name: str, what: str, late: str
) -> Iterator[Finding]:
    table = (
        ends.group_by("quarter")
        .agg(pl.len().alias("rows"), hit.sum().alias("hits"))
        .sort("quarter")
        .with_columns(pl.col("quarter").cast(pl.String).alias("level"))
    )
    compared = rates(table)
    if compared is None:
        return
    first, last = (table["hits"] / table["rows"]).to_list()
    large = compared.uneven(LARGE)
    message = (
        f"the {what} went from {percent(first)} in the first quarter of the rows by time to "
        f"{percent(last)} in the last; chi-square {p_value(compared.p)}"
    )
    if large and last < first:
        message += late
    yield Finding(
        name,
        "warning" if large else "note",
        message,
        {"first": first, "last": last, "ratio": compared.ratio, "p": compared.p},
    )
