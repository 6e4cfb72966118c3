"""CSV that people open in a spreadsheet: no text of a log becomes a formula there.

A cell that a spreadsheet would read as a formula begins with an apostrophe, and a last column says how many
cells of each row have one. Our readers take the apostrophes away again, in files that have this column only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import polars as pl

from trueward.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

COLUMN = "formula_cells"  # the last column of a file with marked cells: their number in the row
# what spreadsheets read as the start of a formula, after blanks, too, and after apostrophes of our own
FORMULA = r"'*[ \u00a0]*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
_STARTS = re.compile(FORMULA)


def write_csv(frame: pl.DataFrame, path: Path, *, safe: bool = True) -> None:
    """Write a table as CSV.

    Parameters
    ----------
    frame : polars.DataFrame
        The table.
    path : Path
        The file.
    safe : bool, default True
        Put an apostrophe before texts and names that a spreadsheet would run as a formula, and add the
        column ``formula_cells`` if there are any.

    Raises
    ------
    UsageError
        If a column cannot be written as CSV, or the table has a column ``formula_cells`` already.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> file = Path(tempfile.mkdtemp(), "scores.csv")
    >>> write_csv(pl.DataFrame({"response": ["=1+1", "fine"], "reward": [-0.5, 0.25]}), file)
    >>> print(file.read_text())
    response,reward,formula_cells
    '=1+1,-0.5,1
    fine,0.25,0
    <BLANKLINE>

    """
    nested = [n for n, t in frame.schema.items() if t.is_nested() or t in {pl.Object, pl.Binary}]
    if nested:
        raise UsageError(
            f"CSV has no lists and no records, which {', '.join(map(repr, nested))} holds: write .parquet or "
            ".jsonl"
        )
    (_marked(frame) if safe else frame).write_csv(path)


def _marked(frame: pl.DataFrame) -> pl.DataFrame:
    if COLUMN in frame.columns:
        raise UsageError(
            f"the table has a column {COLUMN}, which would say how many cells are marked: rename it, or add "
            "--no-safe-csv"
        )
    texts = [n for n, t in frame.schema.items() if t in {pl.String, pl.Categorical, pl.Enum}]
    columns = {name: pl.col(name).cast(pl.String) for name in texts}
    found = {
        name: c.str.contains(f"^{FORMULA}").fill_null(value=False) for name, c in columns.items()
    }
    counts = pl.sum_horizontal(f.cast(pl.Int64) for f in found.values()) if found else pl.lit(0)
    names = {name: f"'{name}" for name in frame.columns if _STARTS.match(name)}
    marked = frame.with_columns(
        *(pl.when(found[n]).then("'" + columns[n]).otherwise(columns[n]).alias(n) for n in texts),
        counts.alias(COLUMN),
    )
    if not names and not marked[COLUMN].sum():
        return frame
    return marked.rename(names)


def is_marked(header: Sequence[str]) -> bool:
    """Return whether a file has marked cells.

    Parameters
    ----------
    header : sequence of str
        The names of its columns.

    Returns
    -------
    bool
        True if the last column says how many there are in a row.

    """
    return len(header) > 1 and header[-1] == COLUMN


def original_names(header: Sequence[str]) -> dict[str, str]:
    """Return the columns of a file by the cells of its header.

    Parameters
    ----------
    header : sequence of str
        The cells of the first line, which differ.

    Returns
    -------
    dict of str to str
        Without marks, and without the column that counts them.

    Examples
    --------
    >>> original_names(["'=id", "text", "formula_cells"])
    {"'=id": '=id', 'text': 'text'}

    """
    if not is_marked(header):
        return {name: name for name in header}
    return {name: unmarked(name) for name in header[:-1]}


def unmarked(text: str) -> str:
    """Return a text without the mark of a formula.

    Parameters
    ----------
    text : str
        A cell, or the name of a column.

    Returns
    -------
    str
        The text that was marked; a text without a mark as it is.

    Examples
    --------
    >>> unmarked("'=1+1"), unmarked("'tis")
    ('=1+1', "'tis")

    """
    return text[1:] if text[:1] == "'" and _STARTS.match(text) else text


def without_marks(column: pl.Series) -> pl.Series:
    """Return a column of texts without the marks of formulas.

    Parameters
    ----------
    column : polars.Series
        Cells of a marked file.

    Returns
    -------
    polars.Series
        The texts that were marked.

    """
    return column.str.replace(f"^'({FORMULA})", "$1")
