"""Tables in memory: polars, pandas, pyarrow, `datasets`, a list of rows, or a dictionary of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from trueward.core.errors import TruewardError, UsageError
from trueward.data.rows import Rows

from .cell_types import Place
from .table import Table, chosen_part, settled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .cell_types import Column
    from .column_names import WantedColumns


def read_memory(source: object, wanted: WantedColumns, split: str | None) -> Table:
    """Read the wanted columns of a table in memory.

    Parameters
    ----------
    source : table
        A table of polars, pandas, pyarrow or `datasets`, a list of dictionaries, or a dictionary of columns.
    wanted : WantedColumns
        The columns to read.
    split : str or None
        Which split of a ``DatasetDict`` to read.

    Returns
    -------
    Table
        Its rows.

    Raises
    ------
    UsageError
        If the source is of another type, or ``split`` does not apply to it.
    TruewardError
        If the table cannot be read.

    """
    if isinstance(source, Rows):
        source = source.frame
    library, kind = type(source).__module__.partition(".")[0], type(source).__name__
    if library == "datasets" and kind in {"DatasetDict", "IterableDatasetDict"}:
        splits: Any = source
        return read_memory(
            splits[chosen_part(f"the {kind}", "splits", list(splits), split, "split=")],
            wanted,
            None,
        )
    if split is not None:
        raise UsageError(f"split={split} chooses from a folder of splits: drop it for a table")
    if library == "pandas" and kind == "DataFrame":
        return _from_pandas(source, wanted)
    if isinstance(source, list | tuple) and all(isinstance(row, Mapping) for row in source):
        return _from_rows(source, wanted, f"the {kind} of rows")
    if library == "datasets" and kind == "IterableDataset":
        rows: Any = source
        return _from_rows(list(rows), wanted, f"the {kind}")
    if isinstance(source, Mapping):
        return _from_columns(source, wanted)
    return _from_arrays(source, wanted, f"the {library} {kind}")


def _from_arrays(source: Any, wanted: WantedColumns, name: str) -> Table:
    """Read a table whose columns have types."""
    try:
        if type(source).__module__.partition(".")[0] == "datasets":
            source = source.with_format("arrow")[:]  # the rows in the order of its indices
        if isinstance(source, pl.LazyFrame):
            names = source.collect_schema().names()
            frame = source.select([n for n in names if wanted(n)]).collect()
        elif isinstance(source, pl.DataFrame):
            names, frame = source.columns, source.select([n for n in source.columns if wanted(n)])
        elif isinstance(source, pa.Table | pa.RecordBatch | pa.RecordBatchReader):
            table = source.read_all() if isinstance(source, pa.RecordBatchReader) else source
            names = list(table.schema.names)
            chosen = table.select([n for n in dict.fromkeys(names) if wanted(n)])
            frame = pl.DataFrame(pl.from_arrow(chosen))
        else:
            raise UsageError(
                "a log is a path, a list of rows, or a polars, pandas, pyarrow or datasets table, but this "
                f"is a {type(source).__name__}: save it to a file or convert it to a table"
            )
    except (pl.exceptions.PolarsError, pa.ArrowException, KeyError, OSError) as e:
        raise TruewardError(
            f"{name} should hold a table, but it cannot be read "
            f"({' '.join(str(e).split())[:200]}): correct the code that creates it"
        ) from e
    return Table({n: frame[n] for n in frame.columns}, tuple(names), Place(name))


def _from_rows(rows: Sequence[Mapping[Any, Any]], wanted: WantedColumns, name: str) -> Table:
    """Read rows as dictionaries; a key that a row lacks is null."""
    names = dict.fromkeys(str(key) for row in rows for key in row)
    columns = {n: settled([row.get(n) for row in rows]) for n in names if wanted(n)}
    return Table(columns, tuple(names), Place(name))


def _from_columns(columns: Mapping[Any, Any], wanted: WantedColumns) -> Table:
    """Read a dictionary of lists, arrays or series of one length."""
    place, read = Place("the dictionary of columns"), {}
    for name, values in columns.items():
        if isinstance(values, str | bytes | Mapping) or not isinstance(values, Sized):
            raise UsageError(
                f"{place.source} needs a list for each column, but {str(name)!r} is "
                f"{type(values).__name__}: give a list of dictionaries for rows"
            )
        read[str(name)] = values
    lengths = {name: len(values) for name, values in read.items()}
    if len(set(lengths.values())) > 1:
        raise TruewardError(f"{place.source} needs columns of one length, and has {lengths}")
    kept: dict[str, Column] = {
        n: v if isinstance(v, pl.Series) else settled(_plain(v))
        for n, v in read.items()
        if wanted(n)
    }
    return Table(kept, tuple(read), place)


def _plain(values: Any) -> list[object]:
    """Return the values of a list, an array or a series as Python values."""
    if isinstance(values, list | tuple):
        return list(values)
    return list(np.asarray(values, dtype=object).tolist())


def _from_pandas(source: Any, wanted: WantedColumns) -> Table:
    """Convert column by column, so that only a column of mixed types becomes plain values."""
    names = [str(name) for name in source.columns]
    columns: dict[str, Column] = {}
    for i, name in enumerate(names):
        if not wanted(name):
            continue
        if name in columns:
            raise TruewardError(
                f"the pandas DataFrame should name each column once, but it has {name!r} twice: "
                "rename or drop one"
            )
        values = source.iloc[:, i].reset_index(drop=True)
        try:
            columns[name] = pl.from_pandas(values, nan_to_null=True)
        except (pa.ArrowException, pl.exceptions.PolarsError, TypeError, ValueError):
            columns[name] = settled(
                [None if null else v for v, null in zip(values, values.isna(), strict=True)]
            )
    return Table(columns, tuple(names), Place("the pandas DataFrame"), gaps=True)
