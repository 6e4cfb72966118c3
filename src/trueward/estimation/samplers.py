"""Row numbers: which rows a loss learns from, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from trueward.data.feedback import Feedback


def every(data: Feedback) -> Tensor:
    """Return the numbers of all rows.

    Parameters
    ----------
    data : Feedback
        The log.

    Returns
    -------
    Tensor of int
        0 to n - 1.

    """
    return torch.arange(len(data))


def observed(data: Feedback) -> Tensor:
    """Return the numbers of the rows with o = 1, for a loss that is 0 on all others.

    Parameters
    ----------
    data : Feedback
        The log; where it has no ``o``, all rows count.

    Returns
    -------
    Tensor of int

    """
    return every(data) if data.o is None else data.o.nonzero().squeeze(-1).cpu()


def compared(data: Feedback, source: str = "") -> Tensor:
    """Return the numbers of the rows that are in a pair, in ascending order.

    Parameters
    ----------
    data : Feedback
        The log; without pairs no row counts.
    source : str, optional
        Only pairs of this source; default: of any.

    Returns
    -------
    Tensor of int

    """
    if data.pairs is None:
        return torch.arange(0)
    pairs = data.pairs.from_source(source) if source else data.pairs
    rows: Tensor = torch.cat([pairs.winner, pairs.loser]).unique()
    return rows.cpu()


def population(rows: Tensor, weight: Tensor | None, g: torch.Generator) -> Tensor:
    """Return ``rows`` as they are, or with weights each row weight / mean(weight) times on average.

    With weights this is systematic resampling: a mean over the result estimates the mean over the population
    that the weights describe.

    Parameters
    ----------
    rows : Tensor, shape (m,)
        Row numbers.
    weight : Tensor, shape (n,), or None
        Weight of every row of the log.
    g : torch.Generator
        Source of random numbers.

    Returns
    -------
    Tensor
        Row numbers, possibly repeated.

    """
    if weight is None or not len(rows):
        return rows
    # in random order, since a period in the log would alias with the systematic sample
    order = rows[torch.randperm(len(rows), generator=g)]
    return order[_systematic(weight[order].double().cpu(), g)]


def shuffle(
    rows: Tensor, size: int, g: torch.Generator, weight: Tensor | None = None
) -> Iterator[Tensor]:
    """Yield every row of the `population` once, in random order, in batches of nearly equal length.

    Parameters
    ----------
    rows : Tensor, shape (m,)
        Row numbers.
    size : int
        Largest number of rows in a batch.
    g : torch.Generator
        Source of random numbers.
    weight : Tensor, shape (n,), or None
        Weight of every row of the log.

    Yields
    ------
    Tensor
        Row numbers of a batch.

    """
    order = population(rows, weight, g)
    order = order[torch.randperm(len(order), generator=g)]
    if len(order):
        yield from order.tensor_split(-(-len(order) // size))


def by_prompt(
    rows: Tensor, size: int, g: torch.Generator, group: Tensor, weight: Tensor | None = None
) -> Iterator[Tensor]:
    """Yield every row of the `population` once, the rows of a prompt in one batch.

    Prompts and the rows within them are in random order. A prompt of more than ``size`` rows is cut.

    Parameters
    ----------
    rows : Tensor, shape (m,)
        Row numbers.
    size : int
        Largest number of rows in a batch.
    g : torch.Generator
        Source of random numbers.
    group : Tensor, shape (n,)
        Prompt of every row of the log.
    weight : Tensor, shape (n,), or None
        Weight of every row of the log.

    Yields
    ------
    Tensor
        Row numbers of a batch.

    """
    order = population(rows, weight, g)
    order = order[torch.randperm(len(order), generator=g)]
    if not len(order):
        return
    ids = torch.unique(group[order].cpu(), return_inverse=True)[1]
    place = torch.randperm(int(ids.max()) + 1, generator=g)[ids]
    order = order[place.argsort(stable=True)]
    ends = torch.bincount(place).cumsum(
        0
    )  # a batch ends at the end of a prompt, unless the prompt is larger
    start = 0
    while start < len(order):
        last = int(torch.searchsorted(ends, start + size, right=True)) - 1
        whole = last >= 0 and int(ends[last]) > start
        stop = int(ends[last]) if whole else min(start + size, len(order))
        yield order[start:stop]
        start = stop


def prompt_batches(data: Feedback, rows: Tensor, size: int, g: torch.Generator) -> Iterator[Tensor]:
    """Yield `by_prompt` batches of ``data``; without prompts every row is a prompt of its own.

    Parameters
    ----------
    data : Feedback
        The log, whose prompts and weights count.
    rows : Tensor, shape (m,)
        Row numbers to batch.
    size : int
        Largest number of rows in a batch.
    g : torch.Generator
        Source of the random order.

    Yields
    ------
    Tensor
        Row numbers of a batch.

    """
    group = every(data) if data.group is None else data.group
    return by_prompt(rows, size, g, group, data.weight)


def pairs(group: Tensor, most: int = 10) -> tuple[Tensor, Tensor]:
    """Return pairs (i, j): every row i with up to ``most`` other rows j of its prompt.

    Rows that are the only one of their prompt are paired among themselves.

    Parameters
    ----------
    group : Tensor, shape (n,)
        Prompt of every row.
    most : int
        Largest number of partners of a row.

    Returns
    -------
    i, j : Tensor
        Row numbers, sorted by i, then j.

    Examples
    --------
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
        exists = n > k  # the k-th neighbour in the circle of a prompt is another row
        left.append(order[exists])
        right.append(order[(start + (at + k) % n)[exists]])
    empty = order[:0]
    i, j = (torch.cat([empty, *side]) for side in (left, right))
    by = (i * max(1, len(ids)) + j).argsort()
    return i[by], j[by]


def _systematic(weight: Tensor, g: torch.Generator) -> Tensor:
    edges = weight.cumsum(0) / weight.sum() * len(weight)
    points = torch.arange(len(weight), dtype=edges.dtype) + torch.rand(1, generator=g).double()
    return torch.searchsorted(edges, points.clamp(max=float(edges[-1]))).clamp(max=len(weight) - 1)
