"""Rows that memory does not hold, as files of a folder that goes when nobody holds it any more."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from polars.exceptions import PolarsError

from trueward.errors import NotWrittenError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl


class Scratch:
    """A folder below ``beside``, or below the system's temporary folder, made when it is first needed."""

    def __init__(self, beside: Path | None = None) -> None:
        self.beside = beside
        self.folder: Path | None = None
        self.numbers = itertools.count()

    def put(self, rows: pl.DataFrame) -> Path:
        """Write rows into a file of their own."""
        with self._said():
            folder = self.folder or self._made()
            path = folder / f"{next(self.numbers)}.arrow"
            rows.write_ipc(path, compression="lz4")
        return path

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
