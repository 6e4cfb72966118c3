"""Cells of comparisons: who won, which side was shown first, numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.core.errors import TruewardError

from .readers.messages import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .readers.cell_types import Column, Place

#: What a battle's column ``winner`` says -> 1 where the first won, 0 where the second did, .5 for a tie.
WINNERS = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5, "tie (bothbad)": 0.5, "both_bad": 0.5}
WINNERS |= {"a": 1.0, "b": 0.0, "left": 1.0, "right": 0.0, "both bad": 0.5, "bothbad": 0.5}
FIRST = {"first": 1.0, "left": 1.0, "a": 1.0, "1": 1.0, "second": -1.0, "right": -1.0, "b": -1.0}
FIRST |= {"-1": -1.0, "0": 0.0, "1.0": 1.0, "-1.0": -1.0, "0.0": 0.0}
TRUE = {"1": 1.0, "true": 1.0, "yes": 1.0, "1.0": 1.0}
TRUE |= {"0": 0.0, "false": 0.0, "no": 0.0, "0.0": 0.0}


def coded(column: Column, words: Mapping[str, float], name: str, place: Place) -> pl.Series:
    """Read a column of a few words as numbers; null stays null.

    Parameters
    ----------
    column : Column
        The cells as read.
    words : mapping of str to float
        What the cells may say, in lower case -> number.
    name : str
        Name of the column in the error.
    place : Place
        Names a row in the error.

    Raises
    ------
    TruewardError
        About the first cell with another word.

    """
    values = pl.Series(name, column, strict=False) if not isinstance(column, pl.Series) else column
    text = values.cast(pl.String).str.strip_chars().str.to_lowercase()
    text = text.replace({"": None, "nan": None, "none": None})
    read = text.replace_strict(
        pl.Series(list(words)),
        pl.Series(list(words.values())),
        default=None,
        return_dtype=pl.Float64,
    )
    wrong = (read.is_null() & text.is_not_null()).arg_true()
    if len(wrong):
        at = int(wrong[0])
        raise TruewardError(
            f"{place(at)} has {shown(values[at])} as `{name}`, not one of {', '.join(words)}: repair or drop "
            "that row"
        )
    return read


def number(column: Column, name: str, place: Place) -> pl.Series:
    """Read a column of finite numbers; null and NaN are null.

    Parameters
    ----------
    column : Column
        The cells as read.
    name : str
        Name of the column in the error.
    place : Place
        Names a row in the error.

    Raises
    ------
    TruewardError
        About the first cell that is no finite number.

    """
    values = pl.Series(name, column, strict=False) if not isinstance(column, pl.Series) else column
    read = values.cast(pl.Float64, strict=False).fill_nan(None)
    wrong = ((read.is_null() & values.is_not_null()) | ~read.is_finite()).fill_null(value=False)
    bad = wrong.arg_true()
    if len(bad) and not (values.dtype.is_float() and values.is_nan()[int(bad[0])]):
        at = int(bad[0])
        raise TruewardError(
            f"{place(at)} has {shown(values[at])} as `{name}`, not a finite number: repair or drop that row"
        )
    return read
