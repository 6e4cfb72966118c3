"""The scores of responses by a reward model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from trueward.core.overview import Overview, Shown, cell
from trueward.data.converted import to_pandas

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

SHOWN = 5  # rows in a notebook


@dataclass(frozen=True, repr=False)
class Scores(Shown):
    """Scores of n responses.

    Attributes
    ----------
    reward : Tensor or None
        (n,) float32 logit of ``preferred``; unbounded, higher is better. None where the method identifies
        only an interval.
    preferred : Tensor or None
        (n,) float32 P(preferred) in [0, 1]: the mean over the members, calibrated if the model is.
    spread : Tensor
        (n,) float32 standard deviation of P over the members; 0 for a single member.
    out_of_distribution : Tensor
        (n,) bool: the mean square of the standardised features exceeds its 0.999 quantile over the
        training rows. The model has not seen such text.
    low, high : Tensor or None
        (n,) float32 ends of a 95 % interval of the true P(preferred) of each response, where the method has
        one. Probabilities. Of a method that identifies only an interval: its bounds.

    """

    reward: Tensor | None
    preferred: Tensor | None
    spread: Tensor
    out_of_distribution: Tensor
    low: Tensor | None = None
    high: Tensor | None = None

    @property
    def far(self) -> Tensor:
        """Deprecated name of ``out_of_distribution``; it goes in the next release."""
        return self.out_of_distribution

    def columns(self) -> dict[str, Tensor]:
        """Return the scores that the model has, by name.

        ``far`` repeats ``out_of_distribution`` for readers of files of earlier releases; it goes in the
        next release.
        """
        columns = {k: v for k, v in vars(self).items() if v is not None}
        return columns | {"far": self.out_of_distribution}

    def frame(self) -> pl.DataFrame:
        """Return the scores as a polars table, one column a score."""
        columns = {k: v for k, v in self.columns().items() if k != "far"}
        return pl.DataFrame([pl.Series(k, v.cpu().numpy()) for k, v in columns.items()])

    def to_pandas(self) -> pd.DataFrame:
        """Return the scores as a ``pandas.DataFrame``, one column a score."""
        return to_pandas(self.frame())

    def __len__(self) -> int:
        """Return the number of responses."""
        return len(self.spread)

    def _overview(self) -> Overview:
        frame = self.frame()
        title = f"{len(self):,} responses"
        if self.preferred is not None and len(self):
            title += f", mean P(preferred) {float(self.preferred.mean()):.3f}"
        if outside := int(self.out_of_distribution.sum()):
            title += f", {outside:,} out of distribution"
        rows = [[cell(v) for v in row] for row in frame.head(SHOWN).iter_rows()]
        more = [f"the first {SHOWN} of {len(self):,} responses"] if len(self) > SHOWN else []
        return Overview(title, frame.columns, rows, more)
