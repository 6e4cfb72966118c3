"""Checks of a log against the requirements of a method, before anything is fitted."""

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


def check_splits(
    method: Method, train: Feedback | Labelled, val: Feedback | Labelled, cfg: Train
) -> tuple[Feedback, Feedback]:
    """Move training and validation rows to the device, and check them against the method.

    Parameters
    ----------
    method : Method
        The method to fit.
    train, val : Feedback or Labelled
        Training and validation rows.
    cfg : Train
        Settings; they choose the device.

    Raises
    ------
    TruewardError
        If the rows do not support the method, or the splits have different columns.

    """
    device = cfg.torch_device()
    train, val = (_feedback(method, d).to(device) for d in (train, val))
    require_capabilities(method, train, val)
    if train.x.shape[1:] != val.x.shape[1:] or train.columns() != val.columns():
        raise TruewardError(
            f"training and validation rows must have the same columns; they have {train.x.shape[1]} "
            f"features with {sorted(train.columns())}, and {val.x.shape[1]} features with "
            f"{sorted(val.columns())}: encode both from one log, or in the same way"
        )
    return train, val


def require_capabilities(method: Method, train: Feedback, val: Feedback) -> None:
    """Refuse a method that the log cannot support.

    Parameters
    ----------
    method : Method
        The method to fit.
    train, val : Feedback
        Training and validation rows.

    Raises
    ------
    TruewardError
        If the rows lack a column or enough feedback.

    """
    facts = LogCapabilities.from_feedback(train)
    require(method, facts, "the training rows", fewest=1)
    require_context(method, train)
    # a method that trains on gold labels needs them among the training rows only
    held = dataclasses.replace(LogCapabilities.from_feedback(val), gold=facts.gold)
    require(method, held, "the validation rows", fewest=0)


def _feedback(method: Method, data: Feedback | Labelled) -> Feedback:
    if not method.takes_truth:
        if isinstance(data, Labelled):
            raise TruewardError(
                f"{method.name} learns from feedback, and got clean labels (Labelled); pass the "
                "log's Feedback"
            )
        return dataclasses.replace(data, y=data.y.float())
    if isinstance(data, Feedback) or data.r is None:
        raise TruewardError(
            f"{method.name} is a benchmark's ceiling, fitted on clean labels (Labelled with r), and a "
            "log has none: choose another method"
        )
    return Feedback(
        data.x,
        data.r.float(),
        torch.ones_like(data.r).float(),
        group=data.group,
        backbone=data.backbone,
    )


def require_finite(data: Feedback, digest: Tensor, split: str) -> None:
    """Refuse values that are not finite, and weights that are not above 0.

    Parameters
    ----------
    data : Feedback
        The rows.
    digest : Tensor
        (n,) `trueward.data.row_order.row_digests` of the features.
    split : str
        Name of the split in the message.

    Raises
    ------
    TruewardError
        With the row and the value.

    """
    suspect = None if digest.isfinite().all() else data.x
    columns = {"features": suspect, "y": data.y, "o": data.o, "z": data.z, "weight": data.weight}
    columns |= data.eta
    for name, column in columns.items():
        if column is None or column.isfinite().all():
            continue
        row = next(k for k, v in enumerate(column) if not v.isfinite().all())
        values = column[row].reshape(-1)
        at = int((~values.isfinite()).nonzero()[0])
        raise TruewardError(
            f"{name} must be finite numbers, and {split} row {row + 1} has {float(values[at])} in "
            f"column {at + 1}: drop or repair that row"
        )
    if data.weight is not None and not (data.weight > 0).all():
        row = int((data.weight <= 0).nonzero()[0])
        raise TruewardError(
            f"weights must be above 0, and {split} row {row + 1} has {float(data.weight[row]):g}: drop it"
        )
