"""Texts that are empty, or far too long to be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.inspection.finding import Finding, percent, rows_where

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log

ENORMOUS = 100_000  # characters


def find(log: Log) -> Iterator[Finding]:
    """Count prompts and responses without a letter and with more than 100,000 characters."""
    for column in ("prompt", "response"):
        empty = ~pl.col(column).str.contains(r"\S")
        huge = pl.col(column).str.len_chars() > ENORMOUS
        masks = log.frame.select(empty.alias("empty"), huge.alias("enormous"))
        for kind, what in (
            ("empty", "empty"),
            ("enormous", f"longer than {ENORMOUS:,} characters"),
        ):
            count = int(masks[kind].sum())
            if count:
                yield Finding(
                    f"{kind}_{column}",
                    "warning",
                    f"the {column} is {what} in {count:,} of {len(log):,} rows "
                    f"({percent(count / len(log))})",
                    {"rows": count, "share": count / len(log)},
                    rows_where(masks[kind]),
                )
