"""Trusted labels that stand in a table of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.core.errors import TruewardError

from .frames import typed
from .names import absent, resolve, want
from .tables import read_table

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_gold(
    source: object,
    mapping: Mapping[str, str] | None,
    split: str | None,
    columns: Mapping[str, str],
) -> pl.DataFrame:
    """Read prompt, response and gold of the rows that have a label; one label per pair."""
    wanted = want(("prompt", "response", "gold"), (), mapping, **columns)
    table = read_table(source, wanted, split)
    names = resolve(wanted, table.names, table.source)
    missing = [name for name in ("prompt", "response", "gold") if name not in names]
    if missing:
        raise absent(table.source, missing, table.names)
    gold = typed(table, names)
    if "gold" not in gold.columns:
        raise TruewardError(
            f"{table.source} should have gold labels, but `gold` is null in every row: fill some in"
        )
    first = pl.col("gold").drop_nulls().first().over("prompt", "response")
    differs = gold.select(pl.col("gold") != first).to_series().fill_null(value=False)
    if differs.any():
        i = int(differs.arg_true()[0])
        raise TruewardError(
            f"gold labels must agree, but {table.place(i)} has {gold['gold'][i]:g} where an "
            "earlier row of the same prompt and response has another label: keep one of them"
        )
    return gold.drop_nulls("gold")
