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


def shuffle(
    rows: Tensor, size: int, g: torch.Generator, weight: Tensor | None = None
) -> Iterator[Tensor]:
    """Every row once, in random order, in batches of nearly equal length of at most ``size``.

    With ``weight`` a row comes weight / mean(weight) times on average (systematic resampling), so
    that any loss sees the population the weights describe.
    """
    order = rows[torch.randperm(len(rows), generator=g)]
    if weight is not None:  # in random order, or a period in the log would alias with the comb
        order = order[_systematic(weight[order].double().cpu(), g)]
        order = order[torch.randperm(len(order), generator=g)]
    if len(order):
        yield from order.tensor_split(-(-len(order) // size))


def _systematic(weight: Tensor, g: torch.Generator) -> Tensor:
    edges = weight.cumsum(0) / weight.sum() * len(weight)
    points = torch.arange(len(weight), dtype=edges.dtype) + torch.rand(1, generator=g).double()
    return torch.searchsorted(edges, points.clamp(max=float(edges[-1]))).clamp(max=len(weight) - 1)
