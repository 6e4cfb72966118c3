"""Rows of a set, the location of its files, and reading a file."""

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
    """Rows of a set.

    Attributes
    ----------
    frame : polars.DataFrame, n rows
        Columns prompt, response, rating (null where unknown), optionally prompt_id. Logs also have
        feedback: 1, 0 or null.
    features : array of float, shape (n, d), or None
        Features of sets without text.
    threshold : float or None
        r* = rating > threshold. None: the median of the distinct ratings.

    """

    frame: pl.DataFrame
    features: NDArray[np.float32] | None = None
    threshold: float | None = None

    def first(self, rows: int | None) -> Answers:
        """Return the first prompts of a fixed random order, whole, with at least ``rows`` rows.

        Parameters
        ----------
        rows : int or None
            Number of rows. None: all.

        Returns
        -------
        Answers

        """
        if rows is None or rows >= len(self.frame):
            return self
        name = "prompt_id" if "prompt_id" in self.frame.columns else "prompt"
        prompts = self.frame[name].unique(maintain_order=True)
        place = numpy_stream(0, "rows").permutation(len(prompts))
        order = self.frame[name].replace_strict(prompts, place, return_dtype=pl.Int64).to_numpy()
        last = np.sort(order)[rows - 1]
        selected = np.flatnonzero(order <= last)
        x = None if self.features is None else self.features[selected]
        return replace(self, frame=self.frame[selected], features=x)


@dataclass(frozen=True)
class Location:
    """Location of a set and options of its reader.

    Attributes
    ----------
    path : Path or None
        Folder or file of the set.
    data : Path or None
        Folder of all sets (--data), used if there is no path.
    rows : int or None
        Largest number of rows.
    positive : str or None
        Which end of the scale is good, for sets with a choice.

    """

    path: Path | None = None
    data: Path | None = None
    rows: int | None = None
    positive: str | None = None

    def folder(self, name: str, otherwise: str) -> Path:
        """Return the folder of the set.

        Parameters
        ----------
        name : str
            Name of the folder under ``data``.
        otherwise : str
            What to do if the folder is missing, for the message.

        Returns
        -------
        Path

        Raises
        ------
        TruewardError
            If there is no such folder.

        """
        if self.path is not None:
            folder = self.path
        elif self.data is not None:
            folder = self.data / name
        else:
            raise TruewardError(f"the set {name} needs a folder and none was given: {otherwise}")
        if not folder.is_dir():
            raise TruewardError(
                f"the folder {folder} of the set {name} does not exist: {otherwise}"
            )
        return folder


def parquet(location: Location, name: str, file: str = "data.parquet") -> pl.DataFrame:
    """Read a Parquet file of a set.

    Parameters
    ----------
    location : Location
        Location of the set.
    name : str
        Name of the set's folder.
    file : str
        Name of the file.

    Returns
    -------
    polars.DataFrame

    """
    folder = location.folder(name, "give --data FOLDER, the folder that contains it")
    return read_file(folder / file)


def read_file(path: Path, columns: list[str] | None = None) -> pl.DataFrame:
    """Read Parquet, JSONL or JSONL.gz.

    Parameters
    ----------
    path : Path
        The file.
    columns : list of str, optional
        Columns to return. None: all.

    Returns
    -------
    polars.DataFrame

    Raises
    ------
    TruewardError
        If the file cannot be read or has no such column.

    """
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
            f"{path} cannot be read as a table ({reason}): download it again"
        ) from e
    missing = [c for c in columns or () if c not in frame.columns]
    if missing:
        raise TruewardError(
            f"{path} should have the column {missing[0]}; its columns are "
            f"{', '.join(frame.columns)}: check that it is this set and this version"
        )
    return frame.select(columns) if columns else frame
