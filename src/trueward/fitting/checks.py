"""What a log must be for a method before anything is fitted, or what is wrong with it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from trueward.core.errors import TruewardError
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Feedback, Labelled
from trueward.estimation.requirements import require, require_context

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.estimation.method import Method
    from trueward.training.config import Train


def checked(
    made: Method, train: Feedback | Labelled, val: Feedback | Labelled, cfg: Train
) -> tuple[Feedback, Feedback]:
    """Both parts on the device, or what is wrong with them."""
    here, there = (_feedback(made, d).to(cfg.place()) for d in (train, val))
    required(made, here, there)
    if here.x.shape[1:] != there.x.shape[1:] or here.columns() != there.columns():
        raise TruewardError(
            f"training and validation rows must have the same columns, and have features "
            f"{here.x.shape[1]} and {there.x.shape[1]} wide with {sorted(here.columns())} and "
            f"{sorted(there.columns())}: encode both from one log, or in the same way"
        )
    return here, there


def required(made: Method, here: Feedback, there: Feedback) -> None:
    """Refuse a method that the log cannot support."""
    facts = LogCapabilities.of(here)
    require(made, facts, "the training rows")
    require_context(made, here)
    # what trains on gold labels needs them among the training rows only
    require(
        made, dataclasses.replace(LogCapabilities.of(there), gold=facts.gold), "the validation rows"
    )


def _feedback(method: Method, data: Feedback | Labelled) -> Feedback:
    if not method.takes_truth:
        if isinstance(data, Labelled):
            raise TruewardError(
                f"{method.name} learns from feedback and was given clean labels (Labelled); pass the "
                "log's Feedback"
            )
        return dataclasses.replace(data, y=data.y.float())
    if isinstance(data, Feedback) or data.r is None:
        raise TruewardError(
            f"{method.name} is a benchmark's ceiling and is fitted on clean labels (Labelled with r); "
            "a log has none: choose another method"
        )
    return Feedback(
        data.x,
        data.r.float(),
        torch.ones_like(data.r).float(),
        group=data.group,
        backbone=data.backbone,
    )


def finite(data: Feedback, digest: Tensor, name: str) -> None:
    """Refuse values that are no numbers, and weights that are not above 0, naming the row."""
    suspect = None if digest.isfinite().all() else data.x
    columns = {"features": suspect, "y": data.y, "o": data.o, "z": data.z, "weight": data.weight}
    columns |= data.eta
    for what, column in columns.items():
        if column is None or column.isfinite().all():
            continue
        row = next(k for k, v in enumerate(column) if not v.isfinite().all())
        values = column[row].reshape(-1)
        at = int((~values.isfinite()).nonzero()[0])
        raise TruewardError(
            f"{what} must be finite numbers, and {name} row {row + 1} has {float(values[at])} in "
            f"column {at + 1}: drop or repair that row"
        )
    if data.weight is not None and not (data.weight > 0).all():
        row = int((data.weight <= 0).nonzero()[0])
        raise TruewardError(f"weights must be above 0, and {name} row {row + 1} has none: drop it")
