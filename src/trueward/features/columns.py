"""The columns of a table, as the tensors that stand beside the features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import torch

from trueward.data.capabilities import CATEGORIES
from trueward.data.feedback import Columns, Feedback, Labelled

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.log import Log, Test


def feedback_of(log: Log, x: Tensor, backbone: str | None) -> Feedback:
    """Join the features with what the log says of each row."""
    frame, have = log.frame, log.columns
    given = frame["feedback"].is_not_null()
    logged = Columns({"propensity": _floats(frame["propensity"])} if "propensity" in have else {})
    return Feedback(
        x=x,
        y=_floats(frame["feedback"].fill_null(0)),
        o=_floats(given) if log.regime == "observational" else None,
        z=context(frame),
        channels=Columns({name.partition(".")[2]: _floats(frame[name]) for name in log.channels}),
        gold=_floats(frame["gold"]) if "gold" in have else None,
        group=codes(frame["prompt_id"]),
        user=codes(frame["user_id"]) if "user_id" in have else None,
        weight=_floats(frame["weight"].fill_null(1)) if "weight" in have else None,
        eta=logged,
        backbone=backbone,
        export_scope=log.export_scope,
    )


def labelled_of(test: Test, x: Tensor, backbone: str | None) -> Labelled:
    """Join the features with the truth of each row."""
    frame, have = test.frame, test.columns
    return Labelled(
        x=x,
        r=_floats(frame["label"]) if "label" in have else None,
        rating=_floats(frame["rating"]) if "rating" in have else None,
        group=codes(frame["prompt_id"]),
        backbone=backbone,
    )


def codes(names: pl.Series) -> Tensor:
    """Number the names in the order of their first row; each null is alone, with a number below 0.

    >>> codes(pl.Series(["b", "a", "b", None]))
    tensor([ 0,  1,  0, -1])
    """
    known = names.drop_nulls().unique(maintain_order=True)
    number = pl.Series(range(len(known)), dtype=pl.Int64)
    found = names.replace_strict(known, number, default=None, return_dtype=pl.Int64)
    alone = -names.is_null().cast(pl.Int64).cum_sum()
    return found.fill_null(alone).to_torch()


def context(frame: pl.DataFrame) -> Tensor | None:
    """Give z, (n, c): numbers standardised, categories one-hot, and where a value is missing."""
    columns: list[Tensor] = []
    for name in frame.columns:
        if name.startswith("context."):
            values = frame[name]
            columns += _number(values) if values.dtype.is_numeric() else _category(values)
    return torch.stack(columns, dim=1) if columns else None


def _number(values: pl.Series) -> list[Tensor]:
    """Standardise; a missing value is at the mean and has a column that says so."""
    v = _floats(values, torch.float64)
    here = v.isfinite()
    if not here.any():
        return []
    spread = v[here].std(correction=0)
    u = (v - v[here].mean()) / (spread if spread > 0 else 1.0)
    scaled = torch.where(here, u, 0.0).float()
    return [scaled] if here.all() else [scaled, (~here).float()]


def _category(values: pl.Series) -> list[Tensor]:
    """One column a category, most frequent first, one for the rare ones, one for the missing."""
    names = values.cast(pl.String)
    count = names.drop_nulls().value_counts(sort=False)
    count = count.sort("count", names.name, descending=[True, False])
    kept = count[names.name].head(CATEGORIES).to_list()
    columns = [names == name for name in kept]
    if len(count) > CATEGORIES:
        columns.append(names.is_not_null() & ~names.is_in(kept))
    if names.null_count():
        columns.append(names.is_null())
    return [_floats(column.fill_null(value=False)) for column in columns]


def _floats(values: pl.Series, dtype: torch.dtype = torch.float32) -> Tensor:
    """Give numbers; null is NaN."""
    array = values.cast(pl.Float64).fill_null(float("nan")).to_numpy(writable=True)
    return torch.from_numpy(array).to(dtype)
