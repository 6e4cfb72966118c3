"""Network inputs by row number, whatever a row is: features in memory, or the text of a log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

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


@dataclass(frozen=True)
class FeatureRows:
    """Row source of a log whose features are in memory.

    Attributes
    ----------
    data : Feedback
        The rows.
    transform : InputTransform
        Standardises a batch of them.

    """

    data: Feedback
    transform: InputTransform

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.data)

    def widths(self) -> dict[str, int]:
        """Return the number of columns of every input."""
        return self.transform.widths()

    def __call__(self, rows: Tensor, names: set[str]) -> dict[str, Tensor]:
        """Standardise the named inputs of some rows; see `RowSource`."""
        x, z = self.data.x, self.data.z
        rows = rows.to(x.device)
        context = None if z is None else z.index_select(0, rows)
        batch = x.index_select(0, rows)  # 3 times faster than x[rows]
        return self.transform(batch, context, names, in_place=True)
