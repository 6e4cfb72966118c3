"""Prediction-powered estimates of metrics through influence functions.

A metric is a mean of an influence function psi over rows. Gold labels and a prediction of the other labels
give its value and a 95 % interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trueward.core.clustering import clusters, few_warnings
from trueward.core.estimate import Estimate
from trueward.core.intervals import Scale, skewness, student_interval
from trueward.core.weighted import effective_size

from .influence_functions import INFLUENCE_FUNCTIONS, class_mass, cross_fitted_share
from .label_draw import LabelDraw
from .labelled_pairs import estimate_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueward.core.influence import InfluenceFunction

    Array = NDArray[np.float64]

SCALES: dict[str, Scale] = {
    "auroc": "share",
    "accuracy": "share",
    "good": "share",
    "pair_accuracy": "share",
    "brier": "error",
    "nll": "error",
    "r2": "score",
}
FEWEST = 10  # effective units that must carry a figure


@dataclass(frozen=True)
class AuditRows(LabelDraw):
    """Logged rows with what an audit reads of them; estimates every metric in `INFLUENCE_FUNCTIONS`.

    The estimates are those of the logged rows, and what is random is which rows have a gold label. With
    ``future`` they are those of future prompts, of which the logged prompts are a random draw.
    """

    def estimate(self, name: str) -> tuple[Estimate, Estimate]:
        """Estimate a metric from gold labels and the log, and from the gold labels alone.

        Parameters
        ----------
        name : str
            A key of `INFLUENCE_FUNCTIONS`, or ``pair_accuracy``.

        Returns
        -------
        with_log, alone : Estimate
            With 95 % intervals; without a value, and with the reason, where fewer than 10 effective units
            carry it.

        """
        if name == "pair_accuracy":
            return estimate_pairs(self)
        labels, w = self.gold[self.known], self.gold_share[self.known]
        mean = float(w @ labels)
        if name in ("auroc", "r2") and 4 * effective_size(w) * mean * (1 - mean) < FEWEST:
            few = Estimate(
                None, reason="too few gold labels of one class carry it; label more rows"
            )
            return few, few
        rows = (v[self.known] for v in (self.p, self.s, self.gold, self.spread))
        alone = INFLUENCE_FUNCTIONS[name](*rows, w)
        psi = alone.at(labels, self.spread[self.known])
        influence, mass = np.zeros(len(self.p)), np.zeros(len(self.p))
        influence[self.known] = w * (psi - w @ psi)
        mass[self.known] = class_mass(labels, w) if name == "auroc" else w
        return (
            self._interval(name, *self._tuned(name), mass),
            self._interval(name, alone.theta + float(w @ psi), influence, mass),
        )

    def variance(self, name: str) -> float:
        """Variance of a metric's estimate from n gold labels, times n / (1 - n/N).

        Without gold labels it assumes a calibrated model: E[p (1 - p) (psi(1) - psi(0))^2] with g = p.
        """
        if not self.known.any():
            f = INFLUENCE_FUNCTIONS[name](self.p, self.s, self.p, 0.0, self.share)
            return float(
                len(self.p) * self.share**2 @ (self.p * (1 - self.p) * (f.good - f.bad) ** 2)
            )
        error, _ = self._error(self._tuned(name)[1])
        return float(error**2 * self.known.sum() / max(1 - self.known.mean(), 1e-9))

    def deviation(self, name: str) -> tuple[float, float, float]:
        """Estimate a metric with its standard error, for an interval at a level of one's own.

        Parameters
        ----------
        name : str
            A key of `INFLUENCE_FUNCTIONS`.

        Returns
        -------
        value, error, degrees : float
            The estimate, its standard error, and the effective number of units with a gold label minus 1.

        """
        value, influence = self._tuned(name)
        size = effective_size(np.bincount(self.unit, self.gold_share).astype(np.float64))
        return value, self._error(influence)[0], size - 1

    def few_units(self) -> tuple[str, ...]:
        """Warn of fewer than 10 effective prompts or users among the responses."""
        units = clusters(len(self.p), group=self.group, user=self.user)
        return few_warnings(units.effective(self.share))

    def _expansion(self, name: str) -> InfluenceFunction:
        """Influence function at the pseudo-labels, or at g where their mean is no share."""
        label = self.pseudo_label
        spread = self.guessed_spread + self.weight * (self.spread - self.guessed_spread)
        w = self.share
        if name in ("auroc", "r2") and not 0.02 < w @ (label - spread) < 0.98:
            label, spread = self.g, self.guessed_spread
        if name in ("auroc", "r2") and not 0 < w @ label < 1:
            label = np.full(len(label), float(self.gold_share @ self.r))
        return INFLUENCE_FUNCTIONS[name](self.p, self.s, label, spread, w)

    def _tuned(self, name: str) -> tuple[float, Array]:
        """Value and (n,) influence at the lambda of least variance on other units."""
        f, w = self._expansion(name), self.gold_share
        guess, psi = f.at(self.g, self.guessed_spread), f.at(self.r, self.spread)
        first = w * (psi - w @ psi)  # influence at lambda = 0
        change = -w * (guess - w @ guess)
        if self.future:
            change = change + self.share * (guess - self.share @ guess)
        rest = np.ones(len(w)) if self.future else np.sqrt(self.chance_left)
        best = cross_fitted_share(rest * first, rest * change, self.unit, self.known)
        value = f.theta + w @ psi + (w * best) @ (self.share @ guess - guess)
        return float(value), first + best * change

    def _error(self, influence: Array) -> tuple[float, float]:
        """Standard error and skewness of a sum over the drawn units, or over prompts and users."""
        if self.future:
            units = clusters(len(influence), group=self.group, user=self.user)
            return float(np.sqrt(units.variance(influence))), units.skewness(influence)
        total = np.bincount(self.unit, np.sqrt(self.chance_left) * influence)
        mass = np.bincount(self.unit, self.gold_share)
        total = total / (1 - np.minimum(mass, 0.99))
        return float(np.sqrt(np.square(total).sum())), skewness(total)

    def _interval(self, name: str, value: float, influence: Array, mass: Array) -> Estimate:
        """95 % interval by Student's t on the scale of the metric; none where too few units carry it."""
        error, skew = self._error(influence)
        if not np.isfinite(value) or not np.isfinite(error):
            return Estimate(None, reason="the data do not define it")
        if self.complete and not self.future:
            return Estimate(value, value, value)
        size = effective_size(np.bincount(self.unit, mass).astype(np.float64))
        if self.future and self.user is not None:
            size = min(
                size, *clusters(len(mass), user=self.user, cluster="user").effective(mass).values()
            )
        if size < FEWEST:
            return Estimate(
                None,
                reason=f"an effective number of {size:.1f} units carries it, and {FEWEST} are needed",
            )
        scale = SCALES.get(name, "difference")
        if scale == "share" and not 0 < value < 1:
            return student_interval(float(value >= 1), 0.0, size - 1, scale)
        return student_interval(value, error, size - 1, scale, skew)


def interval_width(e: Estimate) -> float:
    """Width of the interval of an estimate; infinite where there is none.

    Parameters
    ----------
    e : Estimate
        The estimate.

    Returns
    -------
    float
        ``high - low``, in the unit of the estimate.

    """
    return np.inf if e.low is None or e.high is None else e.high - e.low
