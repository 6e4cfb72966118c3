"""Tables that come from a query, by way of Parquet files that last as long as the import.

Rows arrive in Arrow batches and are written in the types of the tables, so that what follows is what follows
a Parquet file: none of them becomes a Python object.
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

from .columns import counted, utc
from .records import QUERY
from .staging import EVENTS, MESSAGES, RESPONSES, TIME

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trueward.data.readers import Rows

    from .contract import Source

GROUP = 50_000  # rows of a batch as it is written
KNOWN = {**RESPONSES, **EVENTS}
SPELLINGS = (  # of a time as text; without a zone it is UTC
    *("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z"),
    *("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"),
)


@contextlib.contextmanager
def queried(
    source: Source, paths: Sequence[Path]
) -> Iterator[dict[Path, tuple[str, pl.LazyFrame]]]:
    """Give the kind and the staged rows of each query among the files."""
    asked = [path for path in paths if path.suffix == QUERY]
    if asked and source.columns is None:
        raise UsageError(
            f"{asked[0]} is a query, which gives the generic tables and no export of {source.name}: "
            "trueward import generic"
        )
    with tempfile.TemporaryDirectory(prefix="trueward-") as folder:
        yield {
            path: _part(source, path, Path(folder, f"{i}.parquet")) for i, path in enumerate(asked)
        }


def _part(source: Source, path: Path, target: Path) -> tuple[str, pl.LazyFrame]:
    with query_rows(path, lambda n: n in KNOWN or n.partition(".")[0] == "context") as found:
        if source.shape_of(dict.fromkeys(found.names)) is None:
            raise TruewardError(
                f"{path} should give responses (response_id, prompt, response) or events (response_id, "
                f"channel, value), and gives {', '.join(found.names) or 'no columns'}: name the columns by AS"
            )
        if not _written(found, target, path):
            raise TruewardError(f"{path} should give rows, and gives none: check its conditions")
    part = source.columns(target) if source.columns else None
    assert part is not None
    kind, rows = part
    return kind, rows.with_columns(pl.lit(str(path)).alias("file"))


def _written(found: Rows, target: Path, path: Path) -> int:
    """Write the rows, and count them."""
    writer, held, count = None, [], 0
    try:
        for frame in found.frames:
            held.append(_fitted(frame, path, count))
            count += frame.height
            if sum(part.height for part in held) >= GROUP:
                writer, held = _flushed(writer, held, target), []
        if held:
            writer = _flushed(writer, held, target)
    finally:
        if writer is not None:
            writer.close()
    return count


def _flushed(writer: Any, held: list[pl.DataFrame], target: Path) -> Any:
    table = pl.concat(held).to_arrow(compat_level=pl.CompatLevel.oldest())
    try:
        writer = writer or pq.ParquetWriter(target, table.schema)
        writer.write_table(table)
    except OSError as e:
        raise NotWrittenError(
            f"the rows of a query lie in {target.parent.parent} during an import, which refuses "
            f"({e.strerror or e}): free some space, or name another folder by TMPDIR"
        ) from e
    return writer


def _fitted(frame: pl.DataFrame, path: Path, before: int) -> pl.DataFrame:
    """Give the columns the types of the tables; ``before``: rows of the query that came earlier."""
    made = {}
    for name in frame.columns:
        column = frame[name]
        cast = _cast(name, column)
        if cast is None:
            raise TruewardError(
                f"{path} gives the column {name!r} as {column.dtype}, where {_wanted(name)} should be: "
                "convert it in the query"
            )
        lost = cast.is_null() & column.is_not_null()
        if column.dtype == pl.String:
            lost &= column != ""
        if lost.any():
            i = int(lost.arg_true()[0])
            raise TruewardError(
                f"row {before + i + 1} of {path} has {column[i]!r}, where {name!r} should be "
                f"{_wanted(name)}: convert it in the query"
            )
        made[name] = cast
    return pl.DataFrame(made)


def _wanted(name: str) -> str:
    kind = KNOWN.get(name)
    return {MESSAGES: "text or messages", TIME: "a time", pl.String: "text", None: "fields"}.get(
        kind, "a number"
    )


def _cast(name: str, column: pl.Series) -> pl.Series | None:
    """Give a column the type of the tables, null where a value has none; None where no value could."""
    wanted, found = KNOWN.get(name), column.dtype
    if name == "context":
        return column if isinstance(found, pl.Struct) else None
    if wanted is None or (wanted == MESSAGES and found == pl.String):
        return column
    if wanted == MESSAGES and isinstance(found, pl.List):
        said = pl.struct(pl.element().struct.field("role"), pl.element().struct.field("content"))
        return column.list.eval(said).cast(MESSAGES)
    if found == pl.Null:
        return column.cast(wanted)
    if wanted == TIME:
        return _times(column)
    if wanted == pl.String:
        return column.cast(pl.String) if found == pl.String or found.is_integer() else None
    is_number = found.is_numeric() or found in {pl.Boolean, pl.String}
    return column.cast(wanted, strict=False) if is_number else None


def _times(column: pl.Series) -> pl.Series | None:
    """Read times: as they are, as text, or as a number since 1970 whose size says the unit."""
    value = pl.col(column.name)
    if isinstance(column.dtype, pl.Datetime):
        return column.to_frame().select(utc(value, column.dtype)).to_series()
    if column.dtype == pl.String:
        read = [
            value.str.strptime(TIME, spelling, strict=False, exact=True) for spelling in SPELLINGS
        ]
        day = value.str.strptime(pl.Date, "%Y-%m-%d", strict=False)
        read.append(day.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
        return column.to_frame().select(pl.coalesce(read)).to_series()
    if not column.dtype.is_numeric():
        return None
    micros = counted(value).cast(pl.Int64, strict=False)
    return column.to_frame().select(micros.cast(TIME)).to_series()
