"""Gold labels in a table of their own, and the check of their weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.core.errors import TruewardError

from .readers import match_columns, missing_columns_error, read_table, typed_frame, wanted_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

GOLD_COLUMNS = ("prompt", "response", "gold", "gold_weight")


def read_gold(
    source: object,
    mapping: Mapping[str, str] | None,
    split: str | None,
    columns: Mapping[str, str],
) -> pl.DataFrame:
    """Read prompt, response, gold and gold_weight (if it is there) of the rows that have a label.

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
        If a column is missing, no row has a label, or labels or weights of one pair differ.

    """
    wanted = wanted_columns(GOLD_COLUMNS, (), mapping, **columns)
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
    for name, what in (("gold", "gold labels"), ("gold_weight", "gold weights")):
        if name not in gold.columns:
            continue
        first = pl.col(name).drop_nulls().first().over("prompt", "response")
        differs = gold.select(pl.col(name) != first).to_series().fill_null(value=False)
        if differs.any():
            i = int(differs.arg_true()[0])
            raise TruewardError(
                f"{what} must agree, but {table.place(i)} has {gold[name][i]:g}, and an "
                "earlier row with the same prompt and response has another value: keep one of them"
            )
    gold = gold.drop_nulls("gold")
    require_gold_weight(gold, table.source)
    return gold.select([name for name in GOLD_COLUMNS if name in gold.columns])


def require_gold_weight(frame: pl.DataFrame, source: str) -> None:
    """Raise if a table has gold weights, and none on a row with a gold label.

    Parameters
    ----------
    frame : polars.DataFrame
        Canonical columns.
    source : str
        Name of the table in the error.

    Raises
    ------
    TruewardError
        With the number of rows that lack it.

    """
    if {"gold", "gold_weight"} <= set(frame.columns):
        lacks = frame["gold"].is_not_null() & frame["gold_weight"].is_null()
        if lacks.any():
            row = int(lacks.arg_true()[0]) + 1
            raise missing_gold_weight(
                int(lacks.sum()), frame["gold"].count(), f" (the first is row {row} of {source})"
            )


def missing_gold_weight(count: int, labels: int, place: str = "") -> TruewardError:
    """Return the error about gold rows without a gold weight.

    Parameters
    ----------
    count : int
        Gold rows without a positive ``gold_weight``.
    labels : int
        All gold rows.
    place : str
        Where the first one is.

    Returns
    -------
    TruewardError
        With what to write.

    """
    return TruewardError(
        f"`gold_weight` is 1 / P(labelled) of every row with a gold label, but {count} of {labels} such rows "
        f"have none{place}: write it there (rows / labels where the labels were drawn at random), or drop "
        "the column"
    )
