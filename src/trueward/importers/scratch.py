"""Rows that memory does not hold, as files of a folder that goes when nobody holds it any more."""

from __future__ import annotations

import contextlib
import io
import itertools
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from polars.exceptions import PolarsError

from trueward.core.errors import NotWrittenError

if TYPE_CHECKING:
    from collections.abc import Iterator


HELD = 1 << 27  # bytes that are held in memory


class Scratch:
    """Rows in memory, and from ``HELD`` bytes on in files below ``beside``, else the temporary folder."""

    def __init__(self, beside: Path | None = None) -> None:
        self.beside = beside
        self.folder: Path | None = None
        self.numbers = itertools.count()
        self.size = 0  # bytes in memory

    def held(self, rows: pl.DataFrame) -> pl.LazyFrame:
        """Hold rows, and give them back."""
        if self.size < HELD:
            copy = compact(rows)
            self.size += int(copy.estimated_size())
            return copy.lazy()
        with self._said():
            path = (self.folder or self._made()) / f"{next(self.numbers)}.arrow"
            rows.write_ipc(path, compression="lz4")
        return pl.scan_ipc(path)

    def _made(self) -> Path:
        if self.beside is not None:
            self.beside.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix=".trueward-rows-", dir=self.beside))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        return self.folder

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        """Turn what a disk refuses into one sentence."""
        try:
            yield
        except (OSError, PolarsError) as e:
            raise NotWrittenError(
                f"rows that memory does not hold could not be kept in {self.beside or tempfile.gettempdir()} "
                f"({' '.join(str(e).split())}): free some space, or choose another disk"
            ) from e


def compact(rows: pl.DataFrame) -> pl.DataFrame:
    """Copy few rows of a large batch, whose texts would stay in memory with them."""
    packed = io.BytesIO()
    rows.write_ipc(packed)
    packed.seek(0)
    return pl.read_ipc(packed)
