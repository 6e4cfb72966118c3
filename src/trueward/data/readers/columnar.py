"""Parquet and Arrow files, as one file or as several shards of a table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from trueward.core.errors import TruewardError
from trueward.data.export_scope import ExportScope, narrowest

from .cell_types import Place
from .table import Table
from .unpacked_size import require_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .cell_types import Column
    from .column_names import WantedColumns

#: What polars and pyarrow raise on damaged bytes; a panic of polars is not an Exception.
DAMAGE = (
    pl.exceptions.PolarsError,
    pa.ArrowException,
    pl.exceptions.PanicException,
    OSError,
    ValueError,
)


def read_parquet(paths: Sequence[Path], wanted: WantedColumns, source: str) -> Table:
    """Read the wanted columns of Parquet shards, and the export scope in their metadata.

    Parameters
    ----------
    paths : sequence of Path
        The shards in order.
    wanted : WantedColumns
        The columns to read.
    source : str
        Name of the table in errors.

    Returns
    -------
    Table
        With the narrowest export scope of the shards.

    Raises
    ------
    TruewardError
        If a file is damaged or the shards differ in their types.

    """
    table = _shards(paths, wanted, source, "Parquet", _parquet)
    return replace(table, export_scope=narrowest(export_scope(path) for path in paths))


def export_scope(path: Path) -> ExportScope | None:
    """Return the export scope in the metadata of a Parquet file; None if it does not say.

    Parameters
    ----------
    path : Path
        The file.

    """
    metadata = pq.read_schema(path).metadata or {}
    return ExportScope.from_metadata(
        {k.decode(errors="replace"): v.decode(errors="replace") for k, v in metadata.items()}
    )


def read_arrow(paths: Sequence[Path], wanted: WantedColumns, source: str) -> Table:
    """Read the wanted columns of Arrow shards, each in the file or the stream format.

    Parameters
    ----------
    paths : sequence of Path
        The shards in order.
    wanted : WantedColumns
        The columns to read.
    source : str
        Name of the table in errors.

    Returns
    -------
    Table
        The concatenated shards.

    Raises
    ------
    TruewardError
        If a file is damaged or the shards differ in their types.

    """
    return _shards(paths, wanted, source, "Arrow", _arrow)


def _shards(
    paths: Sequence[Path],
    wanted: WantedColumns,
    source: str,
    form: str,
    read: Callable[[Path, WantedColumns], tuple[list[str], pl.DataFrame]],
) -> Table:
    names: dict[str, None] = {}
    frames = []
    for path in paths:
        try:
            columns, frame = read(path, wanted)
        except (PermissionError, TruewardError):
            raise
        except MemoryError as e:
            raise TruewardError(
                f"{path} does not fit into the memory of this machine ({e}): give fewer rows, or use a "
                "machine with more memory"
            ) from e
        except DAMAGE as e:
            raise damaged(path, form, e) from e
        names |= dict.fromkeys(columns)
        frames.append(frame)
    return Table(_stacked(frames, source), tuple(names), Place(source))


def damaged(path: Path | str, form: str, e: BaseException) -> TruewardError:
    """Return the error about a file that cannot be read.

    Parameters
    ----------
    path : Path or str
        The file.
    form : str
        Its format.
    e : BaseException
        What the reader raised; one of `DAMAGE`.

    """
    return TruewardError(
        f"{path} should be a complete {form} file, but it cannot be read "
        f"({' '.join(str(e).split())[:150]}): write or copy it again"
    )


def _stacked(frames: list[pl.DataFrame], source: str) -> dict[str, Column]:
    """Concatenate shards; integers of one may be floats or nulls in another."""
    try:
        frame = pl.concat(frames, how="diagonal_relaxed") if len(frames) > 1 else frames[0]
    except pl.exceptions.PolarsError as e:
        raise TruewardError(
            f"the shards of {source} should have the same columns, but their types differ "
            f"({' '.join(str(e).split())[:150]}): write them again with one schema"
        ) from e
    return {name: frame[name] for name in frame.columns}


def _parquet(path: Path, wanted: WantedColumns) -> tuple[list[str], pl.DataFrame]:
    with pq.ParquetFile(path) as file:
        names = list(file.schema_arrow.names)
        columns = [n for n in names if wanted(n)]
        require_memory(file, path, columns)
        return names, _checked(file.read(columns=columns), names, wanted)


def _arrow(path: Path, wanted: WantedColumns) -> tuple[list[str], pl.DataFrame]:
    with path.open("rb") as file:
        is_file = file.read(6) == b"ARROW1"
    with pa.OSFile(str(path)) as file:
        batches = pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)
        names = list(batches.schema.names)
        return names, _checked(batches.read_all(), names, wanted)


def _checked(table: pa.Table, names: list[str], wanted: WantedColumns) -> pl.DataFrame:
    """Select the wanted columns and validate them: damaged bytes would crash the process later."""
    if duplicates := sorted({n for n in names if wanted(n) and names.count(n) > 1}):
        raise ValueError(f"column {duplicates[0]!r} occurs twice")
    table = table.select([name for name in names if wanted(name)])
    without_metadata = pa.schema([pa.field(field.name, field.type) for field in table.schema])
    table = table.cast(without_metadata)
    table.validate(full=True)
    return pl.DataFrame(pl.from_arrow(table))
