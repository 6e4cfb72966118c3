"""Which rows a loss can learn from, and in what order they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .data import Feedback


def every(data: Feedback) -> Tensor:
    """Row numbers of all rows."""
    return torch.arange(len(data))


def observed(data: Feedback) -> Tensor:
    """Row numbers with o = 1: a loss that is 0 elsewhere need not compute the others."""
    return every(data) if data.o is None else data.o.nonzero().squeeze(-1).cpu()


def population(rows: Tensor, weight: Tensor | None, g: torch.Generator) -> Tensor:
    """Rows as they are, or, with ``weight``, each weight / mean(weight) times on average.

    Systematic resampling: any loss or mean over the result sees the population the weights describe.
    """
    if weight is None or not len(rows):
        return rows
    # in random order, or a period in the log would alias with the comb
    order = rows[torch.randperm(len(rows), generator=g)]
    return order[_systematic(weight[order].double().cpu(), g)]


def shuffle(
    rows: Tensor, size: int, g: torch.Generator, weight: Tensor | None = None
) -> Iterator[Tensor]:
    """Every row once, in random order, in batches of nearly equal length of at most ``size``.

    With ``weight``, every row of the `population`.
    """
    order = population(rows, weight, g)
    order = order[torch.randperm(len(order), generator=g)]
    if len(order):
        yield from order.tensor_split(-(-len(order) // size))


def _systematic(weight: Tensor, g: torch.Generator) -> Tensor:
    edges = weight.cumsum(0) / weight.sum() * len(weight)
    points = torch.arange(len(weight), dtype=edges.dtype) + torch.rand(1, generator=g).double()
    return torch.searchsorted(edges, points.clamp(max=float(edges[-1]))).clamp(max=len(weight) - 1)
