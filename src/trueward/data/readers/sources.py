"""One table from any source: a file, a folder, a query, or a table in memory."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError, UsageError
from trueward.core.remote_files import is_address, local_copy

from .columnar import read_arrow, read_parquet
from .csv_files import read_csv
from .databases import refuse_uri
from .folders import read_folder
from .in_memory import read_memory
from .json_lines import read_json
from .queries import read_query
from .sheets import EXCEL, SQLITE, read_excel, read_sqlite
from .table import Table, expanded

if TYPE_CHECKING:
    from collections.abc import Callable

    from .column_names import WantedColumns


def _parquet(path: Path, wanted: WantedColumns) -> Table:
    return read_parquet([path], wanted, str(path))


def _arrow(path: Path, wanted: WantedColumns) -> Table:
    return read_arrow([path], wanted, str(path))


PACKED = ("", ".gz", ".zst")
#: End of a file name -> the reader of that format.
READERS: dict[str, Callable[[Path, WantedColumns], Table]] = {
    ".parquet": _parquet,
    **{name + packed: read_json for name in (".jsonl", ".ndjson", ".json") for packed in PACKED},
    **{name + packed: read_csv for name in (".csv", ".tsv") for packed in PACKED},
    **dict.fromkeys(EXCEL, read_excel),
    **dict.fromkeys(SQLITE, read_sqlite),
    ".arrow": _arrow,
    ".feather": _arrow,
    ".ipc": _arrow,
    ".sql": read_query,
}


def read_table(source: object, wanted: WantedColumns, split: str | None = None) -> Table:
    """Read the wanted columns of a source.

    Parameters
    ----------
    source : str, Path or table
        A file in one of the formats of `READERS`, a folder with a data set, the address of one of them
        (``s3://bucket/log.parquet``), or a table in memory, see `read_memory`.
    wanted : WantedColumns
        The columns to read; see `wanted_columns`.
    split : str or None
        Which split of a folder to read.

    Returns
    -------
    Table
        At least one row, if any wanted column exists. Columns ``context`` and ``channel`` of records
        are expanded.

    Raises
    ------
    TruewardError
        If the source does not exist, cannot be read, or has no rows.
    UsageError
        If ``source`` is of another type, or ``split`` does not apply to it.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"prompt": ["Hi"], "other": [1]})
    >>> from trueward.data.readers import wanted_columns
    >>> read_table(frame, wanted_columns(["prompt"], [], None)).columns["prompt"].to_list()
    ['Hi']

    """
    if isinstance(source, str) and is_address(source):
        return _at_address(source, wanted, split)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        try:
            table = _from_path(path, wanted, split)
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
    else:
        table = read_memory(source, wanted, split)
    if not table.names or not any(len(column) for column in table.columns.values()):
        _refuse_rowless(table)
    return expanded(table)


def _at_address(address: str, wanted: WantedColumns, split: str | None) -> Table:
    """Read a copy of a table in a store; errors name its address."""
    copy = local_copy(address)
    try:
        table = read_table(str(copy), wanted, split)
        return replace(table, place=replace(table.place, source=address))
    except TruewardError as e:
        e.args = (str(e).replace(str(copy), address),)
        raise


def _refuse_rowless(table: Table) -> None:
    """Raise if a table has no rows; a table without any wanted column is refused by its names later."""
    if table.columns or not table.names:
        raise TruewardError(
            f"{table.source} should have a row per response, but it has no rows: check its origin"
        )


def _from_path(path: Path, wanted: WantedColumns, split: str | None) -> Table:
    if not path.exists():
        refuse_uri(path)
        raise TruewardError(f"there is no file {path}: check the path")
    if path.is_dir():
        return read_folder(path, wanted, split)
    if split is not None:
        raise UsageError(f"split={split} chooses from a folder of splits: drop it for {path}")
    if not path.is_file():
        raise TruewardError(
            f"{path} should be a file or a folder, but it is a device: save its content to a file"
        )
    name = path.name.lower()
    ending = next((e for e in sorted(READERS, key=len, reverse=True) if name.endswith(e)), None)
    if ending is None:
        raise TruewardError(
            f"{path} has an unsupported file type ({path.suffix or 'none'}): write it as one of "
            f"{', '.join(READERS)}"
        )
    if not path.stat().st_size:
        raise TruewardError(
            f"{path} should hold a table, but it is empty: check the program that wrote it"
        )
    return READERS[ending](path, wanted)
