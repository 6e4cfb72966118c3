"""A table of prompts and responses in parts of equal size, read by number."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from trueward.core.errors import TruewardError
from trueward.core.remote_files import local_path

from .digests import fingerprint
from .log_columns import PAIR_COLUMNS
from .pairs import read_pairs
from .readers import wanted_columns
from .readers.columnar import DAMAGE, damaged
from .readers.unpacked_size import require_memory_by_groups

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ROWS = 32_768  # of a part: a multiple of the rows that are encoded together
TAIL = (
    2**16
)  # bytes at the end of a Parquet file that identify it: they describe all of its columns


@dataclass
class PairTable:
    """Rows of a table for `read_pairs`, part by part.

    Attributes
    ----------
    source : str
        Path of the table.
    mapping : mapping of str to str or None
        Canonical name -> column of the source.
    rows : int
        Number of rows.
    fingerprint : str
        Identifies the content.
    whole : polars.DataFrame or None
        The table, where it is in memory.

    """

    source: str
    mapping: Mapping[str, str] | None
    rows: int
    fingerprint: str
    whole: pl.DataFrame | None = None
    _next: int = 0
    _parts: Iterator[pa.Table] | None = field(default=None, repr=False)

    @staticmethod
    def open(source: str | Path, mapping: Mapping[str, str] | None, split: str | None) -> PairTable:
        """Open a table; a Parquet file is not read yet.

        Parameters
        ----------
        source : str or Path
            As for `read_log`.
        mapping : mapping of str to str or None
            Canonical name -> column of the source.
        split : str or None
            Which split of a folder to read.

        Raises
        ------
        TruewardError
            If the table cannot be read.

        """
        path = local_path(source)
        if split is None and path.suffix.lower() == ".parquet" and path.is_file():
            try:
                rows = pq.read_metadata(path).num_rows
            except (pa.ArrowException, OSError, ValueError):
                rows = 0  # its reader says what is wrong
            if rows > ROWS:
                require_memory_by_groups(path)
                return PairTable(str(path), mapping, rows, _identity(path))
        frame = read_pairs(source, mapping=mapping, split=split)
        return PairTable(str(source), mapping, len(frame), fingerprint(frame), frame)

    @property
    def count(self) -> int:
        """Number of parts."""
        return -(-self.rows // ROWS)

    def read(self, part: int) -> pl.DataFrame:
        """Read a part; from the group of rows that holds it on.

        Parameters
        ----------
        part : int
            Its number, from 0.

        Raises
        ------
        TruewardError
            If a row has no prompt or no response, or the file is damaged.

        """
        if self.whole is not None:
            return self.whole[part * ROWS : (part + 1) * ROWS]
        group = self._starts[bisect_right(self._starts, part * ROWS) - 1]
        if self._parts is None or part < self._next or group > self._next * ROWS:
            self._parts, self._next = self._tables(part), part
        try:
            for table in self._parts:
                self._next += 1
                if self._next == part + 1:
                    return self._pairs(table, part)
        except TruewardError:
            raise
        except DAMAGE as e:
            raise damaged(self.source, "Parquet", e) from e
        raise TruewardError(f"{self.source} has fewer rows than its metadata says: write it again")

    @cached_property
    def _starts(self) -> list[int]:
        """First row of each group of rows."""
        about = pq.read_metadata(self.source)
        sizes = (about.row_group(k).num_rows for k in range(about.num_row_groups))
        return [0, *accumulate(sizes)][:-1]

    def _tables(self, first: int) -> Iterator[pa.Table]:
        """Yield tables of `ROWS` rows from a part on, whatever the groups of rows of the file are."""
        wanted = wanted_columns(PAIR_COLUMNS, (), self.mapping)
        group = bisect_right(self._starts, first * ROWS) - 1
        before = (
            first * ROWS - self._starts[group]
        )  # rows of the group that belong to earlier parts
        with pq.ParquetFile(self.source) as file:
            columns = [name for name in file.schema_arrow.names if wanted(name)]
            groups = list(range(group, file.num_row_groups))
            kept: list[pa.RecordBatch] = []
            for whole in file.iter_batches(ROWS, row_groups=groups, columns=columns):
                batch = whole[before:]
                before -= len(whole) - len(batch)
                if not len(batch):
                    continue
                kept.append(batch)
                if sum(map(len, kept)) >= ROWS:
                    table = pa.Table.from_batches(kept)
                    yield table[:ROWS]
                    kept = table[ROWS:].to_batches()
            if kept:
                yield pa.Table.from_batches(kept)

    def _pairs(self, table: pa.Table, part: int) -> pl.DataFrame:
        table.validate(full=True)
        try:
            return read_pairs(pl.DataFrame(pl.from_arrow(table)), mapping=self.mapping)
        except TruewardError as e:
            first = part * ROWS
            e.args = (f"{e} (rows {first + 1:,} to {first + len(table):,} of {self.source})",)
            raise


def _identity(path: Path) -> str:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - TAIL))
        return hashlib.sha256(b"%d\0" % size + file.read()).hexdigest()
