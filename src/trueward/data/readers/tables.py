"""One table from any source: a file, a folder, or a table in memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from trueward.core.errors import TruewardError, UsageError

from . import columnar, delimited, folders, jsonlines, queries
from .cells import Place
from .databases import refuse_uri
from .table import Table, expanded, settled

if TYPE_CHECKING:
    from collections.abc import Callable

    from .cells import Column
    from .names import Want


def _parquet(path: Path, want: Want) -> Table:
    return columnar.parquet([path], want, str(path))


def _arrow(path: Path, want: Want) -> Table:
    return columnar.arrow([path], want, str(path))


READERS: dict[str, Callable[[Path, Want], Table]] = {
    ".parquet": _parquet,
    ".jsonl": jsonlines.read,
    ".jsonl.gz": jsonlines.read,
    ".ndjson": jsonlines.read,
    ".ndjson.gz": jsonlines.read,
    ".json": jsonlines.read,
    ".json.gz": jsonlines.read,
    ".csv": delimited.read,
    ".csv.gz": delimited.read,
    ".arrow": _arrow,
    ".feather": _arrow,
    ".ipc": _arrow,
    ".sql": queries.read,
}


def read_table(source: object, want: Want, split: str | None = None) -> Table:
    """Read the wanted columns of ``source``, which must have rows."""
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        try:
            table = _from_path(path, want, split)
        except PermissionError as e:
            raise TruewardError(
                f"{e.filename or path} should be readable, but you have no permission to read it: "
                "change its permissions or copy it"
            ) from e
        except OSError as e:
            raise TruewardError(
                f"{path} should be readable, but the system refuses ({e.strerror or e}): check the "
                "path and the disk"
            ) from e
    elif split is not None:
        raise UsageError(f"split={split} chooses from a folder of splits: drop it for a table")
    else:
        table = _from_memory(source, want)
    if not table.names or not any(len(column) for column in table.columns.values()):
        _refuse_rowless(table)
    return expanded(table)


def _refuse_rowless(table: Table) -> None:
    """Raise about a table without rows; one without any wanted column is refused by its names."""
    if table.columns or not table.names:
        raise TruewardError(
            f"{table.source} should have a row per response, but it has no rows: see what wrote it"
        )


def _from_path(path: Path, want: Want, split: str | None) -> Table:
    if not path.exists():
        refuse_uri(path)
        raise TruewardError(f"there is no file {path}: check the path")
    if path.is_dir():
        return folders.read(path, want, split)
    if split is not None:
        raise UsageError(f"split={split} chooses from a folder of splits: drop it for {path}")
    if not path.is_file():
        raise TruewardError(
            f"{path} should be a file or a folder, but it is a device: save it first"
        )
    name = path.name.lower()
    ending = next((e for e in sorted(READERS, key=len, reverse=True) if name.endswith(e)), None)
    if ending is None:
        raise TruewardError(
            f"{path} has an ending that is not known ({path.suffix or 'none'}): write it as one of "
            f"{', '.join(READERS)}"
        )
    if not path.stat().st_size:
        raise TruewardError(f"{path} should hold a table, but it is empty: check what wrote it")
    return READERS[ending](path, want)


def _from_memory(source: object, want: Want) -> Table:
    kind = type(source).__module__.partition(".")[0]
    if kind == "pandas" and type(source).__name__ == "DataFrame":
        return _from_pandas(source, want)
    place = Place(f"the {kind} {type(source).__name__}")
    try:
        if isinstance(source, pl.LazyFrame):
            names = source.collect_schema().names()
            frame = source.select([name for name in names if want(name)]).collect()
        elif isinstance(source, pl.DataFrame):
            names, frame = source.columns, source.select([n for n in source.columns if want(n)])
        elif isinstance(source, pa.Table | pa.RecordBatch | pa.RecordBatchReader):
            table = source.read_all() if isinstance(source, pa.RecordBatchReader) else source
            names = list(table.schema.names)
            chosen = table.select([name for name in dict.fromkeys(names) if want(name)])
            frame = pl.DataFrame(pl.from_arrow(chosen))
        else:
            raise UsageError(
                "a log is a path or a polars, pandas or pyarrow table, but this is "
                f"a {type(source).__name__}: save it or make a table of it"
            )
    except (pl.exceptions.PolarsError, pa.ArrowException, KeyError, OSError) as e:
        raise TruewardError(
            f"{place.source} should hold a table, but it cannot be read "
            f"({' '.join(str(e).split())[:200]}): correct what makes it"
        ) from e
    return Table({name: frame[name] for name in frame.columns}, tuple(names), place)


def _from_pandas(source: Any, want: Want) -> Table:
    """Convert column by column, so that only an odd column becomes plain values."""
    names = [str(name) for name in source.columns]
    columns: dict[str, Column] = {}
    for i, name in enumerate(names):
        if not want(name):
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
                [None if gone else v for v, gone in zip(values, values.isna(), strict=True)]
            )
    return Table(columns, tuple(names), Place("the pandas DataFrame"))
