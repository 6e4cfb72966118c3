"""Parquet and Arrow files, one or several shards of a table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from trueward.core.errors import TruewardError
from trueward.data.export_scope import ExportScope, weakest

from .cells import Place
from .table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .cells import Column
    from .names import Want

# What the two libraries raise on damaged bytes; a panic is no Exception.
DAMAGE = (
    pl.exceptions.PolarsError,
    pa.ArrowException,
    pl.exceptions.PanicException,
    OSError,
    ValueError,
)


def parquet(paths: Sequence[Path], want: Want, source: str) -> Table:
    """Read the wanted columns of Parquet shards, and what the files say they cover."""
    table = _shards(paths, want, source, "Parquet", _parquet)
    return replace(table, export_scope=weakest(_export_scope(path) for path in paths))


def _export_scope(path: Path) -> ExportScope | None:
    said = pq.read_schema(path).metadata or {}
    return ExportScope.of(
        {k.decode(errors="replace"): v.decode(errors="replace") for k, v in said.items()}
    )


def arrow(paths: Sequence[Path], want: Want, source: str) -> Table:
    """Read the wanted columns of Arrow shards, each in the file or the stream format."""
    return _shards(paths, want, source, "Arrow", _arrow)


def _shards(
    paths: Sequence[Path],
    want: Want,
    source: str,
    form: str,
    read: Callable[[Path, Want], tuple[list[str], pl.DataFrame]],
) -> Table:
    names: dict[str, None] = {}
    frames = []
    for path in paths:
        try:
            found, frame = read(path, want)
        except PermissionError:
            raise
        except DAMAGE as e:
            raise TruewardError(
                f"{path} should be a whole {form} file, but it cannot be read "
                f"({' '.join(str(e).split())[:150]}): write or copy it again"
            ) from e
        names |= dict.fromkeys(found)
        frames.append(frame)
    return Table(_stacked(frames, source), tuple(names), Place(source))


def _stacked(frames: list[pl.DataFrame], source: str) -> dict[str, Column]:
    """Concatenate shards; an integer column of one may be a float or all-null column of another."""
    try:
        frame = pl.concat(frames, how="diagonal_relaxed") if len(frames) > 1 else frames[0]
    except pl.exceptions.PolarsError as e:
        raise TruewardError(
            f"the shards of {source} should have the same columns, but their types differ "
            f"({' '.join(str(e).split())[:150]}): write them again with one schema"
        ) from e
    return {name: frame[name] for name in frame.columns}


def _parquet(path: Path, want: Want) -> tuple[list[str], pl.DataFrame]:
    with pq.ParquetFile(path) as file:
        names = list(file.schema_arrow.names)
        return names, _checked(file.read(columns=[n for n in names if want(n)]), names, want)


def _arrow(path: Path, want: Want) -> tuple[list[str], pl.DataFrame]:
    with path.open("rb") as file:
        is_file = file.read(6) == b"ARROW1"
    with pa.OSFile(str(path)) as file:
        batches = pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)
        names = list(batches.schema.names)
        return names, _checked(batches.read_all(), names, want)


def _checked(table: pa.Table, names: list[str], want: Want) -> pl.DataFrame:
    """Keep the wanted columns; libraries trust the bytes, so damage would end the process later."""
    if twice := sorted({n for n in names if want(n) and names.count(n) > 1}):
        raise ValueError(f"column {twice[0]!r} is there twice")
    table = table.select([name for name in names if want(name)])
    plain = pa.schema([pa.field(field.name, field.type) for field in table.schema])
    table = table.cast(plain)  # drops the metadata
    table.validate(full=True)
    return pl.DataFrame(pl.from_arrow(table))
