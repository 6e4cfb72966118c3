"""The rated table of a simulation: validated, one row a response, split by prompt."""

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
    """Distinct responses with their true quality.

    Attributes
    ----------
    frame : polars.DataFrame, n rows
        Columns prompt, response, prompt_id, rating.
    group : array of int, shape (n,)
        Number of the prompt. Rows that share a prompt or a prompt_id share the number.
    label : array of float, shape (n,)
        r* = 1[rating > threshold].
    threshold : float
        The threshold of the label.
    levels : int
        Number of distinct ratings in the table.
    merged : int
        Number of rows that repeat a prompt and response; their ratings are averaged.
    features : array of float, shape (n, d), or None
        As given by the caller.

    """

    frame: pl.DataFrame
    group: NDArray[np.int64]
    label: NDArray[np.float64]
    threshold: float
    levels: int
    merged: int
    features: NDArray[np.float64] | None

    def split(self, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Split the rows by prompt.

        Parameters
        ----------
        share : float
            Share of the prompts in the test, in (0, 1).
        seed : int
            Seed of the random streams.

        Returns
        -------
        log, test : array of int
            Row numbers.

        Raises
        ------
        UsageError
            If the share is out of range.
        TruewardError
            If there are fewer than two prompts.

        """
        if not 0 < share < 1:
            raise UsageError(f"test_share must lie between 0 and 1, found {share}")
        count = int(self.group.max()) + 1
        if count < 2:
            raise TruewardError(
                f"a simulation needs at least 2 prompts, one for the log and one for the test, found "
                f"{count}; add rated answers to other prompts"
            )
        held = min(count - 1, max(1, round(share * count)))
        place = numpy_stream(seed, "split").permutation(count)[self.group]
        return np.flatnonzero(place >= held), np.flatnonzero(place < held)


def read_rated(
    rated: pl.DataFrame, threshold: float | None, features: NDArray[Any] | None
) -> RatedTable:
    """Validate a rated table and average the ratings of repeated rows.

    Parameters
    ----------
    rated : polars.DataFrame
        Columns prompt, response, rating or label, optionally prompt_id.
    threshold : float or None
        r* = rating > threshold. None: the median of the distinct ratings.
    features : array of float, shape (n, d), or None
        One row for each row of ``rated``.

    Returns
    -------
    RatedTable

    Raises
    ------
    TruewardError
        If a column is missing or has the wrong type, a value is invalid (the message gives row and
        column), or all responses are of one class.

    """
    frame = _columns(rated)
    x = _features(features, len(frame))
    listed = np.unique(frame["rating"].to_numpy())
    if len(listed) < 2:
        raise TruewardError(
            f"all {len(frame)} rows have the rating {listed[0]:g}; a simulation needs good and bad "
            "responses: add rows with other ratings"
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
    """Return the columns prompt, response, prompt_id and rating, validated."""
    quality = "rating" if "rating" in rated.columns else "label"
    for name in ("prompt", "response", quality):
        if name not in rated.columns:
            missing = "rating (or label)" if name == "label" else name
            raise TruewardError(
                f"a rated table needs the columns prompt, response and rating or label, and has no "
                f"{missing}; its columns are {', '.join(rated.columns) or 'none'}: rename them"
            )
    if len(rated) == 0:
        raise TruewardError("the rated table has no rows; give one row for every rated response")
    for name in ("prompt", "response"):
        if rated.schema[name] != pl.String:
            raise TruewardError(
                f"the column {name} must hold text, found {rated.schema[name]}; convert it to text"
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
            f"the column {column.name} must hold numbers, found {kind}; convert it to numbers"
        )
    values = column.cast(pl.Float64)
    _refuse_row(values.is_null() | ~values.is_finite(), column.name, "a finite number", values)
    if column.name == "label":
        _refuse_row((values < 0) | (values > 1), "label", "a number from 0 to 1", values)
    return values


def _refuse_row(wrong: pl.Series, column: str, expected: str, values: pl.Series | str) -> None:
    wrong = wrong.fill_null(value=True)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        value = values if isinstance(values, str) else values[row]
        raise TruewardError(
            f"row {row + 1}, column {column}: expected {expected}, found {value}; correct or drop the "
            f"row ({int(wrong.sum())} such rows)"
        )


def _features(features: NDArray[Any] | None, n: int) -> NDArray[np.float64] | None:
    if features is None:
        return None
    x = np.asarray(features, dtype=np.float64)
    if x.ndim != 2 or len(x) != n:
        raise TruewardError(
            f"features must be a table with one row for each of the {n} rated rows, found the shape "
            f"{x.shape}"
        )
    bad = ~np.isfinite(x).all(axis=1)
    if bad.any():
        raise TruewardError(
            f"row {int(bad.argmax()) + 1} of the features has a value that is not a finite "
            "number; correct or drop the row"
        )
    return x


def prompt_groups(prompt: pl.Series, prompt_id: pl.Series) -> NDArray[np.int64]:
    """Return the number of each row's prompt.

    Rows are of one prompt if they share the text or the id, directly or through other rows. Rows
    with an empty text share a prompt only through the id.

    Parameters
    ----------
    prompt, prompt_id : polars.Series, length n
        Text and id of each row's prompt.

    Returns
    -------
    array of int, shape (n,)
        Numbers from 0.

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
