"""Rows of the regressions on evidence and features: scaling, weights, and how many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Feedback

    from .nuisance_types import Parameters

    Array = NDArray[np.float64]

CHUNK = 4096  # rows predicted at once
CONSTANT = 1e-12  # mean square length of features that do not vary
NO_FEATURES = "the features do not vary, so they are left out"


def scaling(known: Tensor, x: Tensor, k: int) -> Parameters:
    """Return centres and units of k pieces of evidence and of the features.

    Evidence is centred only. Features keep their proportions and get mean square length 1; features that are
    constant are left out: their unit is 0.

    Parameters
    ----------
    known : Tensor, shape (m, k + d)
        Evidence and features of the rows with a label.
    x : Tensor, shape (n, d)
        Features of all rows, which give the centre of the features.
    k : int
        Number of pieces of evidence.

    Returns
    -------
    dict
        ``centre`` and ``unit``, (k + d,) each: a row v becomes (v - centre) * unit.

    """
    centre, unit = known.mean(0), torch.ones_like(known[0])
    centre[k:] = x.double().mean(0)
    mean_square = (known - centre)[:, k:].square().sum(1).mean()
    unit[k:] = mean_square.rsqrt() if mean_square > CONSTANT else 0.0
    return {"centre": centre, "unit": unit}


def design(v: Tensor, parameters: Parameters) -> Tensor:
    """Return (n, 1 + k + d) rows: 1, then evidence and features (n, k + d) centred and scaled.

    Parameters
    ----------
    v : Tensor, shape (n, k + d)
        Evidence and features.
    parameters : dict
        ``centre`` and ``unit``, (k + d,) each.

    Returns
    -------
    Tensor, shape (n, 1 + k + d)
        The rows of the regression.

    """
    return torch.nn.functional.pad(
        (v - parameters["centre"]) * parameters["unit"], (1, 0), value=1.0
    )


def row_weights(parts: list[Feedback]) -> Array:
    """Return how many rows of the population each row stands for, 1 on average.

    Parameters
    ----------
    parts : list of Feedback
        Parts of a log, in the order of the result.

    Returns
    -------
    ndarray, shape (n,)
        Over all parts together.

    """
    return _relative(torch.cat([d.row_weight for d in parts]))


def label_weights(parts: list[Feedback]) -> Array:
    """Return weight x gold_weight of rows that all have a gold label, 1 on average.

    Parameters
    ----------
    parts : list of Feedback
        The gold rows of the parts of a log, in the order of the result.

    Returns
    -------
    ndarray, shape (n,)
        Over all parts together.

    """
    return _relative(torch.cat([d.label_weight for d in parts]))


def _relative(weight: Tensor) -> Array:
    return np.asarray((weight / weight.mean()).cpu().numpy())
