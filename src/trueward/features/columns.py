"""Convert the columns of a log or a test into the tensors beside the features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import torch

from trueward.data.capabilities import CATEGORIES
from trueward.data.feedback import Columns, Feedback, Labelled
from trueward.data.lottery_columns import DRAWN, is_lottery
from trueward.data.pair_tensors import pair_tensors

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.log import Log
    from trueward.data.truth import Test


def to_feedback(log: Log, x: Tensor, backbone: str | None) -> Feedback:
    """Combine the features with the columns of a log.

    Parameters
    ----------
    log : Log
        Log of n rows.
    x : Tensor, (n, d)
        Features of the rows, in the order of the log.
    backbone : str or None
        JSON description of the backbone that computed ``x``; None if no text can be encoded again.

    Returns
    -------
    Feedback
        ``o`` is None unless the log is observational or has comparisons alone; missing weights are 1.

    """
    frame, names = log.frame, log.columns
    observed = frame["feedback"].is_not_null()
    known = {"propensity": _floats(frame["propensity"])} if "propensity" in names else {}
    return Feedback(
        x=x,
        y=_floats(frame["feedback"].fill_null(0)),
        o=_floats(observed) if log.regime in ("observational", "pairs") else None,
        z=encode_context(frame),
        channels=Columns({name.partition(".")[2]: _floats(frame[name]) for name in log.channels}),
        gold=_floats(frame["gold"]) if "gold" in names else None,
        group=group_codes(frame["prompt_id"]),
        user=group_codes(frame["user_id"]) if "user_id" in names else None,
        weight=_floats(frame["weight"].fill_null(1)) if "weight" in names else None,
        gold_weight=_floats(frame["gold_weight"]) if {"gold", "gold_weight"} <= names else None,
        eta=Columns(known),
        backbone=backbone,
        export_scope=log.export_scope,
        asks=Columns(
            {k: _floats(frame[k]) for k in DRAWN if k in names} if is_lottery(frame) else {}
        ),
        pairs=None if log.pairs is None else pair_tensors(log.pairs, frame),
    )


def to_labelled(test: Test, x: Tensor, backbone: str | None) -> Labelled:
    """Combine the features with the labels and ratings of a test.

    Parameters
    ----------
    test : Test
        Test of n rows.
    x : Tensor, (n, d)
        Features of the rows, in the order of the test.
    backbone : str or None
        JSON description of the backbone that computed ``x``.

    """
    frame, names = test.frame, test.columns
    return Labelled(
        x=x,
        r=_floats(frame["label"]) if "label" in names else None,
        rating=_floats(frame["rating"]) if "rating" in names else None,
        group=group_codes(frame["prompt_id"]),
        backbone=backbone,
        user=group_codes(frame["user_id"]) if "user_id" in names else None,
        weight=_floats(frame["weight"].fill_null(1)) if "weight" in names else None,
    )


def group_codes(ids: pl.Series) -> Tensor:
    """Number the distinct ids from 0 in alphabetical order; each null gets its own negative number.

    Parameters
    ----------
    ids : polars.Series of String, length n
        Ids of prompts or users.

    Returns
    -------
    Tensor of int64, (n,)

    Examples
    --------
    >>> group_codes(pl.Series(["b", "a", "b", None]))
    tensor([ 1,  0,  1, -1])

    """
    distinct = ids.drop_nulls().unique().sort()
    number = pl.Series(range(len(distinct)), dtype=pl.Int64)
    codes = ids.replace_strict(distinct, number, default=None, return_dtype=pl.Int64)
    null_codes = -ids.is_null().cast(pl.Int64).cum_sum()
    return codes.fill_null(null_codes).to_torch()


def encode_context(frame: pl.DataFrame) -> Tensor | None:
    """Encode the ``context.*`` columns as numbers.

    Parameters
    ----------
    frame : polars.DataFrame, n rows
        Rows of a log.

    Returns
    -------
    Tensor of float32, (n, c), or None
        Numeric columns are standardised, with 0 and an indicator for missing values. Other columns are
        one-hot: the 50 most frequent categories, one column for rarer ones, one for missing values.
        None if there is no context column.

    """
    columns: list[Tensor] = []
    for name in frame.columns:
        if name.startswith("context."):
            values = frame[name]
            columns += _standardised(values) if values.dtype.is_numeric() else _one_hot(values)
    return torch.stack(columns, dim=1) if columns else None


def _standardised(values: pl.Series) -> list[Tensor]:
    """Standardise the numbers; missing values become 0 and are marked in a second column."""
    v = _floats(values, torch.float64)
    present = v.isfinite()
    if not present.any():
        return []
    known = v[present].sort().values  # sums do not depend on the order of the rows
    sd = known.std(correction=0)
    u = (v - known.mean()) / (sd if sd > 0 else 1.0)
    scaled = torch.where(present, u, 0.0).float()
    return [scaled] if present.all() else [scaled, (~present).float()]


def _one_hot(values: pl.Series) -> list[Tensor]:
    """Return one column per frequent category, one for the rarer ones, one for missing values."""
    names = values.cast(pl.String)
    count = names.drop_nulls().value_counts(sort=False)
    count = count.sort("count", names.name, descending=[True, False])
    frequent = count[names.name].head(CATEGORIES).to_list()
    columns = [names == name for name in frequent]
    if len(count) > CATEGORIES:
        columns.append(names.is_not_null() & ~names.is_in(frequent))
    if names.null_count():
        columns.append(names.is_null())
    return [_floats(column.fill_null(value=False)) for column in columns]


def _floats(values: pl.Series, dtype: torch.dtype = torch.float32) -> Tensor:
    """Convert to floating-point numbers; null becomes NaN."""
    array = values.cast(pl.Float64).fill_null(float("nan")).to_numpy(writable=True)
    return torch.from_numpy(array).to(dtype)
