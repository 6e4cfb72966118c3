"""A table of texts with canonical columns: what a log and a test set share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from trueward.core.overview import Overview, Shown, cell

from .converted import to_dataset, to_pandas
from .digests import fingerprint

if TYPE_CHECKING:
    import datasets
    import pandas as pd
    import polars as pl

SHOWN = 5  # rows of a table in a notebook


@dataclass(frozen=True, eq=False, repr=False)
class Rows(Shown):
    """Rows with a prompt and a response; `Log` and `Test` say what else they hold.

    Attributes
    ----------
    frame : polars.DataFrame
        The canonical columns.
    source : str
        Path of the file or folder, or a description of a table in memory.
    ignored : tuple of str
        Columns of the source that are not used.

    """

    frame: pl.DataFrame
    source: str
    ignored: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.frame.height

    @property
    def columns(self) -> set[str]:
        """Names of the columns of the frame."""
        return set(self.frame.columns)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content, the same for every file format."""
        return fingerprint(self.frame)

    def to_pandas(self) -> pd.DataFrame:
        """Return the canonical columns as a ``pandas.DataFrame``."""
        return to_pandas(self.frame)

    def to_dataset(self) -> datasets.Dataset:
        """Return the canonical columns as a ``datasets.Dataset``; as `read_log` takes it."""
        return to_dataset(self.frame)

    def _overview(self, kind: str = "", left_out: str = "") -> Overview:
        """Show the first rows, after the size and what a kind of table adds to it."""
        shown = self.frame.drop("prompt_id", strict=False)
        cells = [[cell(v) for v in row] for row in shown.head(SHOWN).iter_rows()]
        size = f"{len(self):,} rows, {self.frame['prompt_id'].n_unique():,} prompts"
        notes = [f"the first {SHOWN} of {len(self):,} rows"] if len(self) > SHOWN else []
        if self.ignored:
            notes.append(f"columns not used: {', '.join(self.ignored)}")
        if left_out:
            notes.append(left_out)
        return Overview(f"{self.source}: {size}{kind}", shown.columns, cells, notes)
