"""The arms of a lottery of asks: which responses were asked, which were not, and what each stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from .feedback import Feedback

OUT = (
    -1
)  # the arm of responses that were not in the lottery, or whose question was never on the screen


def arms(data: Feedback) -> tuple[Tensor, Tensor]:
    """Return the arm of every row, and how much it counts so that the arms have the same responses.

    A row counts weight pbar / p_ask where it was asked and weight (1 - pbar) / (1 - p_ask) where not, with
    pbar the mean of ``p_ask`` in the lottery: its weight alone where p_ask never changed. The asked whose
    question is known to have been missed are in no arm.

    Parameters
    ----------
    data : Feedback
        Rows of a log.

    Returns
    -------
    arm : Tensor, shape (n,)
        int64: 0 not asked, t asked at the level t, -1 in no arm.
    weight : Tensor, shape (n,)
        float64.

    Examples
    --------
    >>> from trueward.data.feedback import Columns, Feedback
    >>> asks = Columns(asked=torch.tensor([1.0, 0.0, 0.0]), p_ask=torch.tensor([0.5, 0.5, 0.0]))
    >>> arms(Feedback(torch.zeros(3, 1), torch.zeros(3), asks=asks))[0].tolist()
    [1, 0, -1]

    """
    weight = data.row_weight.cpu()
    if not data.asks:
        return torch.full((len(data),), OUT), weight
    columns = {k: v.double().cpu() for k, v in data.asks.items()}
    asked, chance = columns["asked"], columns["p_ask"].nan_to_num(0.0)
    level = columns.get("ask_level", torch.ones_like(asked)).nan_to_num(1.0).clamp(min=1)
    inside = (chance > 0) & ~asked.isnan()
    missed = (asked == 1) & (columns.get("seen", torch.ones_like(asked)).nan_to_num(1.0) == 0)
    arm = torch.where(asked == 1, level, torch.zeros_like(level)).long()
    arm[~inside | missed] = OUT
    mean = float((weight * chance)[inside].sum() / weight[inside].sum()) if inside.any() else 0.0
    inverse = torch.where(asked == 1, mean / chance, (1 - mean) / (1 - chance))
    return arm, torch.where((arm >= 0) & inverse.isfinite(), weight * inverse, weight)
