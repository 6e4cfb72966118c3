"""Outcomes of a lottery of asks: rows with similar out-of-fold log-odds, by arm, and their gold labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from trueward.core.weighted import effective_size
from trueward.data.lottery_arms import arms

from .outcome_counts import BINS, bins, centred, moments
from .reward_form import odds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueward.data.feedback import Feedback

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]


@dataclass(frozen=True)
class AskedCounts:
    """Cells of rows with similar q and p in one arm, with the number of their outcomes.

    Attributes
    ----------
    q, p : ndarray, shape (k,)
        Mean log-odds of P(up given rated, x) and of P(rated given x).
    arm : ndarray of int, shape (k,)
        Number of the arm: 0 not asked, 1, 2, ... the levels of asks in rising order.
    outcome : ndarray, shape (3, k)
        Sums of weights of the rows without gold label: thumbs up, thumbs down, unrated.
    gold : ndarray, shape (2, 2, k)
        The same of rows with a gold label: by label (bad, good), and by whether they were rated (no, yes).

    """

    q: Array
    p: Array
    arm: Index
    outcome: Array
    gold: Array

    @staticmethod
    def of(parts: list[Feedback]) -> AskedCounts | None:
        """Count the rows of a lottery; None without one, or with fewer than two arms.

        Parameters
        ----------
        parts : list of Feedback
            Parts of a log with ``eta.noisy`` and ``eta.responds``, and ``eta.fold`` where they are out of
            fold. Every fold and every part is shifted to the common mean of its log-odds.

        Returns
        -------
        AskedCounts or None

        """
        drawn = [arms(d) for d in parts]
        level, weight = (np.concatenate([v[i].numpy() for v in drawn]) for i in (0, 1))
        kept = level >= 0
        levels, arm = np.unique(level[kept], return_inverse=True)
        if len(levels) < 2 or levels[0] != 0:
            return None

        def column(values: list[torch.Tensor]) -> Array:
            return np.asarray(torch.cat(values).double().cpu().numpy()[kept], dtype=np.float64)

        fold = column(
            [
                d.eta.fold if "fold" in d.eta else torch.full((len(d),), -1.0 - i)
                for i, d in enumerate(parts)
            ]
        )
        w = weight[kept] * effective_size(weight[kept]) / weight[kept].sum()
        q, p = (
            centred(column([odds(d.eta[k]) for d in parts]), fold, w) for k in ("noisy", "responds")
        )
        rated, up = column([d.seen for d in parts]), column([d.seen * d.y for d in parts])
        gold = column(
            [torch.full((len(d),), torch.nan) if d.gold is None else d.gold for d in parts]
        )
        cell = np.arange(len(q)) if len(q) <= BINS**2 else bins(q, BINS) * BINS + bins(p, BINS)
        _, cell = np.unique(cell * len(levels) + arm, return_inverse=True)

        def total(v: Array) -> Array:
            return np.asarray(np.bincount(cell, w * v), dtype=np.float64)

        n = total(np.ones(len(q)))
        known = ~np.isnan(gold)
        good = np.where(known, gold, 0.0)
        of_gold = [
            [total(known * part * (1 - rated)), total(known * part * rated)]
            for part in (1 - good, good)
        ]
        outcome = [total(~known * v) for v in (up, rated - up, 1 - rated)]
        return AskedCounts(
            total(q) / n,
            total(p) / n,
            np.rint(total(arm.astype(np.float64)) / n).astype(np.int64),
            np.array(outcome),
            np.array(of_gold),
        )

    @property
    def n(self) -> Array:
        """(k,) weight of all rows of each cell."""
        return np.asarray(self.outcome.sum(0) + self.gold.sum((0, 1)))

    @property
    def rated(self) -> Array:
        """(k,) weight of the rated rows of each cell."""
        return np.asarray(self.outcome[:2].sum(0) + self.gold[:, 1].sum(0))

    @property
    def answering(self) -> Array:
        """(T,) share of rated rows in every arm."""
        return np.asarray(np.bincount(self.arm, self.rated) / np.bincount(self.arm, self.n))

    @property
    def bounds(self) -> tuple[float, float]:
        """max_t U_t and 1 - max_t D_t: the share of good responses lies between them, see `asked_share`.

        U_t and D_t are the shares of thumbs up and down in the arm t.
        """
        size = np.bincount(self.arm, self.outcome.sum(0))
        up, down = (np.bincount(self.arm, v) / np.maximum(size, 1e-12) for v in self.outcome[:2])
        return float(up.max()), float(1 - down.max())

    def moments(self, v: Array) -> tuple[float, float]:
        """Return the mean and the standard deviation, at least 0.02, of a (k,) column over rows."""
        return moments(v, self.n)
