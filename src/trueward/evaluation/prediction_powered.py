"""Prediction-powered estimates of metrics through influence functions.

A metric is a mean of an influence function psi over rows. Gold labels and a prediction of the other labels
give its value and a 95 % interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit, stdtrit

from trueward.core.estimate import Estimate

from .influence_functions import INFLUENCE_FUNCTIONS, InfluenceFunction, clustered_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

SHARES = {"auroc", "accuracy", "pair_accuracy"}  # their intervals are computed in log-odds
NEAR = 100  # answers to one prompt that an answer is compared with


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
    def unit(self) -> Index:
        """(n,) unit of the random draw: rows, or prompts where many gold labels share one."""
        share = self.known.mean()
        together = (np.bincount(self.group, self.known) ** 2).sum() - self.known.sum()
        chance = share**2 * ((np.bincount(self.group) ** 2).sum() - len(self.group))
        alone = together <= 2 * chance + 20
        return np.arange(len(self.group)) if alone and not self.future else self.group

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
            With 95 % intervals. Of pair_accuracy, ``with_log`` is the narrower one of the two.

        """
        if name == "pair_accuracy":
            return self._pairs()
        with_log = INFLUENCE_FUNCTIONS[name](self.p, self.s, self.pseudo_label)
        rows = (v[self.known] for v in (self.p, self.s, self.gold))
        alone = INFLUENCE_FUNCTIONS[name](*rows)
        psi = alone.at(self.gold[self.known])
        influence = np.zeros(len(self.p))
        influence[self.known] = (psi - psi.mean()) / len(psi)
        return (
            self._interval(name, *self._tuned(with_log)),
            self._interval(
                name, alone.theta + float(psi.mean()), self._error(influence, self.unit)
            ),
        )

    def variance(self, name: str) -> float:
        """Variance of a metric's estimate from n gold labels, times n / (1 - n/N).

        Without gold labels it assumes a calibrated model: E[p (1 - p) (psi(1) - psi(0))^2] with g = p.
        """
        if not self.known.any():
            f = INFLUENCE_FUNCTIONS[name](self.p, self.s, self.p)
            return float((self.p * (1 - self.p) * (f.good - f.bad) ** 2).mean())
        _, error = self._tuned(INFLUENCE_FUNCTIONS[name](self.p, self.s, self.pseudo_label))
        return float(error**2 * self.known.sum() / max(1 - self.known.mean(), 1e-9))

    def _tuned(self, f: InfluenceFunction) -> tuple[float, float]:
        """Value and standard error at the lambda of least variance."""
        guess, w, known = f.at(self.g), self.weight / len(self.p), self.known
        psi = f.at(self.r)
        first = w * (psi - psi[known].mean())  # influence at lambda = 0
        change = -w * (guess - guess[known].mean())
        if self.future:
            change += (guess - guess.mean()) / len(guess)
        a, b = (np.bincount(self.unit, v) for v in (first, change))
        share = float(np.clip(-float(a @ b) / max(float(b @ b), 1e-300), 0, 1))
        value = f.theta + psi[known].mean() + share * (guess.mean() - guess[known].mean())
        return float(value), self._error(first + share * change, self.unit)

    def _pairs(self) -> tuple[Estimate, Estimate]:
        """Share of the pairs of a good and a bad answer to one prompt that the score orders.

        sum [ v r_i (1 - r_j) + (1 - v) r_j (1 - r_i) ] / sum [ r_i (1 - r_j) + r_j (1 - r_i) ], v = 1 where i
        scores higher. Both are linear in r_i, r_j and r_i r_j. The product r_i r_j is estimated by g_i g_j,
        corrected where one of the answers, or both, have a gold label.
        """
        i, j = pairs_within_prompts(self.group)
        if not len(i):
            none = Estimate(None, reason="no prompt has two answers")
            return none, none
        both = self.known[i] & self.known[j]
        off, one, g, r = self.known * (self.r - self.g), self.pseudo_label, self.g, self.r
        product = one[i] * g[j] + g[i] * (one[j] - g[j])
        product += off[i] * off[j] * (len(i) / max(both.sum(), 1))
        win = 0.5 + 0.5 * np.sign(self.s[i] - self.s[j])
        guess = _ordered(win, g[i], g[j], g[i] * g[j])
        with_log = self._ratio(_ordered(win, one[i], one[j], product), guess, self.group[i])
        labels = both * _ordered(win, r[i], r[j], r[i] * r[j])
        alone = self._ratio(labels, 0 * guess, self.group[i])
        return min(with_log, alone, key=interval_width), alone

    def _ratio(self, sums: Array, guess: Array, group: Index) -> Estimate:
        """Sum of the first row of ``sums`` over that of the second; ``guess`` does not depend on the draw."""
        right, mixed = sums.sum(1)
        if mixed <= 0:
            return Estimate(None, reason="too few prompts with gold labels of both kinds")
        value = float(right / mixed)
        drawn = sums if self.future else sums - guess
        error = self._error((drawn[0] - value * drawn[1]) / mixed, group)
        return self._interval("pair_accuracy", value, error)

    def _error(self, influence: Array, unit: Index) -> float:
        """Standard error of a sum of influence values, clustered by unit."""
        rest = 1.0 if self.future else 1 - self.known.mean()
        return clustered_error(influence, unit, self.drawn) * float(np.sqrt(rest))

    def _interval(self, name: str, value: float, error: float) -> Estimate:
        """95 % interval by Student's t; of shares in log-odds, so that it stays in [0, 1]."""
        if not np.isfinite(value) or not np.isfinite(error):
            return Estimate(None, reason="the data do not define it")
        wide = float(stdtrit(max(self.drawn - 1, 1), 0.975)) * error
        if name in SHARES and 0 < value < 1:
            wide /= value * (1 - value)
            low, high = expit(logit(value) + np.array([-wide, wide]))
            return Estimate(value, float(low), float(high))
        return Estimate(value, value - wide, value + wide)


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


def _ordered(win: Array, up: Array, down: Array, cross: Array) -> Array:
    """(2, pairs) P(one good, one bad and in the right order), and P(one good, one bad)."""
    return np.stack([win * up + (1 - win) * down - cross, up + down - 2 * cross])


def pairs_within_prompts(group: Index) -> tuple[Index, Index]:
    """Find the pairs of answers to one prompt, less than 100 answers apart in the log.

    Parameters
    ----------
    group : (n,) array of int
        Prompt of every row.

    Returns
    -------
    first, second : (pairs,) array of int
        Row numbers of the two answers.

    """
    order = np.argsort(group, kind="stable")
    left, right = [], []
    for gap in range(1, NEAR):
        same = group[order[gap:]] == group[order[:-gap]]
        if not same.any():
            break
        left.append(order[:-gap][same])
        right.append(order[gap:][same])
    if not left:
        return order[:0], order[:0]
    return np.concatenate(left), np.concatenate(right)
