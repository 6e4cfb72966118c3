"""Which rows a loss can learn from, and in what order they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.feedback import Feedback


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


def by_prompt(
    rows: Tensor, size: int, g: torch.Generator, group: Tensor, weight: Tensor | None = None
) -> Iterator[Tensor]:
    """Every row once, the rows of a prompt in one batch, in batches of about ``size``.

    Prompts and the rows within come in random order; a prompt of more than ``size`` rows is cut.
    """
    order = population(rows, weight, g)
    order = order[torch.randperm(len(order), generator=g)]
    if not len(order):
        return
    ids = torch.unique(group[order].cpu(), return_inverse=True)[1]
    place = torch.randperm(int(ids.max()) + 1, generator=g)[ids]
    order = order[place.argsort(stable=True)]
    ends = torch.bincount(place).cumsum(0)  # whole prompts only, unless one is larger than a batch
    start = 0
    while start < len(order):
        whole = ends[(ends > start) & (ends <= start + size)]
        stop = int(whole[-1]) if len(whole) else min(start + size, len(order))
        yield order[start:stop]
        start = stop


def pairs(group: Tensor, most: int = 10) -> tuple[Tensor, Tensor]:
    """(i, j): every row beside up to ``most`` other rows of its prompt, in the order of the rows.

    Rows that are alone with their prompt are paired among themselves.

    >>> pairs(torch.tensor([7, 7, 8, 9]))
    (tensor([0, 1, 2, 3]), tensor([1, 0, 3, 2]))
    """
    ids, size = torch.unique(group, return_inverse=True, return_counts=True)[1:]
    ids = torch.where(size[ids] == 1, len(size), ids)
    order = ids.argsort(stable=True)
    size = torch.bincount(ids)
    start, n = (size.cumsum(0) - size)[ids[order]], size[ids[order]]
    at = torch.arange(len(ids), device=ids.device) - start
    left, right = [], []
    for k in range(1, min(most, int(size.max()) - 1 if len(size) else 0) + 1):
        here = n > k  # the k-th neighbour in a circle is another row
        left.append(order[here])
        right.append(order[(start + (at + k) % n)[here]])
    empty = order[:0]
    i, j = (torch.cat([empty, *side]) for side in (left, right))
    by = (i * max(1, len(ids)) + j).argsort()
    return i[by], j[by]


def _systematic(weight: Tensor, g: torch.Generator) -> Tensor:
    edges = weight.cumsum(0) / weight.sum() * len(weight)
    points = torch.arange(len(weight), dtype=edges.dtype) + torch.rand(1, generator=g).double()
    return torch.searchsorted(edges, points.clamp(max=float(edges[-1]))).clamp(max=len(weight) - 1)
