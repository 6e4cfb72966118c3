"""Changes of a log: those that leave nothing to learn, and those that must not matter."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trueward.data.feedback import Columns

if TYPE_CHECKING:
    from collections.abc import Callable

    from trueward.data.feedback import Feedback

    Change = Callable[[Feedback, torch.Generator], Feedback]

NULL = "null_channel"
SHARE = 0.05  # of the features: as many random columns are added, at least one


def unchanged(d: Feedback, _g: torch.Generator) -> Feedback:
    """The log as it is."""
    return d


def permuted(d: Feedback, g: torch.Generator) -> Feedback:
    """Give every row the feedback of another: y, o, channels and propensity in one permutation.

    Whether feedback was given moves with what it said, since methods read both. Gold labels are
    permuted among gold rows. Features, context, weights and any other nuisance stay in their rows.
    """
    i = torch.randperm(len(d), generator=g)
    moved = {k: v[i] if k == "propensity" else v for k, v in d.eta.items()}
    return replace(
        d,
        y=d.y[i],
        o=None if d.o is None else d.o[i],
        channels=d.channels[i],
        gold=_shuffled(d.gold, g),
        eta=Columns(moved),
    )


def tossed(d: Feedback, g: torch.Generator) -> Feedback:
    """Toss a coin for every signal on its own, with as many heads as the signal has now.

    Whether feedback was given, what it said, every channel and every gold label are then independent of
    the rows and of each other.
    """
    d = permuted(d, g)
    said = torch.where(d.o > 0, d.y, torch.nan) if d.o is not None else d.y
    o = None if d.o is None else d.o[torch.randperm(len(d), generator=g)]
    y = _shuffled(said, g)
    assert y is not None
    if o is not None:
        y = torch.zeros_like(y).masked_scatter(o > 0, y[~y.isnan()])
    names = {k: v[torch.randperm(len(d), generator=g)] for k, v in d.channels.items()}
    return replace(d, y=y, o=o, channels=Columns(names))


def with_context(d: Feedback, g: torch.Generator) -> Feedback:
    """Add a random column to the context."""
    column = torch.randn(len(d), 1, generator=g)
    return replace(d, z=column if d.z is None else torch.cat([d.z, column.to(d.z)], 1))


def with_features(d: Feedback, g: torch.Generator) -> Feedback:
    """Add random columns to the features, one for every 20 there are."""
    columns = torch.randn(len(d), max(1, round(SHARE * d.x.shape[1])), generator=g)
    return replace(d, x=torch.cat([d.x, columns.to(d.x)], 1))


def with_channel(d: Feedback, g: torch.Generator) -> Feedback:
    """Add a channel that fires at random, as often as the others on average."""
    rate = torch.stack([v.nanmean() for v in d.channels.values()]).nanmean()
    fired = torch.rand(len(d), generator=g) < rate
    return replace(d, channels=d.channels | {NULL: fired.to(d.y)})


def _shuffled(values: Tensor | None, g: torch.Generator) -> Tensor | None:
    """Permute what is known among the rows where something is."""
    if values is None:
        return None
    rows = (~values.isnan()).nonzero().squeeze(-1)
    found = values.clone()
    found[rows] = values[rows[torch.randperm(len(rows), generator=g)]]
    return found
