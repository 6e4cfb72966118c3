"""A test set: responses with the truth about each, as a table with canonical columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trueward.core.arguments import MAPPING, TEXT, require_kinds
from trueward.core.errors import TruewardError

from .log_columns import TEST_COLUMNS, ignored_columns, require_texts, require_truth
from .readers import match_columns, read_table, typed_frame, wanted_columns
from .rows import Rows

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping


@dataclass(frozen=True, eq=False, repr=False)
class Test(Rows):
    """A test set with the truth about each response.

    `read_test` makes it. ``prompt``, ``response`` and ``prompt_id`` are String without nulls. There is a
    ``label`` in [0, 1], a finite ``rating`` (higher is better), or both, in every row. Optional: ``user_id``
    and ``weight``.

    Attributes
    ----------
    frame : polars.DataFrame
        The canonical columns.
    source : str
        Path of the file or folder, or a description of a table in memory.
    ignored : tuple of str
        Columns of the source that are not used.

    Examples
    --------
    >>> import polars as pl
    >>> import trueward as tw
    >>> test = tw.read_test(pl.DataFrame({"prompt": ["a"], "response": ["b"], "label": [1.0]}))
    >>> len(test), sorted(test.columns)
    (1, ['label', 'prompt', 'prompt_id', 'response'])

    """

    __test__ = False  # not a test class of pytest


def read_test(
    source: str | os.PathLike[str] | object,
    *,
    mapping: Mapping[str, str] | None = None,
    split: str | None = None,
    **columns: str,
) -> Test:
    """Read a test set: prompt, response, and ``label`` in [0, 1], a finite ``rating``, or both.

    ``user_id`` and ``weight`` are read where they are given.

    Parameters
    ----------
    source : str, Path or table
        As for `read_log`.
    mapping : mapping of str to str or None
        Canonical name -> column of the source.
    split : str or None
        Which split of a folder to read.
    **columns : str
        The same as ``mapping``, such as ``label="correct"``.

    Returns
    -------
    Test
        The rows in the order of the source.

    Raises
    ------
    TruewardError
        If the source cannot be read, lacks a column, or has a wrong value; with row and column.
    UsageError
        If the mapping or the split is wrong.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"prompt": ["a"], "response": ["b"], "correct": [1]})
    >>> read_test(frame, label="correct").frame["label"].to_list()
    [1.0]

    """
    require_kinds("read_test", mapping=(mapping, MAPPING.or_none), split=(split, TEXT.or_none))
    wanted = wanted_columns(TEST_COLUMNS, (), mapping, **columns)
    table = read_table(source, wanted, split)
    names = match_columns(wanted, table.names, table.source)
    require_texts(table, names)
    require_truth(table, names)
    frame = typed_frame(table, names)
    if not {"label", "rating"} & set(frame.columns):
        raise TruewardError(
            f"a test needs a `label` or a `rating`, but {table.source} has no value in its column: "
            "add values or map another column"
        )
    frame = frame.select([name for name in TEST_COLUMNS if name in frame.columns])
    return Test(frame, table.source, ignored_columns(table, names, frame))
