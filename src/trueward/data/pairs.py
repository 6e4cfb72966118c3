"""Pairs of prompt and response to be scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .log_columns import PAIR_COLUMNS, require_texts
from .readers import match_columns, read_table, typed_frame, wanted_columns

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import polars as pl


def read_pairs(
    source: str | os.PathLike[str] | object,
    *,
    mapping: Mapping[str, str] | None = None,
    split: str | None = None,
    **columns: str,
) -> pl.DataFrame:
    """Read prompts and responses, with ``prompt_id``, ``user_id``, ``model`` and ``time`` if present.

    Parameters
    ----------
    source : str, Path or table
        As for `read_log`.
    mapping : mapping of str to str or None
        Canonical name -> column of the source.
    split : str or None
        Which split of a folder to read.
    **columns : str
        The same as ``mapping``.

    Returns
    -------
    polars.DataFrame
        One row per row of the source; ``prompt`` and ``response`` are String without nulls.

    Raises
    ------
    TruewardError
        If the source cannot be read, or lacks a prompt or a response.
    UsageError
        If the mapping or the split is wrong.

    Examples
    --------
    >>> import polars as pl
    >>> read_pairs(pl.DataFrame({"q": ["Hi"], "response": ["Hello"]}), prompt="q").columns
    ['prompt', 'response', 'prompt_id']

    """
    wanted = wanted_columns(PAIR_COLUMNS, (), mapping, **columns)
    table = read_table(source, wanted, split)
    names = match_columns(wanted, table.names, table.source)
    require_texts(table, names)
    frame = typed_frame(table, names)
    return frame.select([name for name in PAIR_COLUMNS if name in frame.columns])
