"""Network inputs by row number, whatever a row is: features in memory, or the text of a log."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import torch

from .preprocessing import CHUNK

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.feedback import Feedback

    from .preprocessing import InputTransform


class RowSource(Protocol):
    """Network inputs of the rows of one data split, by row number."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def widths(self) -> dict[str, int]:
        """Return the number of columns of every input."""

    def __call__(self, rows: Tensor, names: set[str], /) -> dict[str, Tensor]:
        """Return the named inputs of some rows.

        Parameters
        ----------
        rows : Tensor
            (k,) row numbers.
        names : set of str
            Inputs to return.

        """


LARGEST_COPY = 0.25  # of the bytes of the features


@dataclass(frozen=True)
class FeatureRows:
    """Row source of a log whose features are in memory.

    Attributes
    ----------
    data : Feedback
        The rows.
    transform : InputTransform
        Standardises a batch of them.
    place : Tensor or None
        (n,) place of every row in ``kept``, -1 for the others; None: nothing is kept.
    kept : dict of str to Tensor
        Inputs of the rows that were standardised before.

    """

    data: Feedback
    transform: InputTransform
    place: Tensor | None = None
    kept: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.data)

    def widths(self) -> dict[str, int]:
        """Return the number of columns of every input."""
        return self.transform.widths()

    def keeping(self, rows: Tensor, names: set[str]) -> FeatureRows:
        """Return a source that standardises some rows once, for all epochs.

        It is this source where the inputs of the rows would take more than a quarter of the memory of the
        features.

        Parameters
        ----------
        rows : Tensor
            (m,) row numbers, possibly repeated.
        names : set of str
            Inputs of the network.

        """
        rows, widths = rows.unique().cpu(), self.widths()
        columns = sum(widths[k] for k in names & widths.keys())
        size = len(rows) * columns * self.transform.dtype.itemsize
        n, d = self.data.x.shape
        if size > LARGEST_COPY * n * d * self.data.x.dtype.itemsize or not len(rows):
            return self
        first = self(rows[:1], names)
        kept = {k: v.new_empty(len(rows), v.shape[1]) for k, v in first.items()}
        for start in range(0, len(rows), CHUNK):
            for k, v in self(rows[start : start + CHUNK], names).items():
                kept[k][start : start + CHUNK] = v
        place = torch.full((n,), -1).index_copy(0, rows, torch.arange(len(rows)))
        return replace(self, place=place, kept=kept)

    def __call__(self, rows: Tensor, names: set[str]) -> dict[str, Tensor]:
        """Standardise the named inputs of some rows; see `RowSource`."""
        if self.place is not None and names <= self.kept.keys():
            at = self.place[rows.cpu()]
            if not len(at) or int(at.min()) >= 0:
                return {k: self.kept[k].index_select(0, at.to(self.kept[k].device)) for k in names}
        x, z = self.data.x, self.data.z
        rows = rows.to(x.device)
        context = None if z is None else z.index_select(0, rows)
        batch = x.index_select(0, rows)  # 3 times faster than x[rows]
        return self.transform(batch, context, names, in_place=True)
