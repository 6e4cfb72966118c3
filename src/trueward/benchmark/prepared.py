"""Prepared sets: rows and float16 features on disk, memory-mapped by every process.

The name of the folder is the digest of its inputs, so all benchmarks share it and it is never stale.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch

from trueward.core.atomic_io import replacing
from trueward.core.errors import TruewardError
from trueward.core.random import numpy_stream
from trueward.data.digests import fingerprint
from trueward.features import backbone
from trueward.features.cache import default_cache_folder
from trueward.features.encoding import features
from trueward.simulation.rated import prompt_groups, read_rated

from .answers import Answers, Location
from .sets import read_set

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from .entries import SetEntry

FORMAT = 1
#: Number of random directions of the features that mechanisms depend on.
DIRECTIONS = 64


@dataclass(frozen=True)
class Prepared:
    """A set on disk: rows.parquet, x.npy (n, d) float16, directions.npy (n, <= 64) float32.

    Attributes
    ----------
    folder : Path
        The folder.
    digest : str
        Digest of the rows, the features and the threshold.

    """

    folder: Path
    digest: str

    @cached_property
    def rows(self) -> pl.DataFrame:
        """Columns group, rating (null where unknown); where the set has them weight, part, feedback."""
        return pl.read_parquet(self.folder / "rows.parquet")

    @cached_property
    def about(self) -> dict[str, str | float | None]:
        """The threshold, and the specification of the backbone."""
        return dict(json.loads((self.folder / "about.json").read_text("utf-8")))

    @cached_property
    def directions(self) -> NDArray[np.float64]:
        """Random projections of the standardised features; mechanisms depend on x through them."""
        return np.asarray(np.load(self.folder / "directions.npy"), dtype=np.float64)

    @property
    def size(self) -> int:
        """Size of the features in bytes."""
        return (self.folder / "x.npy").stat().st_size

    @cached_property
    def _mapped(self) -> NDArray[np.float16]:
        return np.asarray(np.load(self.folder / "x.npy", mmap_mode="r"))

    def features(self, rows: NDArray[np.int64]) -> Tensor:
        """Return a copy of the features of some rows.

        Parameters
        ----------
        rows : array of int, shape (n,)
            Row numbers.

        Returns
        -------
        Tensor, shape (n, d)

        """
        return torch.from_numpy(self._mapped[rows])


@lru_cache(maxsize=4)
def opened(folder: str, digest: str) -> Prepared:
    """Return a prepared set, cached in this process.

    Parameters
    ----------
    folder : str
        Folder of the set.
    digest : str
        Digest of the set.

    Returns
    -------
    Prepared

    """
    return Prepared(Path(folder), digest)


def prepare(
    entry: SetEntry, backbone_name: str, data: Path | None, progress: Callable[[str], None]
) -> Prepared:
    """Read a set and compute its features, unless they are on disk.

    Parameters
    ----------
    entry : SetEntry
        The set.
    backbone_name : str
        Backbone of the features of text.
    data : Path or None
        Folder of all sets.
    progress : callable
        Receives a line of text before the features are computed.

    Returns
    -------
    Prepared

    """
    location = Location(
        None if entry.path is None else Path(entry.path).expanduser(),
        data,
        entry.rows,
        entry.positive,
    )
    answers = read_set(entry.name, location)
    threshold = answers.threshold if entry.threshold is None else entry.threshold
    model = None if answers.features is not None else backbone(backbone_name)
    spec = json.dumps({"name": entry.name}) if model is None else model.spec()
    digest = _digest(answers, threshold, spec)
    folder = default_cache_folder().with_name("sets") / digest[:32]
    if (folder / "about.json").is_file():
        return opened(str(folder), digest)
    frame, selected, cut = _table(answers, threshold, logged=entry.logged)
    progress(f"features of {entry.label}: {len(frame)} responses")
    if model is None:
        assert answers.features is not None
        x = answers.features[selected].astype(np.float16)
    else:
        prompts, responses = frame["prompt"].to_list(), frame["response"].to_list()
        x = features(model, prompts, responses, None, progress=True).numpy()
    with replacing(folder) as path:
        path.mkdir()
        frame.drop("prompt", "response").write_parquet(path / "rows.parquet")
        np.save(path / "x.npy", x)
        np.save(path / "directions.npy", _directions(x))
        about = {"threshold": cut, "backbone": spec}
        (path / "about.json").write_text(json.dumps(about), encoding="utf-8")
    return opened(str(folder), digest)


def _digest(answers: Answers, threshold: float | None, spec: str) -> str:
    weighted = "weight " if "weight" in answers.frame.columns else ""
    digest = hashlib.sha256(f"{FORMAT} {threshold} {spec} {weighted}".encode())
    digest.update(fingerprint(answers.frame).encode())
    if answers.features is not None:
        digest.update(np.ascontiguousarray(answers.features).data)
    return digest.hexdigest()


def _table(
    answers: Answers, threshold: float | None, *, logged: bool
) -> tuple[pl.DataFrame, NDArray[np.int64], float | None]:
    """Return the rows with group and rating, their row numbers in the set, and the threshold."""
    frame = answers.frame
    if logged:
        if not frame["rating"].count() or not frame["feedback"].count():
            raise TruewardError("the set has no feedback or no rating; check its files")
        ids = frame["prompt_id" if "prompt_id" in frame.columns else "prompt"]
        group = pl.Series("group", prompt_groups(frame["prompt"], ids))
        log = frame.select("prompt", "response", "rating", "feedback", *_kept(frame))
        log = log.with_columns(group)
        return log, np.arange(len(frame)), threshold
    number = np.arange(len(frame), dtype=np.float64)[:, None]
    table = read_rated(frame, threshold, number)
    assert table.features is not None
    rated = table.frame.select("prompt", "response", "rating")
    rows = table.features[:, 0].astype(np.int64)
    columns = [pl.Series("group", table.group), *_kept(frame[rows.tolist()])]
    return rated.with_columns(columns), rows, table.threshold


def _kept(frame: pl.DataFrame, names: tuple[str, ...] = ("weight", "part")) -> list[pl.Series]:
    """Return those of some columns that the set has."""
    return [frame[name] for name in names if name in frame.columns]


def _directions(x: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return the standardised x, projected on 64 random directions if it has more columns."""
    n, d = x.shape
    mean, square = np.zeros(d), np.zeros(d)
    blocks = [slice(i, i + 8192) for i in range(0, n, 8192)]
    for b in blocks:
        part = x[b].astype(np.float64)
        mean += part.sum(0) / n
        square += (part**2).sum(0) / n
    scale = np.sqrt(np.maximum(square - mean**2, 0.0))
    scale = np.where(scale > 1e-6, scale, np.inf)
    if d <= DIRECTIONS:
        mixing = np.eye(d)
    else:
        mixing = numpy_stream(0, "directions").standard_normal((d, DIRECTIONS)) / np.sqrt(d)
    parts = [((x[b].astype(np.float64) - mean) / scale) @ mixing for b in blocks]
    return np.concatenate(parts).astype(np.float32)
