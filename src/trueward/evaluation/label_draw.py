"""Rows of a log of which a random draw has gold labels: what each row and each label represents."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]


@dataclass(frozen=True)
class LabelDraw:
    """Logged rows with predictions of their labels, of which some are known."""

    #: (n,) P(preferred) by the model.
    p: Array
    #: (n,) score that ranks the rows.
    s: Array
    #: (n,) gold label, NaN where there is none.
    gold: Array
    #: (n,) P(good given everything in the log), out of fold.
    g: Array
    #: (n,) number of the prompt.
    group: Index
    #: Whether the estimates are those of future prompts.
    future: bool = False
    #: (n,) number of the user; None where it is not known.
    user: Index | None = None
    #: (n,) what each row represents, and each gold label (weight x gold_weight, 0 elsewhere); None: equal.
    represents: Array | None = None
    label_weight: Array | None = None

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """(n,) whether a row has a gold label."""
        return ~np.isnan(self.gold)

    @cached_property
    def r(self) -> Array:
        """(n,) gold label, 0 where there is none."""
        return np.nan_to_num(self.gold)

    @cached_property
    def share(self) -> Array:
        """(n,) share of the population that each row represents; sums to 1."""
        w = np.ones(len(self.p)) if self.represents is None else self.represents
        return np.asarray(w / w.sum())

    @cached_property
    def gold_share(self) -> Array:
        """(n,) share of the population that each gold label represents; sums to 1, 0 elsewhere."""
        w = self.known * (self.share if self.label_weight is None else self.label_weight)
        return np.asarray(w / max(w.sum(), 1e-300))

    @cached_property
    def weight(self) -> Array:
        """(n,) 1 / P(labelled) of gold rows, 0 elsewhere: N/n on n of N rows where all count alike."""
        none = np.zeros(len(self.p))
        return np.divide(self.gold_share, self.share, out=none, where=self.share > 0)

    @cached_property
    def complete(self) -> bool:
        """Whether every row has a gold label that represents this row only."""
        return bool(self.known.all() and np.allclose(self.weight, 1, rtol=1e-3))

    @cached_property
    def chance_left(self) -> Array:
        """(n,) 1 - P(labelled) of gold rows: the share of their variance that the draw adds; 0 elsewhere.

        Where all rows have a label and labels represent more than their row, it is 1: the others are not
        in the log.
        """
        if self.known.all() and not self.complete:
            return np.ones(len(self.p))
        return np.asarray(self.known * (1 - 1 / np.maximum(self.weight, 1.0)))

    @cached_property
    def pseudo_label(self) -> Array:
        """(n,) g + weight (r - g): its mean by share is unbiased for the mean label."""
        return self.g + self.weight * (self.r - self.g)

    @cached_property
    def spread(self) -> Array:
        """(n,) r (1 - r) of gold labels, which is 0 for labels 0 and 1."""
        return self.r * (1 - self.r)

    @cached_property
    def guessed_spread(self) -> Array:
        """(n,) prediction of r (1 - r): g (1 - g) times its ratio on the gold rows, 0 for labels 0 and 1."""
        v, w = self.g * (1 - self.g), self.gold_share
        return v * float(w @ self.spread / max(float(w @ v), 1e-12 / len(v)))

    @cached_property
    def unit(self) -> Index:
        """(n,) unit of the random draw: rows, or prompts or users where many gold labels share one.

        Of future prompts the units are the prompts, and the variance is clustered by user, too.
        """
        if self.future:
            return self.group
        return np.arange(len(self.group)) if self._together is None else self._together

    @property
    def labelled_together(self) -> bool:
        """Whether gold labels share prompts or users more than a draw of rows would have it."""
        return self._together is not None

    @cached_property
    def _together(self) -> Index | None:
        """Units that are labelled together; None where rows are labelled one by one."""
        for ids in (self.user, self.group):
            if ids is None:
                continue
            unit = np.unique(ids, return_inverse=True)[1]
            together = (np.bincount(unit, self.known) ** 2).sum() - self.known.sum()
            chance = self.known.mean() ** 2 * ((np.bincount(unit) ** 2).sum() - len(unit))
            if together > 2 * chance + 20:
                return np.asarray(unit)
        return None

    @cached_property
    def drawn(self) -> int:
        """Number of units with a gold label."""
        return len(np.unique(self.unit[self.known]))
