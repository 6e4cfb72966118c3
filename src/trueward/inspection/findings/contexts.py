"""Context columns that cannot say who reacts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.features.columns import CATEGORIES
from trueward.inspection.finding import Finding, brief, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log


def find(log: Log) -> Iterator[Finding]:
    """Warn of context columns that are constant or have too many categories."""
    for name in sorted(c for c in log.columns if c.startswith("context.")):
        column = log.frame[name]
        levels = column.n_unique()
        categories = column.drop_nulls().n_unique()
        if levels == 1:
            yield Finding(
                "context_constant",
                "warning",
                f"{name} is {brief(str(column[0]))} in every row, so it cannot sway who reacts: leave it out",
                {"column": name, "values": 1},
            )
        elif column.dtype == pl.String and categories > CATEGORIES:
            sizes = column.drop_nulls().value_counts(sort=True)["count"]
            rare = int(sizes[CATEGORIES:].sum()) / len(log)
            yield Finding(
                "context_categories",
                "warning",
                f"{name} has {categories:,} categories, and the features tell only the "
                f"{CATEGORIES} largest apart, which leaves out {percent(rare)} of the rows: merge "
                "them, or log what about them matters as a number",
                {"column": name, "categories": categories, "share_left_out": rare},
            )
