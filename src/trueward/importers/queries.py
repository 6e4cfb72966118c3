"""The generic tables from SQL queries, through temporary Parquet files.

Rows arrive in Arrow batches and are written in the types of the tables. From there on, they are read like any
Parquet file: no row becomes a Python object.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.parquet as pq

from trueward.core.errors import NotWrittenError, TruewardError, UsageError
from trueward.data.readers import query_rows

from .columns import cast_column, number_to_micros, role_and_content
from .records import QUERY
from .schema import EVENTS, MESSAGES, RESPONSES, TIME

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trueward.data.readers import Rows

    from .contract import Source

ROW_GROUP = 50_000  # rows
KNOWN = {**RESPONSES, **EVENTS}
TYPE_WORDS = {MESSAGES: "text or messages", TIME: "a time", pl.String: "text", None: "fields"}
TIME_FORMATS = (  # of text; without a zone it is UTC
    *("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z"),
    *("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"),
)


@contextlib.contextmanager
def query_tables(
    source: Source, paths: Sequence[Path]
) -> Iterator[dict[Path, tuple[str, pl.LazyFrame]]]:
    """Run the queries among the files; their rows exist until the context ends.

    Parameters
    ----------
    source : Source
        The source; only the generic tables can come from a query.
    paths : sequence of Path
        Files of the import; those that end in ``.sql`` are run.

    Yields
    ------
    dict of Path to (str, LazyFrame)
        Kind of record and staged rows of each query.

    Raises
    ------
    UsageError
        If the source is a product.
    TruewardError
        If a query fails, or gives no rows or wrong columns.

    """
    queries = [path for path in paths if path.suffix == QUERY]
    if queries and source.read_columns is None:
        raise UsageError(
            f"{queries[0]} is a query, which gives the generic tables and no export of {source.name}: "
            "trueward import generic"
        )
    with tempfile.TemporaryDirectory(prefix="trueward-") as folder:
        yield {
            path: _query_table(source, path, Path(folder, f"{i}.parquet"))
            for i, path in enumerate(queries)
        }


def _query_table(source: Source, path: Path, target: Path) -> tuple[str, pl.LazyFrame]:
    with query_rows(path, lambda n: n in KNOWN or n.partition(".")[0] == "context") as rows:
        if source.kind_of(dict.fromkeys(rows.names)) is None:
            raise TruewardError(
                f"{path} should give responses (response_id, prompt, response) or events (response_id, "
                f"channel, value), and gives {', '.join(rows.names) or 'no columns'}: name the columns by AS"
            )
        if not _write(rows, target, path):
            raise TruewardError(f"{path} should give rows, and gives none: check its conditions")
    table = source.read_columns(target) if source.read_columns else None
    assert table is not None
    kind, frame = table
    return kind, frame.with_columns(pl.lit(str(path)).alias("file"))


def _write(rows: Rows, target: Path, path: Path) -> int:
    """Write the rows to a Parquet file, and return their number."""
    writer, frames, count = None, [], 0
    try:
        for frame in rows.frames:
            frames.append(_cast_frame(frame, path, count))
            count += frame.height
            if sum(part.height for part in frames) >= ROW_GROUP:
                writer, frames = _write_group(writer, frames, target), []
        if frames:
            writer = _write_group(writer, frames, target)
    finally:
        if writer is not None:
            writer.close()
    return count


def _write_group(writer: Any, frames: list[pl.DataFrame], target: Path) -> Any:
    table = pl.concat(frames).to_arrow(compat_level=pl.CompatLevel.oldest())
    try:
        writer = writer or pq.ParquetWriter(target, table.schema)
        writer.write_table(table)
    except OSError as e:
        raise NotWrittenError(
            f"the rows of a query could not be written to the temporary folder {target.parent.parent} "
            f"({e.strerror or e}): free some space, or name another folder by TMPDIR"
        ) from e
    return writer


def _cast_frame(frame: pl.DataFrame, path: Path, before: int) -> pl.DataFrame:
    """Cast the columns to the types of the tables; ``before``: number of earlier rows of the query."""
    columns = {}
    for name in frame.columns:
        column, wanted = frame[name], TYPE_WORDS.get(KNOWN.get(name), "a number")
        cast = _cast(name, column)
        if cast is None:
            raise TruewardError(
                f"{path} gives the column {name!r} as {column.dtype}, where {wanted} should be: "
                "convert it in the query"
            )
        is_lost = cast.is_null() & column.is_not_null()
        if column.dtype == pl.String:
            is_lost &= column != ""
        if is_lost.any():
            i = int(is_lost.arg_true()[0])
            raise TruewardError(
                f"row {before + i + 1} of {path} has {column[i]!r}, where {name!r} should be "
                f"{wanted}: convert it in the query"
            )
        columns[name] = cast
    return pl.DataFrame(columns)


def _cast(name: str, column: pl.Series) -> pl.Series | None:
    """Return a column in the type of the tables, null where a value has none; None if no value could."""
    wanted, dtype = KNOWN.get(name), column.dtype
    if name == "context":
        return column if isinstance(dtype, pl.Struct) else None
    if wanted is None:
        return column
    cast = cast_column(name, dtype, wanted)
    if cast is None:
        cast = _parse_column(pl.col(name), dtype, wanted)
    return None if cast is None else column.to_frame().select(cast).to_series()


def _parse_column(column: pl.Expr, dtype: pl.DataType, wanted: Any) -> pl.Expr | None:
    """Parse times and numbers that a database gives in another type, such as text."""
    if wanted == MESSAGES:
        return role_and_content(column) if isinstance(dtype, pl.List) else None
    if wanted == TIME and dtype == pl.String:
        times = [column.str.strptime(TIME, f, strict=False, exact=True) for f in TIME_FORMATS]
        day = column.str.strptime(pl.Date, "%Y-%m-%d", strict=False)
        return pl.coalesce(*times, day.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
    if wanted == TIME:
        micros = number_to_micros(column).cast(pl.Int64, strict=False)
        return micros.cast(TIME) if dtype.is_numeric() else None
    if wanted == pl.String:
        return None
    is_number = dtype.is_numeric() or dtype in {pl.Boolean, pl.String}
    return column.cast(wanted, strict=False) if is_number else None
