"""Columns of a log about a lottery that decided whether to ask for feedback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

LOTTERY = ("response_id", "asked", "p_ask", "seen", "ask_level")
NEEDED = ("asked", "p_ask")
DRAWN = ("asked", "p_ask", "seen", "ask_level")  # what a method may read; no id


def lottery_names(
    names: Mapping[str, str], mapping: Mapping[str, str], source: str, *, compared: bool = False
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
    compared : bool, default False
        Whether responses are compared, which may be named by ``response_id``.

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
    lottery = [name for name in LOTTERY if not (compared and name == "response_id")]
    mapped = [name for name in lottery if name in mapping]
    if mapped:
        raise UsageError(
            f"`{mapped[0]}` is a column of a lottery, which needs `asked` and `p_ask`, but {source} has no "
            f"`{lacks[0]}`: write --map {lacks[0]}=NAME"
        )
    return {name: column for name, column in names.items() if name not in lottery}


def is_lottery(frame: pl.DataFrame) -> bool:
    """Return whether a log has responses that were in a lottery of asks: p_ask above 0, and an outcome.

    Parameters
    ----------
    frame : polars.DataFrame
        Canonical columns.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_lottery(pl.DataFrame({"asked": [1, 0], "p_ask": [0.5, 0.5]}))
    True
    >>> is_lottery(pl.DataFrame({"asked": [0, 0], "p_ask": [0.0, 0.0]}))
    False

    """
    if not set(NEEDED) <= set(frame.columns):
        return False
    drawn = (pl.col("p_ask") > 0) & pl.col("asked").is_not_null()
    return bool(frame.select(drawn.any()).item())
