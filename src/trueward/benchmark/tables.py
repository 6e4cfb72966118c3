"""What a set gives, and where its files are."""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from trueward.core.errors import TruewardError
from trueward.core.random import numpy_stream

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Answers:
    """The rows of a set: prompt, response, prompt_id?, rating (null where unknown), feedback?.

    ``feedback`` is 1, 0 or null and there only in a set that is a log.
    """

    frame: pl.DataFrame
    features: NDArray[np.float32] | None = None  # (n, d), where the set is not text
    threshold: float | None = None  # good is above it; None: the median of the levels

    def first(self, rows: int | None) -> Answers:
        """Whole prompts in a random order that is always the same, until there are ``rows``."""
        if rows is None or rows >= len(self.frame):
            return self
        name = "prompt_id" if "prompt_id" in self.frame.columns else "prompt"
        prompts = self.frame[name].unique(maintain_order=True)
        place = numpy_stream(0, "rows").permutation(len(prompts))
        order = self.frame[name].replace_strict(prompts, place, return_dtype=pl.Int64).to_numpy()
        last = np.sort(order)[rows - 1]
        kept = np.flatnonzero(order <= last)
        x = None if self.features is None else self.features[kept]
        return replace(self, frame=self.frame[kept], features=x)


@dataclass(frozen=True)
class Place:
    """Where a set is: its own path, or its usual place in the data folder."""

    path: Path | None = None
    data: Path | None = None
    rows: int | None = None
    positive: str | None = None

    def folder(self, name: str, otherwise: str) -> Path:
        """Give the folder of the set, or say what to do to have it."""
        if self.path is not None:
            found = self.path
        elif self.data is not None:
            found = self.data / name
        else:
            raise TruewardError(
                f"the set {name} is read from a folder and none was named: {otherwise}"
            )
        if not found.is_dir():
            raise TruewardError(f"there is no folder {found} with the set {name}: {otherwise}")
        return found


def parquet(place: Place, name: str, file: str = "data.parquet") -> pl.DataFrame:
    """Read a file of a shared set."""
    folder = place.folder(name, "give --data FOLDER, the folder that holds it")
    return read_file(folder / file)


def read_file(path: Path, columns: list[str] | None = None) -> pl.DataFrame:
    """Read Parquet, JSONL or JSONL.gz; what is no such file is one sentence."""
    try:
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path)
        else:
            raw = path.read_bytes()
            frame = pl.read_ndjson(
                io.BytesIO(gzip.decompress(raw) if path.suffix == ".gz" else raw),
                infer_schema_length=None,
            )
    except (OSError, EOFError, pl.exceptions.PolarsError) as e:
        reason = " ".join(str(e).split())[:200]
        raise TruewardError(
            f"{path} should be a table of the set and cannot be read ({reason}): download it again"
        ) from e
    lost = [c for c in columns or () if c not in frame.columns]
    if lost:
        raise TruewardError(
            f"{path} should have the column {lost[0]}, and has {', '.join(frame.columns)}: "
            "is it another set, or another version of it?"
        )
    return frame.select(columns) if columns else frame
