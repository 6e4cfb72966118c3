"""Gold labels in a table of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.core.errors import TruewardError

from .readers import match_columns, missing_columns_error, read_table, typed_frame, wanted_columns

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_gold(
    source: object,
    mapping: Mapping[str, str] | None,
    split: str | None,
    columns: Mapping[str, str],
) -> pl.DataFrame:
    """Read prompt, response and gold of the rows that have a label.

    Parameters
    ----------
    source : str, Path or table
        See `read_table`.
    mapping : mapping of str to str or None
        Canonical name -> column of the source.
    split : str or None
        Which split of a folder to read.
    columns : mapping of str to str
        The same as ``mapping``.

    Returns
    -------
    polars.DataFrame
        Rows with a label in [0, 1]; a pair of prompt and response may occur several times.

    Raises
    ------
    TruewardError
        If a column is missing, no row has a label, or labels of one pair differ.

    """
    wanted = wanted_columns(("prompt", "response", "gold"), (), mapping, **columns)
    table = read_table(source, wanted, split)
    names = match_columns(wanted, table.names, table.source)
    missing = [name for name in ("prompt", "response", "gold") if name not in names]
    if missing:
        raise missing_columns_error(table.source, missing, table.names)
    gold = typed_frame(table, names)
    if "gold" not in gold.columns:
        raise TruewardError(
            f"{table.source} should have gold labels, but `gold` is null in every row: add some labels"
        )
    first = pl.col("gold").drop_nulls().first().over("prompt", "response")
    differs = gold.select(pl.col("gold") != first).to_series().fill_null(value=False)
    if differs.any():
        i = int(differs.arg_true()[0])
        raise TruewardError(
            f"gold labels must agree, but {table.place(i)} has {gold['gold'][i]:g}, and an "
            "earlier row with the same prompt and response has another label: keep one of them"
        )
    return gold.drop_nulls("gold")
