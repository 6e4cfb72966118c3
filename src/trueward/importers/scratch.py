"""Rows in memory up to a limit, and beyond it in temporary files."""

from __future__ import annotations

import contextlib
import io
import itertools
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from polars.exceptions import PolarsError

from trueward.core.errors import NotWrittenError
from trueward.core.scratch_folder import ScratchFolder, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator

IN_MEMORY = 1 << 27  # bytes of rows that a Scratch holds in memory


class Scratch:
    """Holds data frames in memory, and beyond ``IN_MEMORY`` bytes in temporary files.

    The files are removed when the object is garbage-collected.

    Parameters
    ----------
    parent : Path, optional
        Folder in which to make the temporary folder; the system's by default.

    """

    def __init__(self, parent: Path | None = None) -> None:
        self.parent = parent
        self.folder: Path | None = None
        self.numbers = itertools.count()
        self.size = 0  # bytes in memory

    def hold(self, rows: pl.DataFrame, *, pack: bool = True) -> pl.LazyFrame:
        """Store rows and return a lazy frame of them.

        Parameters
        ----------
        rows : DataFrame
            Any rows.
        pack : bool
            Whether to compress them on disk: half the size, and most of the time of writing.

        Returns
        -------
        LazyFrame
            The same rows.

        Raises
        ------
        NotWrittenError
            If the disk refuses.

        """
        if self.size < IN_MEMORY:
            copy = compact_copy(rows)
            self.size += int(copy.estimated_size())
            return copy.lazy()
        with self._disk_errors():
            path = (self.folder or self._make_folder()) / f"{next(self.numbers)}.arrow"
            rows.write_ipc(path, compression="lz4" if pack else "uncompressed")
        return pl.scan_ipc(path)

    def _make_folder(self) -> Path:
        if self.parent is not None:
            self.parent.mkdir(parents=True, exist_ok=True)
        parent = self.parent or Path(tempfile.gettempdir())
        sweep(parent)
        folder = ScratchFolder(parent, "rows")
        self.folder = folder.path
        weakref.finalize(self, folder.remove)
        return self.folder

    @contextlib.contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, PolarsError) as e:
            raise NotWrittenError(
                f"temporary rows could not be written to {self.parent or tempfile.gettempdir()} "
                f"({' '.join(str(e).split())}): free some space, or choose another disk"
            ) from e


def compact_copy(rows: pl.DataFrame) -> pl.DataFrame:
    """Return a copy that does not keep the large batch in memory of which ``rows`` are a few.

    Parameters
    ----------
    rows : DataFrame
        A slice or selection of a large batch.

    Returns
    -------
    DataFrame
        The same rows in buffers of their own.

    """
    buffer = io.BytesIO()
    rows.write_ipc(buffer)
    buffer.seek(0)
    return pl.read_ipc(buffer)
