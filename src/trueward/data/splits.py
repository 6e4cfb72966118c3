"""Random splits of the rows by prompt: folds, validation rows, samples; no prompt on two sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from trueward.core.errors import TruewardError
from trueward.core.random import torch_stream

if TYPE_CHECKING:
    from torch import Tensor

FEW = 5  # rows of a class below which a part of a split is stratified


def prompt_numbers(n: int, group: Tensor | None) -> Tensor:
    """Return the number of each row's prompt, counted from 0 without gaps.

    Parameters
    ----------
    n : int
        Number of rows.
    group : Tensor or None
        (n,) id of each row's prompt. Without it, every row is a prompt of its own.

    Returns
    -------
    Tensor
        (n,) int64, on the CPU.

    Examples
    --------
    >>> prompt_numbers(3, torch.tensor([7, 2, 7])).tolist()
    [1, 0, 1]

    """
    return torch.arange(n) if group is None else torch.unique(group, return_inverse=True)[1].cpu()


def fold_of(
    n: int, k: int, seed: int, group: Tensor | None = None, *, share: float | None = None
) -> Tensor:
    """Assign each row a fold at random; rows of one prompt share it.

    Parameters
    ----------
    n : int
        Number of rows.
    k : int
        Number of folds.
    seed : int
        Root seed; the stream is ``"split"``.
    group : Tensor or None
        (n,) id of each row's prompt.
    share : float or None
        If given, fold 0 gets this share of the prompts, at least one, and fold 1 the rest.

    Returns
    -------
    Tensor
        (n,) int64 fold number in 0..k-1.

    Raises
    ------
    TruewardError
        With fewer than two prompts.

    Examples
    --------
    >>> fold = fold_of(6, 3, seed=0, group=torch.tensor([0, 0, 1, 1, 2, 2]))
    >>> bool((fold[::2] == fold[1::2]).all()), sorted(set(fold.tolist()))
    (True, [0, 1, 2])

    """
    prompts = prompt_numbers(n, group)
    count = int(prompts.max()) + 1 if n else 0
    if count < 2:
        raise TruewardError(
            f"a split needs at least 2 prompts, and the log has {count}: add rows of other prompts, so that "
            "the model can be checked on unseen ones"
        )
    position = torch.randperm(count, generator=torch_stream(seed, "split"))
    if share is not None:
        held_out = min(count - 1, max(1, round(share * count)))
        return (position[prompts] >= held_out).long()
    return position[prompts] % k


def split_rows(
    n: int,
    share: float,
    seed: int,
    group: Tensor | None = None,
    label: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Split the rows at random, whole prompts only; stratified by label where labels are few.

    Where a part of the plain random split has fewer than 5 rows of a class, the same random order of the
    prompts is used within strata: prompts with bad labels, with good ones, with both, and without labels.
    Then both parts have both classes, if two prompts have each.

    Parameters
    ----------
    n : int
        Number of rows.
    share : float
        Share of the prompts to hold out, between 0 and 1.
    seed : int
        Root seed; the stream is ``"split"``.
    group : Tensor or None
        (n,) id of each row's prompt.
    label : Tensor or None
        (n,) labels above 0.5 (good) and up to 0.5 (bad); NaN where there is none.

    Returns
    -------
    rest, held_out : Tensor
        int64 row numbers in ascending order.

    Raises
    ------
    TruewardError
        If the share is not between 0 and 1, or with fewer than two prompts.

    Examples
    --------
    >>> rest, held_out = split_rows(20, 0.2, 0, label=(torch.arange(20) < 2).double())
    >>> [len(set(part.tolist()) & {0, 1}) for part in (rest, held_out)]  # the two good rows
    [1, 1]

    """
    if not 0 < share < 1:
        raise TruewardError(f"a split needs a share between 0 and 1, not {share}")
    fold = fold_of(n, max(1, round(1 / share)), seed, group, share=share)
    if label is not None:
        classes = [(label > 0.5).cpu(), (label <= 0.5).cpu()]
        held = [int((c & (fold == 0)).sum()) for c in classes]
        few = [min(h, int(c.sum()) - h) < FEW for c, h in zip(classes, held, strict=True)]
        if any(bool(c.any()) and f for c, f in zip(classes, few, strict=True)):
            fold = _stratified(prompt_numbers(n, group), classes, share, seed)
    return (fold != 0).nonzero().squeeze(-1), (fold == 0).nonzero().squeeze(-1)


def _stratified(prompt: Tensor, classes: list[Tensor], share: float, seed: int) -> Tensor:
    """(n,) 0 for held-out rows and 1 for others: the share of the prompts of every stratum, one at least.

    The strata of labelled prompts come first, those with both classes before all, so that what rounding
    leaves over is held out from the unlabelled prompts. A stratum of one prompt is held out only where no
    other prompt would give its class to the held-out part, and never the last one of a class.
    """
    count = int(prompt.max()) + 1
    good, bad = (
        torch.zeros(count, dtype=torch.bool).index_fill(0, prompt[c], True) for c in classes
    )
    position = torch.randperm(count, generator=torch_stream(seed, "split"))
    held = torch.zeros(count, dtype=torch.bool)
    for stratum in (good & bad, good & ~bad, ~good & bad, ~good & ~bad):
        members = stratum.nonzero().squeeze(-1)
        members = members[position[members].argsort()]
        held[members[: round(share * len(members))]] = True
    for kind in (good, bad):  # both parts get both classes, where two prompts have each
        members = kind.nonzero().squeeze(-1)
        members = members[position[members].argsort()]
        if len(members) > 1 and not held[members].any():
            held[members[0]] = True
        elif len(members) > 1 and held[members].all():
            held[members[-1]] = False
    if not held.any():
        held[position.argmin()] = True
    elif held.all():
        held[position.argmax()] = False
    return (~held[prompt]).long()


def sample_prompts(
    prompt: Tensor, first: Tensor, max_rows: int, generator: torch.Generator
) -> Tensor:
    """Return the rows of a random sample of whole prompts.

    Parameters
    ----------
    prompt : Tensor
        (n,) number of each row's prompt, see `prompt_numbers`.
    first : Tensor
        Row numbers whose prompts are drawn before all others.
    max_rows : int
        Largest number of rows to return.
    generator : torch.Generator
        Source of the random order.

    Returns
    -------
    Tensor
        int64 row numbers in ascending order.

    """
    size = prompt.bincount()
    position = torch.randperm(len(size), generator=generator)
    position[prompt[first].unique()] -= len(size)
    order = position.argsort()
    drawn = torch.zeros(len(size), dtype=torch.bool)
    drawn[order] = size[order].cumsum(0) <= max_rows
    return drawn[prompt].nonzero().squeeze(-1)
