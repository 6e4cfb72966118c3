"""Rows that are in the log more than once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.inspection.finding import Finding, percent, rows_where

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log

MUCH = 0.01


def find(log: Log) -> Iterator[Finding]:
    """Count rows that repeat an earlier row in every column."""
    copy = log.frame.select(~pl.struct(pl.all()).is_first_distinct()).to_series()
    copies = int(copy.sum())
    if not copies:
        return
    share = copies / len(log)
    told_apart = {"user_id", "time"} & log.columns
    message = f"{copies:,} of {len(log):,} rows repeat an earlier row exactly ({percent(share)})"
    if not told_apart:
        message += ", and without user_id or time nothing says whether these are other users"
    yield Finding(
        "duplicates",
        "warning" if share >= MUCH else "note",
        message,
        {"rows": copies, "share": share},
        rows_where(copy),
    )
