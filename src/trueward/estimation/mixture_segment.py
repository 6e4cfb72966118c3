"""A segment of outcomes, and where on it an answer lies: needs numpy alone, so that a folder can carry it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

FARTHEST = 12.0  # log-odds of a good answer, either way
HALVINGS = 40  # of the interval between: 2e-11 is left of it
FAINT = 1e-5  # of an answer: how much of one is known to be good, and of one to be bad


@dataclass(frozen=True)
class Segment:
    """(P(up), P(down)) of an answer that is certainly bad, and of one that is certainly good."""

    bad: Array
    good: Array

    def place(self, up: Array, down: Array) -> Array:
        """argmax_s sum_k p_k log P_k(s) + 1e-5 log g(1-g): log-odds of the point nearest to (up, down, none).

        The last term keeps those beyond an end in their order. The slope falls in g, so halving finds where
        it is 0. Any shape, each number for itself.
        """
        up, down = (np.asarray(v, np.float64) for v in (up, down))
        bad, good = (np.append(v, 1 - np.sum(v)) for v in (self.bad, self.good))
        low = np.full(up.shape, -FARTHEST)
        high = -low
        for _ in range(HALVINGS):
            s = (low + high) / 2
            g, b = 1 / (1 + np.exp(-s)), 1 / (1 + np.exp(s))
            slope = FAINT * (1 / g - 1 / b)
            for k, p in enumerate((up, down, 1 - up - down)):
                slope += p * (good[k] - bad[k]) / np.maximum(g * good[k] + b * bad[k], 1e-9)
            low, high = np.where(slope > 0, s, low), np.where(slope > 0, high, s)
        return np.asarray((low + high) / 2)
