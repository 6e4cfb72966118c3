"""How few people the feedback comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.inspection.finding import SHOWN, Finding, many, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log

FEW = 30  # effective raters
MUCH = 0.1  # of the feedback from one user


def find(log: Log) -> Iterator[Finding]:
    """Give the shares s_u of the feedback by user and the effective number 1 / sum s_u^2."""
    if "user_id" not in log.columns:
        return
    users = (
        log.frame.with_row_index("row", offset=1)
        .drop_nulls(["feedback", "user_id"])
        .group_by("user_id")
        .agg(pl.len().alias("rated"), pl.col("row").min())
        .sort(["rated", "user_id"], descending=[True, False])
    )
    total = int(users["rated"].sum())
    if not total:
        return
    counts = users["rated"].to_list()
    leaders = -(-len(counts) // 100)
    top, first = counts[0] / total, sum(counts[:leaders]) / total
    effective = total**2 / sum(count**2 for count in counts)
    yield Finding(
        "raters",
        "warning" if effective < FEW or top > MUCH else "note",
        f"{many(users.height, 'user')} gave feedback, the most active one {percent(top)} of it and "
        f"the top 1% ({leaders:,}) {percent(first)}: as much as {effective:,.1f} equally active ones",
        {
            "users": users.height,
            "top_user": top,
            "top_1_percent": first,
            "effective": effective,
            "rated": total,
        },
        # a row of each of the most active, as no id of a user reaches a report
        tuple(map(int, users["row"].head(SHOWN))),
    )
