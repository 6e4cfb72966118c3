"""Four drifts between a reference and a window of a log, each with an interval at a given error level.

The rows of a product come about in four steps, and each can change alone:

p(prompt) -> p(response | prompt) -> P(good | x) -> P(react | x, good).

``traffic`` compares the first, ``quality`` the model's reward in the second at an equal mix of prompts,
``calibration`` the third at equal x, and ``behaviour`` the last at equal x and equal quality.

With O_1, O_0 the numbers of thumbs up and down of a window, and E_1, E_0 those that the reference expects of
the same prompts and responses,

behaviour = (l_1 O_1 + l_0 O_0) / (l_1 E_1 + l_0 E_0),
calibration = l_1 O_1 / (l_1 O_1 + l_0 O_0) - l_1 E_1 / (l_1 E_1 + l_0 E_0).

l_1 / l_0 = odds(mean P over shown responses) / odds(share of good ratings), of the reference, is how much
rarer the model holds a rating of a good response than of a bad one. If all react k times as often, whatever
they think, the first is k whatever the quality is, and the second is the change of P(good) whatever k is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtri, chndtrinc, fdtrc, ndtr

from trueward.core.weighted import effective_size

from .baseline import Baseline
from .drift import NAMES, Drift
from .looks import margin

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueward.core.clustering import Clusters

    from .rows import MonitoredRows

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

FEWEST = 10  # effective units, of rows or of ratings, that must carry an interval
LARGEST_ODDS = 10.0  # of l_1 / l_0 and its inverse


class Comparison:
    """The reference with its regressions; compares windows of later rows with it.

    Parameters
    ----------
    rows : MonitoredRows
        The reference, then the log.
    first : int
        Number of the rows of the reference.
    clusters : Clusters
        Prompts and users of all rows.
    tolerance : dict of str to float
        Tolerance of every drift.

    """

    def __init__(
        self, rows: MonitoredRows, first: int, clusters: Clusters, tolerance: dict[str, float]
    ) -> None:
        self.rows, self.clusters, self.tolerance = rows, clusters, tolerance
        self.reference = reference = rows.take(np.arange(first))
        self.share = reference.weight / reference.weight.sum()
        weights = (reference.weight, reference.group)
        signals = [reference.up] + ([] if reference.down is None else [reference.down])
        self.signals = [
            Baseline.fit(reference.features, t, *weights, is_logistic=True) for t in signals
        ]
        self.reward = None
        if reference.p is not None:
            self.reward = Baseline.fit(reference.prompt, reference.p, *weights, is_logistic=False)

    @property
    def odds(self) -> float:
        """l_1 / l_0: 1 where the model holds feedback to be missing at random, or nothing is known."""
        up, down, p = (self.reference.up, self.reference.down, self.reference.p)
        if down is None or p is None:
            return 1.0
        good, bad, mean = (float(self.share @ v) for v in (up, down, p))
        if good <= 0 or bad <= 0 or not 0 < mean < 1:
            return 1.0
        return float(np.clip(mean / (1 - mean) * bad / good, 1 / LARGEST_ODDS, LARGEST_ODDS))

    def drifts(self, window: Index, level: float) -> dict[str, Drift]:
        """Compare rows of the log with the reference.

        Parameters
        ----------
        window : (m,) array of int
            Rows of the log, counted from the start of the reference.
        level : float
            Error level of each interval.

        Returns
        -------
        dict of str to Drift
            By name.

        """
        first = len(self.reference)
        live = _Window(
            self.rows.take(window), self.clusters.rows(np.r_[np.arange(first), window]), self.share
        )
        found = {"traffic": self._traffic(live, level), "quality": self._quality(live, level)}
        found |= self._ratings(live, level)
        return {name: found[name] for name in NAMES}

    def _drift(self, name: str, source: str, *ends: float | None, reason: str = "") -> Drift:
        value, low, high = ends or (None, None, None)
        return Drift(
            name, value, low, high, self.tolerance[name], reason=reason or None, source=source
        )

    def _traffic(self, live: _Window, level: float) -> Drift:
        """Area under the curve of the best linear classifier of prompts, Phi(delta / sqrt 2).

        delta^2 = d' S^-1 d with d the difference of the means; d' V^-1 d with V the clustered variance of d
        is a noncentral chi-squared, whose noncentrality is bounded at the level.
        """
        z, z_0 = live.rows.prompt, self.reference.prompt
        m, m_0 = live.share @ z, self.share @ z_0
        k, degrees = z.shape[1], live.degrees(live.share)
        if degrees < k + FEWEST:
            few = f"{degrees + 1:.0f} effective prompts or users, and {k + FEWEST + 1} are needed"
            return self._drift("traffic", "prompts", reason=few)
        size, axes = np.linalg.eigh((z_0.T * self.share) @ z_0 - np.outer(m_0, m_0))
        white = axes / np.sqrt(np.maximum(size, 1e-3))
        influence = np.vstack([-(z_0 - m_0) * self.share[:, None], (z - m) * live.share[:, None]])
        size, axes = np.linalg.eigh(live.variance(influence @ white))
        size = np.maximum(size, 0.5 / effective_size(live.share))
        t = float(np.square(axes.T @ ((m - m_0) @ white) / np.sqrt(size)).sum())
        scaled = t * (degrees - k + 1) / (degrees * k)
        p = float(fdtrc(k, degrees - k + 1, scaled))
        t = float(chdtri(k, p)) if p > 1e-280 else scaled * k
        unit = float(size.mean())
        ends = [
            max(t - k, 0.0),
            float(_noncentrality(k, 1 - level / 2, t)),
            float(_noncentrality(k, level / 2, t)),
        ]
        auc = [float(ndtr(np.sqrt(max(v, 0.0) * unit / 2))) for v in ends]
        return self._drift("traffic", "prompts", auc[0], min(auc[0], auc[1]), max(auc[0], auc[2]))

    def _quality(self, live: _Window, level: float) -> Drift:
        """Mean reward P minus the mean that the reference expects of the same prompts."""
        if self.reward is None or live.rows.p is None:
            return self._drift(
                "quality", "rewards", reason="the model identifies only an interval of P(preferred)"
            )
        degrees = live.degrees(live.share)
        if degrees < FEWEST - 1:
            few = f"{degrees + 1:.0f} effective prompts or users, and {FEWEST} are needed"
            return self._drift("quality", "rewards", reason=few)
        mean = self.reward.expected(live.rows.prompt)
        gap = live.rows.p - mean
        value = float(live.share @ gap)
        influence = np.r_[
            -self.reward.influence(live.rows.prompt, live.share, mean), live.share * (gap - value)
        ]
        wide = margin(live.error(influence), degrees, level)
        return self._drift("quality", "rewards", value, value - wide, value + wide)

    def _ratings(self, live: _Window, level: float) -> dict[str, Drift]:
        """Behaviour and calibration, from thumbs up and down against what the reference expects."""
        names = ("behaviour", "calibration")
        observed = [live.rows.up] + ([] if live.rows.down is None else [live.rows.down])
        degrees = live.degrees(live.share * live.rows.rated)
        if not self.reference.rated.any():
            reason = "the reference has no ratings"
            return {name: self._drift(name, "ratings", reason=reason) for name in names}
        if degrees < FEWEST - 1:
            few = max(degrees + 1, 0.0)
            reason = f"{few:.0f} effective prompts or users with ratings, and {FEWEST} are needed"
            return {name: self._drift(name, "ratings", reason=reason) for name in names}
        counts = [self._count(live, t, fit) for t, fit in zip(observed, self.signals, strict=True)]
        odds = (self.odds, 1.0)[: len(counts)]
        seen, awaited = (
            [c.times(w, part) for c, w in zip(counts, odds, strict=True)] for part in (0, 1)
        )
        (o, d_o), (e, d_e) = _total(seen), _total(awaited)
        ratio = o / max(e, 1e-12)
        wide = margin(live.error((d_o - ratio * d_e) / max(o, 1e-12)), degrees, level)
        found = {
            "behaviour": self._drift(
                "behaviour", "ratings", ratio, ratio * np.exp(-wide), ratio * np.exp(wide)
            )
        }
        if len(counts) == 1:
            reason = "without negative ratings it cannot be told from a change of who reacts"
            return found | {"calibration": self._drift("calibration", "ratings", reason=reason)}
        shares = [seen[0][0] / o, awaited[0][0] / max(e, 1e-12)]
        steps = [
            (seen[0][1] - shares[0] * d_o) / o,
            (awaited[0][1] - shares[1] * d_e) / max(e, 1e-12),
        ]
        value = shares[0] - shares[1]
        wide = margin(live.error(steps[0] - steps[1]), degrees, level)
        return found | {
            "calibration": self._drift(
                "calibration", "ratings", value, max(value - wide, -1.0), min(value + wide, 1.0)
            )
        }

    def _count(self, live: _Window, t: Array, fit: Baseline) -> _Count:
        """Observed and expected share of rows with a signal, with the influence of all rows on both."""
        mean = fit.expected(live.rows.features)
        nothing = np.zeros(len(self.reference))
        return _Count(
            float(live.share @ t),
            np.r_[nothing, live.share * t],
            float(live.share @ mean),
            np.r_[fit.influence(live.rows.features, live.share, mean), live.share * mean],
        )


@dataclass(frozen=True)
class _Count:
    """Share of rows with a signal as observed and as expected, and the influence of every row."""

    observed: float
    observed_influence: Array
    expected: float
    expected_influence: Array

    def times(self, factor: float, part: int) -> tuple[float, Array]:
        """The observed (0) or the expected (1) share and influence, times a factor."""
        if part == 0:
            return factor * self.observed, factor * self.observed_influence
        return factor * self.expected, factor * self.expected_influence


class _Window:
    """Rows of a window, with the clusters of the reference and of these."""

    def __init__(self, rows: MonitoredRows, units: Clusters, reference: Array) -> None:
        self.rows, self.units = rows, units
        self.share = rows.weight / rows.weight.sum()
        self.mass = np.r_[reference, self.share] / 2
        self.first = len(reference)

    def variance(self, influence: Array) -> Array:
        return np.atleast_2d(self.units.variance(influence, self.mass))

    def error(self, influence: Array) -> float:
        return float(np.sqrt(self.units.variance(influence, self.mass)))

    def degrees(self, mass: Array) -> float:
        """Effective number of units of the window that carry a mass, minus 1."""
        each = [
            effective_size(np.bincount(unit[self.first :], mass))
            for unit in self.units.units.values()
        ]
        return min(each) - 1


def _total(parts: list[tuple[float, Array]]) -> tuple[float, Array]:
    return sum(v for v, _ in parts), np.sum([d for _, d in parts], axis=0)


def _noncentrality(k: int, level: float, t: float) -> float:
    """Noncentrality at which P(chi-squared_k <= t) is ``level``; 0 where it is less at 0."""
    found = float(chndtrinc(t, k, level))
    return found if np.isfinite(found) else 0.0
