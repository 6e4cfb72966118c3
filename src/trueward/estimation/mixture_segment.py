"""The segment of outcome probabilities and the place of an answer on it; needs numpy alone, for exports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

MAX_LOG_ODDS = 12.0  # largest absolute log-odds
HALVINGS = 40  # steps of the bisection; its last interval is 2e-11 long
PRIOR_WEIGHT = 1e-5  # weight of the prior log g(1-g)


@dataclass(frozen=True)
class Segment:
    """Outcome probabilities between those of a certainly bad and those of a certainly good answer.

    Attributes
    ----------
    bad, good : ndarray, shape (2,)
        (P(up), P(down)) of such an answer.

    """

    bad: Array
    good: Array

    def place(self, up: Array, down: Array) -> Array:
        """Return the log-odds s of the point of the segment nearest to the given probabilities.

        s = argmax sum_k p_k log P_k(s) + 1e-5 log g(1-g), over k = up, down, none, with g = sigmoid(s). The
        last term keeps points beyond an end in their order. The derivative falls in g, so bisection finds
        its zero.

        Parameters
        ----------
        up, down : ndarray, any shape
            P(up) and P(down) given x.

        Returns
        -------
        ndarray
            Log-odds of the same shape, in [-12, 12].

        """
        up, down = (np.asarray(v, np.float64) for v in (up, down))
        bad, good = (np.append(v, 1 - np.sum(v)) for v in (self.bad, self.good))
        low = np.full(up.shape, -MAX_LOG_ODDS)
        high = -low
        for _ in range(HALVINGS):
            s = (low + high) / 2
            g, b = 1 / (1 + np.exp(-s)), 1 / (1 + np.exp(s))
            slope = PRIOR_WEIGHT * (1 / g - 1 / b)
            for k, p in enumerate((up, down, 1 - up - down)):
                slope += p * (good[k] - bad[k]) / np.maximum(g * good[k] + b * bad[k], 1e-9)
            low, high = np.where(slope > 0, s, low), np.where(slope > 0, high, s)
        return np.asarray((low + high) / 2)
