"""The rated table a world is made from: checked, one row a response, split by prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from trueward.core.errors import TruewardError, UsageError
from trueward.core.random import numpy_stream
from trueward.data.digests import prompt_ids

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class RatedTable:
    """Distinct responses with their quality."""

    frame: pl.DataFrame  # prompt, response, prompt_id, rating
    group: NDArray[np.int64]  # (n,) rows that share a prompt or a prompt_id have one number
    label: NDArray[np.float64]  # (n,) r* = 1[rating > threshold]
    threshold: float
    levels: int  # distinct ratings that were listed
    merged: int  # rows that repeated a prompt and response and went into their average
    features: NDArray[np.float64] | None  # (n, d) as given by the caller

    def split(self, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give row numbers (log, test) with ``share`` of the prompts, whole ones, in test."""
        if not 0 < share < 1:
            raise UsageError(f"test_share must lie between 0 and 1 and is {share}")
        count = int(self.group.max()) + 1
        if count < 2:
            raise TruewardError(
                f"a world needs at least 2 prompts, one to log and one to test, and found {count}; "
                "add rated answers to other prompts"
            )
        held = min(count - 1, max(1, round(share * count)))
        place = numpy_stream(seed, "split").permutation(count)[self.group]
        return np.flatnonzero(place >= held), np.flatnonzero(place < held)


def read_rated(
    rated: pl.DataFrame, threshold: float | None, features: NDArray[Any] | None
) -> RatedTable:
    """Check ``rated`` and average the ratings of repeated rows; errors name the row and column."""
    frame = _columns(rated)
    x = _features(features, len(frame))
    listed = np.unique(frame["rating"].to_numpy())
    if len(listed) < 2:
        raise TruewardError(
            f"all {len(frame)} rows have the rating {listed[0]:g}; a world needs good and bad "
            "responses, so add rows with other ratings"
        )
    cut = float(np.median(listed)) if threshold is None else float(threshold)
    merged = (
        frame.with_row_index("row")
        .group_by("prompt", "response", maintain_order=True)
        .agg(pl.col("prompt_id").first(), pl.col("rating").mean(), pl.col("row").first())
    )
    label = (merged["rating"] > cut).cast(pl.Float64).to_numpy()
    if label.min() == label.max():
        raise TruewardError(
            f"with threshold {cut:g} every response is {'good' if label[0] else 'bad'} (ratings "
            f"run from {listed.min():g} to {listed.max():g}); choose a threshold between them"
        )
    return RatedTable(
        frame=merged.drop("row"),
        group=prompt_groups(merged["prompt"], merged["prompt_id"]),
        label=label,
        threshold=cut,
        levels=len(listed),
        merged=len(frame) - len(merged),
        features=None if x is None else x[merged["row"].to_numpy()],
    )


def _columns(rated: pl.DataFrame) -> pl.DataFrame:
    """Take prompt, response, prompt_id and rating, of the right types."""
    quality = "rating" if "rating" in rated.columns else "label"
    for name in ("prompt", "response", quality):
        if name not in rated.columns:
            wanted = "rating (or label)" if name == "label" else name
            raise TruewardError(
                f"a rated table needs the columns prompt, response and rating or label, and has no "
                f"{wanted}; it has {', '.join(rated.columns) or 'no columns'}: rename them"
            )
    if len(rated) == 0:
        raise TruewardError("the rated table has no rows; give one row for every rated response")
    for name in ("prompt", "response"):
        if rated.schema[name] != pl.String:
            raise TruewardError(
                f"the column {name} must hold text, and holds {rated.schema[name]}; turn it to text"
            )
        _refuse_row(rated[name].is_null(), name, "text", "nothing")
    if "prompt_id" in rated.columns:
        ids = rated["prompt_id"].cast(pl.String)
        _refuse_row(ids.is_null(), "prompt_id", "an id", "nothing")
    else:
        ids = prompt_ids(rated["prompt"])
    return rated.select("prompt", "response").with_columns(
        ids.alias("prompt_id"), _quality(rated[quality]).alias("rating")
    )


def _quality(column: pl.Series) -> pl.Series:
    kind = column.dtype
    if not (kind.is_numeric() or kind == pl.Boolean):
        raise TruewardError(
            f"the column {column.name} must hold numbers, and holds {kind}; convert it to numbers"
        )
    values = column.cast(pl.Float64)
    _refuse_row(values.is_null() | ~values.is_finite(), column.name, "a finite number", values)
    if column.name == "label":
        _refuse_row((values < 0) | (values > 1), "label", "a number from 0 to 1", values)
    return values


def _refuse_row(wrong: pl.Series, column: str, wanted: str, found: pl.Series | str) -> None:
    wrong = wrong.fill_null(value=True)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        what = found if isinstance(found, str) else found[row]
        raise TruewardError(
            f"row {row + 1}, column {column}: wanted {wanted} and found {what}; "
            f"correct or drop it ({int(wrong.sum())} such rows)"
        )


def _features(features: NDArray[Any] | None, n: int) -> NDArray[np.float64] | None:
    if features is None:
        return None
    x = np.asarray(features, dtype=np.float64)
    if x.ndim != 2 or len(x) != n:
        raise TruewardError(
            f"features must be a table of one row for each of the {n} rated rows, and has the "
            f"shape {x.shape}"
        )
    bad = ~np.isfinite(x).all(axis=1)
    if bad.any():
        raise TruewardError(
            f"row {int(bad.argmax()) + 1} of the features holds a value that is not a finite "
            "number; repair or drop the row"
        )
    return x


def prompt_groups(prompt: pl.Series, prompt_id: pl.Series) -> NDArray[np.int64]:
    """Give rows of one prompt one number; two ids of one text are one prompt, kept together.

    Empty text says nothing of what was asked, so there the id alone counts.
    """
    named = pl.DataFrame({"text": prompt, "id": prompt_id}).select(
        pl.when(pl.col("text").str.strip_chars() == "")
        .then(pl.lit("\x00") + pl.col("id").cast(pl.String))
        .otherwise("text")
    )
    text = named.to_series().rank("dense").to_numpy().astype(np.int64) - 1
    ids = prompt_id.rank("dense").to_numpy().astype(np.int64) - 1
    offset = int(text.max()) + 1
    size = offset + int(ids.max()) + 1
    edges = coo_array((np.ones(len(text)), (text, offset + ids)), shape=(size, size))
    parts = connected_components(edges, directed=False)[1][text]
    return np.asarray(np.unique(parts, return_inverse=True)[1], dtype=np.int64)
