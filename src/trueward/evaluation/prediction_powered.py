"""Prediction-powered estimates of metrics through influence functions.

A metric is a mean of an influence function psi over rows. Gold labels and a prediction of the other labels
give its value and a 95 % interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from trueward.core.estimate import Estimate

from .clustering import Scale, clusters, student_interval
from .influence_functions import INFLUENCE_FUNCTIONS, class_mass, cross_fitted_share
from .prompt_pairs import ordered, pairs_within_prompts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueward.core.influence import InfluenceFunction

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

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
FEWEST_PAIRS = 20  # effective prompts with gold labels on a better and a worse answer


@dataclass(frozen=True)
class AuditRows:
    """Logged rows with what an audit reads of them; estimates every metric in `INFLUENCE_FUNCTIONS`.

    The estimates are those of the logged rows, and what is random is which rows have a gold label. With
    ``future`` they are those of future prompts, of which the logged prompts are a random draw.
    """

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

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """(n,) whether a row has a gold label."""
        return ~np.isnan(self.gold)

    @cached_property
    def r(self) -> Array:
        """(n,) gold label, 0 where there is none."""
        return np.nan_to_num(self.gold)

    @cached_property
    def weight(self) -> Array:
        """(n,) weights: N/n on the n gold rows of N, 0 elsewhere."""
        return np.where(self.known, len(self.known) / self.known.sum(), 0.0)

    @cached_property
    def pseudo_label(self) -> Array:
        """(n,) g + weight (r - g): its mean over rows is unbiased for the mean label."""
        return self.g + self.weight * (self.r - self.g)

    @cached_property
    def spread(self) -> Array:
        """(n,) r (1 - r) of gold labels, which is 0 for labels 0 and 1."""
        return self.r * (1 - self.r)

    @cached_property
    def guessed_spread(self) -> Array:
        """(n,) prediction of r (1 - r): g (1 - g) times its ratio on the gold rows, 0 for labels 0 and 1."""
        v = self.g * (1 - self.g)
        return v * float(self.spread[self.known].sum() / max(v[self.known].sum(), 1e-12))

    @cached_property
    def unit(self) -> Index:
        """(n,) unit of the random draw: rows, or prompts or users where many gold labels share one.

        Of future prompts the units are the prompts, and the variance is clustered by user, too.
        """
        rows = np.arange(len(self.group))
        if self.future:
            return self.group
        for ids in (self.user, self.group):
            if ids is None:
                continue
            unit = np.unique(ids, return_inverse=True)[1]
            together = (np.bincount(unit, self.known) ** 2).sum() - self.known.sum()
            chance = self.known.mean() ** 2 * ((np.bincount(unit) ** 2).sum() - len(unit))
            if together > 2 * chance + 20:
                return np.asarray(unit)
        return rows

    @cached_property
    def drawn(self) -> int:
        """Number of units with a gold label."""
        return len(np.unique(self.unit[self.known]))

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
            return self._pairs()
        labels = self.gold[self.known]
        if (
            name in ("auroc", "r2")
            and 4 * len(labels) * labels.mean() * (1 - labels.mean()) < FEWEST
        ):
            few = Estimate(
                None, reason="too few gold labels of one class carry it; label more rows"
            )
            return few, few
        rows = (v[self.known] for v in (self.p, self.s, self.gold, self.spread))
        alone = INFLUENCE_FUNCTIONS[name](*rows)
        psi = alone.at(labels, self.spread[self.known])
        influence = np.zeros(len(self.p))
        influence[self.known] = (psi - psi.mean()) / len(psi)
        mass = np.zeros(len(self.p))
        mass[self.known] = class_mass(labels, np.ones(len(labels))) if name == "auroc" else 1.0
        return (
            self._interval(name, *self._tuned(name), mass),
            self._interval(name, alone.theta + float(psi.mean()), self._error(influence), mass),
        )

    def variance(self, name: str) -> float:
        """Variance of a metric's estimate from n gold labels, times n / (1 - n/N).

        Without gold labels it assumes a calibrated model: E[p (1 - p) (psi(1) - psi(0))^2] with g = p.
        """
        if not self.known.any():
            f = INFLUENCE_FUNCTIONS[name](self.p, self.s, self.p)
            return float((self.p * (1 - self.p) * (f.good - f.bad) ** 2).mean())
        _, error = self._tuned(name)
        return float(error**2 * self.known.sum() / max(1 - self.known.mean(), 1e-9))

    def _expansion(self, name: str) -> InfluenceFunction:
        """Influence function at the pseudo-labels, or at g where their mean is no share."""
        label = self.pseudo_label
        spread = self.guessed_spread + self.weight * (self.spread - self.guessed_spread)
        n, known = len(label), self.known
        if name in ("auroc", "r2") and not 0.02 < label.mean() - spread.mean() < 0.98:
            label, spread = self.g, self.guessed_spread
        if name in ("auroc", "r2") and min(label.sum(), n - label.sum()) <= 0:
            label = np.full(n, float(self.gold[known].mean()))
        return INFLUENCE_FUNCTIONS[name](self.p, self.s, label, spread)

    def _tuned(self, name: str) -> tuple[float, float]:
        """Value and standard error at the lambda of least variance on other units."""
        f, known = self._expansion(name), self.known
        guess, w = f.at(self.g, self.guessed_spread), self.weight / len(self.p)
        psi = f.at(self.r, self.spread)
        first = w * (psi - psi[known].mean())  # influence at lambda = 0
        change = -w * (guess - guess[known].mean())
        if self.future:
            change = change + (guess - guess.mean()) / len(guess)
        share = cross_fitted_share(first, change, self.unit, known)
        drawn = share[known]
        value = f.theta + psi[known].mean() + (drawn * (guess.mean() - guess[known])).mean()
        return float(value), self._error(first + share * change)

    def _pairs(self) -> tuple[Estimate, Estimate]:
        """Share of the pairs of a better and a worse answer to one prompt that the score orders.

        A ratio of two sums over pairs, each unbiased for every g: the prediction from g, what single gold
        labels change in it, and the residual of pairs with two gold labels over P(both).
        """
        i, j = pairs_within_prompts(self.group)
        if not len(i):
            none = Estimate(None, reason="no prompt has two answers")
            return none, none
        both = self.known[i] & self.known[j]
        differs = both & (self.r[i] != self.r[j])
        carried = np.bincount(self.group[i], differs * 1.0).astype(np.float64)
        total, square = carried.sum(), np.square(carried).sum()
        size = total**2 / square if square else 0.0
        if size < FEWEST_PAIRS and self.known.mean() < 1:
            few = Estimate(
                None,
                reason=f"only {size:.0f} effective prompts have gold labels on a better and a worse answer, "
                f"of {FEWEST_PAIRS} needed; label whole prompts",
            )
            return few, few
        win = 0.5 + 0.5 * np.sign(self.s[i] - self.s[j])
        more = np.sign(self.r[i] - self.r[j])
        exact = np.stack([win * (more > 0) + (1 - win) * (more < 0), np.abs(more)])
        g, one = self.g, self.pseudo_label
        product = one[i] * g[j] + g[i] * (one[j] - g[j])
        known = [np.where(self.known, self.r, g), g]
        left, right = (ordered(win, known[a][i], known[1 - a][j]) for a in (0, 1))
        guess = ordered(win, g[i], g[j])
        rest = both * (exact - left - right + guess) * (len(i) / max(both.sum(), 1))
        sums = ordered(win, one[i], one[j], product) + rest
        alone = self._ratio(both * exact, 0 * guess, self.group[i], carried, size)
        with_log = self._ratio(sums, guess, self.group[i], carried, size)
        return with_log, alone

    def _ratio(
        self, sums: Array, guess: Array, group: Index, carried: Array, size: float
    ) -> Estimate:
        """Sum of the first row of ``sums`` over that of the second; ``guess`` does not depend on the draw."""
        right, mixed = sums.sum(1)
        if mixed <= 0 or not 0 <= right <= mixed:
            return Estimate(None, reason="too few prompts have gold labels of both kinds")
        value = float(right / mixed)
        drawn = sums if self.future else sums - guess
        influence = np.bincount(group, (drawn[0] - value * drawn[1]) / mixed, len(carried))
        share = carried / max(carried.sum(), 1)
        if (share >= 1).any():
            return Estimate(value, reason="one prompt, so no interval")
        influence = influence / (1 - share)
        rest = 1.0 if self.future else 1 - self.known.mean()
        error = float(np.sqrt(rest * np.square(influence).sum()))
        if not rest:
            return Estimate(value, value, value)
        return student_interval(value, error, max(size - 1, 1), "share")

    def _error(self, influence: Array) -> float:
        """Standard error of a sum of influence values over the drawn units, or over prompts and users."""
        if self.future:
            units = clusters(len(influence), group=self.group, user=self.user)
            return float(np.sqrt(units.variance(influence)))
        total = np.bincount(self.unit, influence)
        mass = np.bincount(self.unit, self.known)
        total = total / (1 - np.minimum(mass / max(mass.sum(), 1), 0.99))
        return float(np.sqrt(np.square(total).sum() * (1 - self.known.mean())))

    def _interval(self, name: str, value: float, error: float, mass: Array) -> Estimate:
        """95 % interval by Student's t on the scale of the metric; none where too few units carry it."""
        if not np.isfinite(value) or not np.isfinite(error):
            return Estimate(None, reason="the data do not define it")
        if self.known.all() and not self.future:
            return Estimate(value, value, value)
        total = np.bincount(self.unit, mass)
        size = float(total.sum() ** 2 / np.square(total).sum())
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
        return student_interval(value, error, size - 1, scale)


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
