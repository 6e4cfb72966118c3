"""Noise rates as lapse rates: where P(thumb up) levels off as the proxy gets surer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, xlog1py, xlogy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

BINS = 30  # quantile bins of the log-odds
GRID = np.arange(46) / 100  # rates that are tried, 0 to .45
PULL = 4.0  # prior of a rate: (1 - rate)^4, with mean .17
OFFSET_SD, SLOPE_SD = 3.0, 1.0  # priors of a, around 0, and of b, around 1
FLATTEST = 0.05  # smallest b
STEPS, SMALL = 30, 1e-3  # of Fisher scoring, at most; a step of a and b that ends it
#: number of rates -> share of the highest density that the 95 % region reaches down to (chi-squared)
LIKELY = {0: 1.0, 1: float(np.exp(-1.92)), 2: float(np.exp(-3.0))}


@dataclass(frozen=True)
class LapseRates:
    """Posterior of two noise rates on a grid, from P(up) = rho_10 + (1 - rho_01 - rho_10) sigmoid(a + b z).

    The rates are where P(up) levels off at both ends of the log-odds z. They are right if the log-odds of a
    good answer are linear in z. A proxy that predicts little has no end that levels off: the estimate is then
    0, and the interval is wide.

    Attributes
    ----------
    share : ndarray, shape (g, g)
        Posterior of rho_01 (rows) and rho_10 (columns) on `GRID`; sums to 1.

    """

    share: Array

    @staticmethod
    def fit(
        z: Array, up: Array, group: Index, rho_01: float | None = None, rho_10: float | None = None
    ) -> LapseRates:
        """Compute the posterior; a and b are integrated out by Laplace's approximation.

        Parameters
        ----------
        z : ndarray, shape (n,)
            Out-of-fold log-odds of a thumb up of the rated rows, each fold with the common mean.
        up : ndarray, shape (n,)
            1 for a thumb up.
        group : ndarray, shape (n,)
            Number of the prompt; ratings of one prompt that err alike count less.
        rho_01, rho_10 : float or None
            A rate that is given, which is held.

        Returns
        -------
        LapseRates

        """
        edges = np.unique(np.quantile(z, np.linspace(0, 1, BINS + 1)[1:-1]))
        cell = np.unique(np.searchsorted(edges, z), return_inverse=True)[1]
        n = np.bincount(cell).astype(np.float64)
        at, ups = np.bincount(cell, z) / n, np.bincount(cell, up)
        error = up - (ups / n)[cell]
        by_prompt = np.bincount(np.unique(group, return_inverse=True)[1], error)
        effect = max(1.0, float(np.square(by_prompt).sum() / max(np.square(error).sum(), 1e-12)))
        high = GRID if rho_01 is None else np.array([rho_01])
        low = GRID if rho_10 is None else np.array([rho_10])
        evidence = _log_evidence(at, n / effect, ups / effect, high[:, None], low[None, :])
        share = np.exp(evidence - evidence.max())
        return LapseRates(share / share.sum())

    @property
    def shown(self) -> bool:
        """Whether the ratings show any wrong feedback: a rate of 0 is outside the joint 95 % region."""
        free = sum(size > 1 for size in self.share.shape)
        return bool(self.share[0, 0] < LIKELY[free] * self.share.max())

    @property
    def estimate(self) -> tuple[float, float]:
        """(rho_01, rho_10) of the highest posterior if they are `shown`, else 0; 0 for one that is given."""
        best = int(self.share.argmax()) if self.shown else 0
        i, j = np.unravel_index(best, self.share.shape)
        return float(GRID[i]), float(GRID[j])

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % interval of every rate: where its density is at least .147 of the highest (chi-squared, 1 df).

        It contains 0 unless the ratings speak against 0. Where a rate is given both ends are 0.
        """
        ends, half = {}, GRID[1] / 2
        for name, axis in (("rho_01", 1), ("rho_10", 0)):
            density = self.share.sum(axis)
            inside = GRID[np.flatnonzero(density >= LIKELY[1] * density.max())]
            ends[name] = max(0.0, float(inside[0] - half)), float(inside[-1] + half)
        return ends

    def draws(self, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw (rho_01, rho_10), uniform within a cell of the grid and not below 0.

        Parameters
        ----------
        size : int
            Number of draws.
        rng : Generator
            Source of random numbers.

        Returns
        -------
        rho_01, rho_10 : ndarray, shape (size,)

        """
        cells = rng.choice(self.share.size, size, p=self.share.ravel())
        i, j = np.unravel_index(cells, self.share.shape)
        half = GRID[1] / 2
        one, other = (np.maximum(GRID[k] + rng.uniform(-half, half, size), 0.0) for k in (i, j))
        return one, other


def _log_evidence(z: Array, n: Array, up: Array, high: Array, low: Array) -> Array:
    """Log marginal likelihood plus log prior of all pairs of rates, (g, h); z, n and up are (k,)."""
    span = (1 - high - low)[..., None]
    a, b = (np.full(span.shape[:2], v) for v in (0.0, 1.0))

    def curve(a: Array, b: Array) -> tuple[Array, Array]:
        s = expit(a[..., None] + b[..., None] * z)
        return (low[..., None] + span * s).clip(1e-9, 1 - 1e-9), span * s * (1 - s)

    def information(p: Array, slope: Array) -> tuple[Array, Array, Array]:
        w = n * np.square(slope) / (p * (1 - p))
        return w.sum(-1) + OFFSET_SD**-2, w @ z, w @ np.square(z) + SLOPE_SD**-2

    for _ in range(STEPS):
        p, slope = curve(a, b)
        pull = (up - n * p) * slope / (p * (1 - p))
        g_a, g_b = pull.sum(-1) - a / OFFSET_SD**2, pull @ z - (b - 1) / SLOPE_SD**2
        aa, ab, bb = information(p, slope)
        det = aa * bb - np.square(ab)
        step = ((bb * g_a - ab * g_b) / det).clip(-1, 1)
        a, last = a + step, b
        b = np.maximum(b + ((aa * g_b - ab * g_a) / det).clip(-0.5, 0.5), FLATTEST)
        if max(np.abs(step).max(), np.abs(b - last).max()) < SMALL:
            break
    p, slope = curve(a, b)
    aa, ab, bb = information(p, slope)
    likelihood = (xlogy(up, p) + xlog1py(n - up, -p)).sum(-1)
    prior = -0.5 * (np.square(a / OFFSET_SD) + np.square((b - 1) / SLOPE_SD))
    rates = PULL * (np.log1p(-high) + np.log1p(-low))
    return np.asarray(likelihood + prior + rates - 0.5 * np.log(aa * bb - np.square(ab)))
