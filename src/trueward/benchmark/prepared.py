"""A set made ready once: its rows, and features in half precision that every process maps.

The folder is named after what it was made from, so it is shared by all benchmarks and never stale.
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

from .sets import read_set
from .tables import Answers, Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from .entries import SetEntry

FORMAT = 1
DIRECTIONS = 64  # of the features, that mechanisms may select on


@dataclass(frozen=True)
class Prepared:
    """A set on disk: rows.parquet, x.npy (n, d) float16, directions.npy (n, <= 64) float32."""

    folder: Path
    digest: str  # of everything the set was made from

    @cached_property
    def rows(self) -> pl.DataFrame:
        """group, rating (null where unknown), and feedback where the set is a log."""
        return pl.read_parquet(self.folder / "rows.parquet")

    @cached_property
    def about(self) -> dict[str, str | float | None]:
        """Give the threshold, and the backbone's spec."""
        return dict(json.loads((self.folder / "about.json").read_text("utf-8")))

    @cached_property
    def directions(self) -> NDArray[np.float64]:
        """Random directions of the standardised features: a mechanism on them depends on x only."""
        return np.asarray(np.load(self.folder / "directions.npy"), dtype=np.float64)

    @property
    def size(self) -> int:
        """Bytes of the features."""
        return (self.folder / "x.npy").stat().st_size

    @cached_property
    def _mapped(self) -> NDArray[np.float16]:
        return np.asarray(np.load(self.folder / "x.npy", mmap_mode="r"))

    def features(self, rows: NDArray[np.int64]) -> Tensor:
        """(len(rows), d) features, copied off the map."""
        return torch.from_numpy(self._mapped[rows])


@lru_cache(maxsize=4)
def opened(folder: str, digest: str) -> Prepared:
    """Give a set whose rows and map are kept by this process."""
    return Prepared(Path(folder), digest)


def prepare(
    entry: SetEntry, backbone_name: str, data: Path | None, say: Callable[[str], None]
) -> Prepared:
    """Read a set and compute its features, unless that was done before."""
    place = Place(
        None if entry.path is None else Path(entry.path).expanduser(),
        data,
        entry.rows,
        entry.positive,
    )
    answers = read_set(entry.name, place)
    threshold = answers.threshold if entry.threshold is None else entry.threshold
    model = None if answers.features is not None else backbone(backbone_name)
    spec = json.dumps({"name": entry.name}) if model is None else model.spec()
    digest = _digest(answers, threshold, spec)
    folder = default_cache_folder().with_name("sets") / digest[:32]
    if (folder / "about.json").is_file():
        return opened(str(folder), digest)
    frame, kept, cut = _table(answers, threshold, logged=entry.logged)
    say(f"features of {entry.label}: {len(frame)} responses")
    if model is None:
        assert answers.features is not None
        x = answers.features[kept].astype(np.float16)
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
    digest = hashlib.sha256(f"{FORMAT} {threshold} {spec} ".encode())
    digest.update(fingerprint(answers.frame).encode())
    if answers.features is not None:
        digest.update(np.ascontiguousarray(answers.features).data)
    return digest.hexdigest()


def _table(
    answers: Answers, threshold: float | None, *, logged: bool
) -> tuple[pl.DataFrame, NDArray[np.int64], float | None]:
    """Rows with group and rating, the row of the set each one is, and what good is above."""
    frame = answers.frame
    if logged:
        if not frame["rating"].count() or not frame["feedback"].count():
            raise TruewardError("the set has no feedback or no truth; check its files")
        ids = frame["prompt_id" if "prompt_id" in frame.columns else "prompt"]
        group = pl.Series("group", prompt_groups(frame["prompt"], ids))
        kept = frame.select("prompt", "response", "rating", "feedback").with_columns(group)
        return kept, np.arange(len(frame)), threshold
    place = np.arange(len(frame), dtype=np.float64)[:, None]
    table = read_rated(frame, threshold, place)
    assert table.features is not None
    made = table.frame.select("prompt", "response", "rating")
    rows = table.features[:, 0].astype(np.int64)
    return made.with_columns(pl.Series("group", table.group)), rows, table.threshold


def _directions(x: NDArray[np.float16]) -> NDArray[np.float32]:
    """Standardised x, itself where it is narrow, else on 64 random directions, in blocks."""
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
