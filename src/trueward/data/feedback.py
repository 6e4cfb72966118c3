"""What a learner may see (`Feedback`) and what only an evaluation may see (`Labelled`)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar, overload

import torch
from torch import Tensor

from trueward.core.errors import TruewardError
from trueward.core.random import torch_stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .export_scope import ExportScope


T = TypeVar("T", "Feedback", "Labelled")


class Columns(dict[str, Tensor]):
    """Row-aligned tensors by name, read as attributes: ``out.reward``, ``b.eta.propensity``."""

    def __getattr__(self, name: str) -> Tensor:
        """Give the column, or say which columns there are."""
        try:
            return dict.__getitem__(self, name)
        except KeyError:
            raise AttributeError(f"no column {name!r} among {sorted(self)}") from None

    def __or__(self, other: Mapping[str, Tensor]) -> Columns:  # type: ignore[override]
        """Join columns; those of ``other`` win."""
        return Columns({**self, **other})

    @overload
    def __getitem__(self, i: str, /) -> Tensor: ...
    @overload
    def __getitem__(self, i: Tensor, /) -> Columns: ...
    def __getitem__(self, i: str | Tensor, /) -> Tensor | Columns:
        """``columns["name"]`` is a tensor, ``columns[rows]`` the same columns at these rows."""
        if isinstance(i, str):
            return dict.__getitem__(self, i)
        return Columns({k: v[i] for k, v in self.items()})


@dataclass(frozen=True, eq=False)
class Feedback:
    """All that a learner may see. Clean labels have no field here, so nothing can leak them.

    Indexing with a tensor of rows gives a batch of the same type, with any leading shape.
    """

    x: Tensor  # (n, d) features of prompt and response: what the reward may depend on
    y: Tensor  # (n,) feedback in [0, 1]; 0 where none was given
    o: Tensor | None = (
        None  # (n,) 1 where feedback was given; None when the log cannot say (clicks)
    )
    z: Tensor | None = None  # (n, c) context: sways whether a user reacts
    channels: Columns = field(default_factory=Columns)  # name -> (n,), NaN where not logged
    gold: Tensor | None = None  # (n,) trusted label, NaN elsewhere
    group: Tensor | None = None  # (n,) integer id of the prompt
    user: Tensor | None = None  # (n,) integer id of the user
    weight: Tensor | None = None  # (n,) how many rows of the population this row stands for
    eta: Columns = field(default_factory=Columns)  # nuisances, logged or estimated out of fold
    t: float = 1.0  # training progress in [0, 1], for schedules
    backbone: str | None = None  # what made x, as JSON; a model that keeps it can score text
    export_scope: ExportScope | None = None  # what kind of export the log is, where it says so

    def __post_init__(self) -> None:
        """Refuse columns that are not aligned row by row."""
        columns = {"y": self.y, "o": self.o, "z": self.z, "gold": self.gold, "group": self.group}
        columns |= {"user": self.user, "weight": self.weight, **self.channels, **self.eta}
        for name, column in columns.items():
            if column is not None and len(column) != len(self.x):
                raise TruewardError(
                    f"every column has a value for each of the {len(self.x)} rows of x, and {name} "
                    f"has {len(column)}: give one a row"
                )

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.y)

    def __getitem__(self, i: Tensor) -> Feedback:
        """Take rows ``i`` of every column."""
        return _take(self, i)

    @property
    def seen(self) -> Tensor:
        """(n,) o, of a log that says which responses were rated."""
        if self.o is None:
            raise TruewardError(
                "this log cannot say which responses were rated: it has clicks only"
            )
        return self.o

    @property
    def audited(self) -> Tensor:
        """Row numbers with a trusted label."""
        known = torch.zeros(len(self)) if self.gold is None else ~self.gold.isnan()
        return known.nonzero().squeeze(-1)

    def to(self, device: torch.device) -> Feedback:
        """Move every column to ``device``."""
        if self.y.device == device:
            return self
        moved: dict[str, Any] = {}
        for f in fields(self):
            column = getattr(self, f.name)
            if isinstance(column, Tensor):
                moved[f.name] = column.to(device)
            elif isinstance(column, Columns):
                moved[f.name] = Columns({k: v.to(device) for k, v in column.items()})
        return replace(self, **moved)

    def columns(self) -> set[str]:
        """Names of what this log has: o, z, gold, group, user, channels and the eta columns."""
        optional = ("o", "z", "gold", "group", "user", "weight")
        here = {k for k in optional if getattr(self, k) is not None}
        return here | set(self.eta) | ({"channels"} if self.channels else set())

    def split(self, share: float, seed: int = 0) -> tuple[Feedback, Feedback]:
        """(train, val), ``share`` of the prompts in val; no prompt on both sides."""
        train, val = split_rows(len(self), share, seed, self.group)
        return self[train], self[val]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Truth, for `evaluate`, `benchmark` and the oracle only: no learner takes this type."""

    x: Tensor  # (n, d) features of prompt and response
    r: Tensor | None = None  # (n,) clean label in [0, 1]
    rating: Tensor | None = None  # (n,) graded quality in any unit, higher is better
    group: Tensor | None = None  # (n,) integer id of the prompt
    backbone: str | None = None  # what made x, as JSON

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.x)

    def __getitem__(self, i: Tensor) -> Labelled:
        """Take rows ``i`` of every column."""
        return _take(self, i)


def _take(table: T, i: Tensor) -> T:
    taken: dict[str, Any] = {}
    for f in fields(table):
        column = getattr(table, f.name)
        if isinstance(column, Tensor | Columns):
            taken[f.name] = column[i]
    return replace(table, **taken)


def split_rows(
    n: int, share: float, seed: int, group: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Row numbers (rest, held-out) with ``share`` of the groups held out, whole groups only."""
    if not 0 < share < 1:
        raise TruewardError(f"a split needs a share between 0 and 1, not {share}")
    fold = fold_of(n, max(1, round(1 / share)), seed, group, share=share)
    return (fold != 0).nonzero().squeeze(-1), (fold == 0).nonzero().squeeze(-1)


def prompt_numbers(n: int, group: Tensor | None) -> Tensor:
    """(n,) number of each row's prompt, from 0 on; every row is a prompt of its own without ``group``."""
    return torch.arange(n) if group is None else torch.unique(group, return_inverse=True)[1].cpu()


def whole_prompts(prompt: Tensor, first: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Rows of prompts drawn at random while there is room; prompts of rows ``first`` go before others."""
    size = prompt.bincount()
    place = torch.randperm(len(size), generator=generator)
    place[prompt[first].unique()] -= len(size)
    order = place.argsort()
    kept = torch.zeros(len(size), dtype=torch.bool)
    kept[order] = size[order].cumsum(0) <= most
    return kept[prompt].nonzero().squeeze(-1)


def fold_of(
    n: int, k: int, seed: int, group: Tensor | None = None, *, share: float | None = None
) -> Tensor:
    """(n,) fold number in 0..k-1; rows of one group share it. With ``share``, fold 0 has that share."""
    ids = prompt_numbers(n, group)
    count = int(ids.max()) + 1 if n else 0
    if count < 2:
        raise TruewardError(
            f"splitting needs at least 2 prompts and found {count}; a log of one prompt cannot be "
            "checked on prompts it has not seen"
        )
    place = torch.randperm(count, generator=torch_stream(seed, "split"))
    if share is not None:
        held = min(count - 1, max(1, round(share * count)))
        return (place[ids] >= held).long()
    return place[ids] % k
