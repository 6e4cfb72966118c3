"""A table with canonical names and types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.data.digests import prompt_ids

from .cell_types import parse_column

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .table import Table


def typed_frame(table: Table, names: Mapping[str, str]) -> pl.DataFrame:
    """Return the canonical columns of a table in their types.

    A column without any value is dropped, except ``prompt`` and ``response``. Without ``prompt_id``,
    the column is computed from the text of the prompt.

    Parameters
    ----------
    table : Table
        The wanted columns of a source.
    names : mapping of str to str
        Canonical name -> column of the source.

    Returns
    -------
    polars.DataFrame
        One row per row of the source, in its order.

    Raises
    ------
    TruewardError
        About the first cell that its column does not allow.

    """
    series = [
        parse_column(table.columns[column], name, table.place, untyped=table.untyped)
        for name, column in names.items()
    ]
    frame = pl.DataFrame(
        [s for s in series if s.name in {"prompt", "response"} or s.null_count() < len(s)]
    )
    if "prompt_id" not in frame.columns:
        frame = frame.with_columns(prompt_ids(frame["prompt"]))
    return frame
