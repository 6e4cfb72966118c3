"""Columns of a log about a lottery that decided whether to ask for feedback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.core.errors import TruewardError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

LOTTERY = ("response_id", "asked", "p_ask", "seen", "ask_level")
NEEDED = ("asked", "p_ask")


def lottery_names(
    names: Mapping[str, str], mapping: Mapping[str, str], source: str
) -> dict[str, str]:
    """Return the matched columns without those of a lottery, unless the source tells of one.

    ``seen`` or ``asked`` alone may mean anything, so these columns are read where both ``asked`` and
    ``p_ask`` are there.

    Parameters
    ----------
    names : mapping of str to str
        Canonical name -> column of the source.
    mapping : mapping of str to str
        What the user mapped.
    source : str
        Name of the table in the error.

    Returns
    -------
    dict of str to str
        Canonical name -> column.

    Raises
    ------
    UsageError
        If the user maps a column of a lottery, and ``asked`` or ``p_ask`` is not there.

    Examples
    --------
    >>> lottery_names({"prompt": "q", "seen": "seen"}, {}, "log.csv")
    {'prompt': 'q'}

    """
    lacks = [name for name in NEEDED if name not in names]
    if not lacks:
        return dict(names)
    mapped = [name for name in LOTTERY if name in mapping]
    if mapped:
        raise UsageError(
            f"`{mapped[0]}` is a column of a lottery, which needs `asked` and `p_ask`, but {source} has no "
            f"`{lacks[0]}`: write --map {lacks[0]}=NAME"
        )
    return {name: column for name, column in names.items() if name not in LOTTERY}


def require_lottery(frame: pl.DataFrame, source: str) -> None:
    """Raise if the columns of a lottery contradict each other in some row.

    Parameters
    ----------
    frame : polars.DataFrame
        Canonical columns.
    source : str
        Name of the table in the error.

    Raises
    ------
    TruewardError
        With the row and what it must be.

    """
    if not set(NEEDED) <= set(frame.columns):
        return
    asked, p = pl.col("asked").fill_null(0) > 0, pl.col("p_ask").fill_null(0)
    faults = [
        (
            "asked",
            asked & (p == 0),
            "1 where p_ask, the probability of being asked, is 0 or missing",
        ),
        (
            "asked",
            pl.col("asked").is_null() & (p > 0),
            "missing where p_ask is above 0: write 0 for a response that the lottery did not choose",
        ),
        ("asked", (pl.col("asked") == 0) & (p == 1), "0 where p_ask is 1"),
    ]
    if "seen" in frame.columns:
        shown = pl.col("seen").fill_null(0) > 0
        faults.append(("seen", shown & ~asked, "1 where the lottery did not ask"))
    if "ask_level" in frame.columns:
        level = pl.col("ask_level").fill_null(0) > 0
        faults.append(("ask_level", level & ~asked, "above 0 where the lottery did not ask"))
    for name, fault, what in faults:
        rows = frame.select(fault.fill_null(value=False)).to_series().arg_true()
        if len(rows):
            raise TruewardError(
                f"`{name}` is {what} in row {rows[0] + 1} of {source} ({len(rows):,} rows): correct the "
                "rows or do not map the columns of the lottery"
            )
