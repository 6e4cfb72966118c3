"""Cells of a table as columns with types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from .cells import parse
from .digests import prompt_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .table import Table


def typed(table: Table, names: Mapping[str, str]) -> pl.DataFrame:
    """Parse the columns that have values; a prompt without an id is its own."""
    series = [
        parse(table.columns[column], name, table.place, untyped=table.untyped)
        for name, column in names.items()
    ]
    frame = pl.DataFrame(
        [s for s in series if s.name in {"prompt", "response"} or s.null_count() < len(s)]
    )
    if "prompt_id" not in frame.columns:
        frame = frame.with_columns(prompt_ids(frame["prompt"]))
    return frame
