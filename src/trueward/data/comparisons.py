"""Comparisons of two responses to one prompt, by row number: the pairs of `Feedback`."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import torch

from trueward.core.errors import TruewardError

from .log_pairs import LEAST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

ORDER = (
    *("winner", "loser", "source", "user", "tie", "position", "margin", "weight", "gold"),
    "propensity",
)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of rows of one prompt, of which one was preferred or neither.

    They are sorted by winner, and a fit sorts them by all columns, so that the order in which pairs are given
    changes no bit of it. `Pairs.of` fills what is not given.

    Attributes
    ----------
    winner, loser : Tensor
        (m,) int64 row numbers; of a tie, in either order.
    tie : Tensor
        (m,) 1 where neither was preferred, else 0.
    source : Tensor
        (m,) int64 number of the pair's source among ``sources``.
    sources : tuple of str
        Names of the sources.
    position : Tensor
        (m,) 1 where the winner was shown first, -1 where the loser was, 0 where it is not known.
    margin : Tensor
        (m,) by how much the winner should lead, in log-odds; 0 without margins.
    weight : Tensor
        (m,) number of comparisons that the pair represents, above 0.
    user : Tensor
        (m,) int64 id of who compared; below 0 where it is not known.
    gold : Tensor
        (m,) 1 for a trusted comparison, else 0.
    propensity : Tensor
        (m,) P(the two responses are compared), in (0, 1]; 1 where it is not known.
    style : Tensor
        (m, c) style of the winner minus that of the loser.
    styles : tuple of str
        Names of the c properties of style.

    Examples
    --------
    >>> pairs = Pairs.of(torch.tensor([3, 0]), torch.tensor([2, 1]), sources=("battle",))
    >>> len(pairs), pairs.winner, pairs[torch.tensor([2, 3])].winner
    (2, tensor([0, 3]), tensor([1]))

    """

    winner: Tensor
    loser: Tensor
    tie: Tensor
    source: Tensor
    sources: tuple[str, ...]
    position: Tensor
    margin: Tensor
    weight: Tensor
    user: Tensor
    gold: Tensor
    propensity: Tensor
    style: Tensor
    styles: tuple[str, ...] = ()

    @staticmethod
    def of(
        winner: Tensor,
        loser: Tensor,
        *,
        sources: tuple[str, ...] = ("pairs",),
        styles: tuple[str, ...] = (),
        **columns: Tensor,
    ) -> Pairs:
        """Return pairs in their order, with defaults for the columns that are not given.

        Parameters
        ----------
        winner, loser : Tensor
            (m,) row numbers.
        sources, styles : tuple of str
            Names of the sources, and of the properties of style.
        **columns : Tensor
            Other attributes of `Pairs`, (m, ...) each.

        Returns
        -------
        Pairs

        Raises
        ------
        TruewardError
            If a column has another number of pairs, a row is paired with itself, or a weight or a propensity
            is out of its range.

        """
        m = len(winner)
        none = torch.zeros(m, device=winner.device)
        filled = dict.fromkeys(("tie", "position", "margin", "gold"), none)
        filled |= {
            "weight": none + 1,
            "propensity": none + 1,
            "style": none[:, None].expand(m, len(styles)),
        }
        filled |= {"source": torch.zeros_like(winner), "user": -1 - torch.arange(m).to(winner)}
        filled |= columns | {"winner": winner, "loser": loser}
        for name, column in filled.items():
            if len(column) != m:
                raise TruewardError(
                    f"every column of pairs needs one value for each of the {m} pairs, but {name} has "
                    f"{len(column)}: pass one value per pair"
                )
        if bool((winner == loser).any()):
            at = int((winner == loser).nonzero()[0])
            raise TruewardError(
                f"a pair needs two rows, and pair {at + 1} has row {int(winner[at])} twice: drop it"
            )
        if not bool((filled["weight"] > 0).all()):
            raise TruewardError("weights of pairs must be above 0: drop the pairs without weight")
        if not bool(((filled["propensity"] > 0) & (filled["propensity"] <= 1)).all()):
            raise TruewardError(
                "propensities of pairs must be above 0 and at most 1: correct or drop those pairs"
            )
        return _sorted(Pairs(**filled, sources=sources, styles=styles))

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.winner)

    def __getitem__(self, rows: Tensor) -> Pairs:
        """Return the pairs among some rows, which are then numbered from 0 in the order of ``rows``.

        Parameters
        ----------
        rows : Tensor
            (k,) row numbers; of a repeated row the first place counts.

        """
        rows = rows.to(self.winner.device)
        known, place = rows.sort(stable=True)
        first = torch.ones_like(known, dtype=torch.bool)
        first[1:] = known[1:] != known[:-1]
        known, place = known[first], place[first]
        low = torch.searchsorted(self.winner, known)
        count = torch.searchsorted(self.winner, known, right=True) - low
        start = (count.cumsum(0) - count).repeat_interleave(count)
        mine = torch.arange(len(start), device=rows.device) - start + low.repeat_interleave(count)
        winner = place.repeat_interleave(count)
        at = torch.searchsorted(known, self.loser[mine]).clamp(max=max(0, len(known) - 1))
        there = known[at] == self.loser[mine] if len(mine) else mine > 0
        winner, loser = winner[there], place[at[there]]
        order = winner.argsort(stable=True)
        kept = self.select(mine[there][order])
        return replace(kept, winner=winner[order], loser=loser[order])

    def canonical(self) -> Pairs:
        """Return the pairs in the order that a fit begins with: by winner, loser, source, and the rest."""
        return _sorted(self)

    def select(self, which: Tensor) -> Pairs:
        """Return some pairs, by their numbers or a mask; rows keep their numbers.

        Parameters
        ----------
        which : Tensor
            (k,) numbers of pairs, or (m,) bool.

        """
        return self._with({k: v[which] for k, v in self.columns().items()})

    def from_source(self, name: str) -> Pairs:
        """Return the pairs of one source; none where there is no such source."""
        if name not in self.sources:
            return self.select(torch.zeros_like(self.source, dtype=torch.bool))
        own = self.source == self.sources.index(name)
        return self if bool(own.all()) else self.select(own)

    @property
    def importance(self) -> Tensor:
        """(m,) weight / P(compared): what a pair stands for among all pairs that could have been compared."""
        return self.weight / self.propensity.clamp(min=LEAST)

    def columns(self) -> dict[str, Tensor]:
        """Return the tensors by name."""
        named = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {k: v for k, v in named if isinstance(v, torch.Tensor)}

    def to(self, device: torch.device) -> Pairs:
        """Return the same pairs on a device."""
        return self._with({k: v.to(device) for k, v in self.columns().items()})

    def _with(self, columns: dict[str, Tensor]) -> Pairs:
        """Return these pairs with other tensors."""
        return Pairs(**columns, sources=self.sources, styles=self.styles)

    def wins(self, rows: int) -> Tensor:
        """Return (rows,) the weight that each row won, minus what it lost; a row's part in its own order."""
        won = torch.zeros(rows, dtype=torch.float64, device=self.winner.device)
        lead = (self.weight * (1 - self.tie) * (2 + self.source)).double()
        return won.index_add(0, self.winner, lead).index_add(0, self.loser, -lead)

    def counts(self) -> Mapping[str, int]:
        """Return the number of pairs of every source that has some."""
        found = self.source.bincount(minlength=len(self.sources)).tolist()
        return {k: n for k, n in zip(self.sources, found, strict=True) if n}


def _sorted(pairs: Pairs) -> Pairs:
    """Return the pairs sorted by winner, loser, source, and the rest."""
    order = torch.arange(len(pairs), device=pairs.winner.device)
    for name in reversed(ORDER):
        column = getattr(pairs, name)
        if name == "user":
            column = column.clamp(min=-1)  # ids below 0 number unknown users
        if len(column) and bool((column != column[:1]).any()):
            order = order[column[order].argsort(stable=True)]
    return pairs.select(order)
