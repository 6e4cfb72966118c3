"""How large a Parquet file is in memory, before it is read: a dictionary packs a million copies of a text."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trueward.core.errors import TruewardError

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTH = 8  # bytes of a value that is no text
TEXT = "BYTE_ARRAY"


def require_memory(
    file: pq.ParquetFile, path: Path, columns: Iterable[str], *, at_once: bool = True
) -> None:
    """Refuse a file that does not fit into the free memory of this machine.

    Parameters
    ----------
    file : pyarrow.parquet.ParquetFile
        The open file.
    path : Path
        Its path.
    columns : iterable of str
        The columns that will be read.
    at_once : bool, default True
        Whether all rows are read together; else one group of rows after the other.

    Raises
    ------
    TruewardError
        With both sizes. Nothing is checked on a system that does not say how much memory is free.

    """
    free, wanted = free_memory(), set(columns)
    if free is None:
        return
    groups: list[list[tuple[int, Any]]] = []
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        chunks = (group.column(i) for i in range(group.num_columns))
        groups.append([(number, c) for c in chunks if c.path_in_schema.partition(".")[0] in wanted])
    for part in [[pair for group in groups for pair in group]] if at_once else groups:
        size = _size(part, path, free)
        if size > free:
            raise TruewardError(
                f"{path} unpacks to {size / 1e9:,.1f} GB or more, and this machine has {free / 1e9:,.1f} GB "
                "of free memory: give fewer rows, or use a machine with more memory"
            )


def require_memory_by_groups(path: Path) -> None:
    """Refuse a file of which one group of rows does not fit into the free memory of this machine.

    Parameters
    ----------
    path : Path
        A Parquet file; one that cannot be read is left to its reader.

    Raises
    ------
    TruewardError
        With both sizes.

    """
    try:
        with pq.ParquetFile(path) as file:
            require_memory(file, path, file.schema_arrow.names, at_once=False)
    except TruewardError:
        raise
    except (pa.ArrowException, OSError, ValueError):
        return


def _size(chunks: list[tuple[int, Any]], path: Path, free: int) -> int:
    """Return the bytes of column chunks, each with the number of its group; any number beyond ``free``."""
    if sum(chunk.num_values * _longest(chunk) for _, chunk in chunks) <= free:
        return 0
    names = {chunk.path_in_schema for _, chunk in chunks if _packs_texts(chunk)}
    size = 0
    with pq.ParquetFile(path, read_dictionary=sorted(names)) as packed:
        for number, chunk in chunks:
            least = max(chunk.num_values * WIDTH, chunk.total_uncompressed_size)
            if _packs_texts(chunk) and size + least <= free:
                column = packed.read_row_group(number, columns=[chunk.path_in_schema])
                size += sum(_unpacked(part) for c in column.columns for part in c.chunks)
            else:
                size += least
            if size > free:
                break
    return size


def free_memory() -> int | None:
    """Return the bytes that a process can still use here; None where the system does not say.

    Returns
    -------
    int or None
        The least of the memory that is available, and what is left in the limit of a container.

    """
    sizes = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text("utf-8").splitlines()
        (line,) = [line for line in lines if line.startswith("MemAvailable:")]
        sizes.append(int(line.split()[1]) * 1024)
    with contextlib.suppress(OSError, ValueError):
        folder = Path("/sys/fs/cgroup")
        limit, used = (int((folder / f"memory.{name}").read_text()) for name in ("max", "current"))
        sizes.append(max(0, limit - used))
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if not sizes:
            sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(sizes, default=None)


def _longest(chunk: Any) -> int:
    """Return a bound on the bytes of one value of a chunk."""
    if chunk.physical_type != TEXT:
        return WIDTH
    return int(chunk.total_uncompressed_size)


def _packs_texts(chunk: Any) -> bool:
    return chunk.physical_type == TEXT and any("DICTIONARY" in e for e in chunk.encodings)


def _unpacked(array: pa.Array) -> int:
    """Return the bytes of an array whose texts are written out."""
    if isinstance(array, pa.DictionaryArray):
        lengths = pc.binary_length(array.dictionary).cast(pa.int64())
        return int(pc.sum(lengths.take(array.indices)).as_py() or 0) + WIDTH * len(array)
    if isinstance(array, pa.StructArray):
        return sum(_unpacked(array.field(i)) for i in range(array.type.num_fields))
    if isinstance(array, pa.ListArray | pa.LargeListArray):
        return _unpacked(array.values) + WIDTH * len(array)
    return int(array.nbytes)
