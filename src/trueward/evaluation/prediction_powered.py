"""Metrics as means over rows, so that trusted labels and a prediction of the others give an interval."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, logit, stdtrit

from . import metrics
from .bootstrap import Estimate

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

SHARES = {"auroc", "accuracy", "pair_accuracy"}  # intervals on the scale of log-odds
NEAR = 100  # answers to one prompt that an answer is compared with


@dataclass(frozen=True)
class Influence:
    """A metric as theta + mean over rows of psi(r): psi of a good row, psi of a bad one, each (n,)."""

    theta: float
    good: Array
    bad: Array

    def at(self, r: Array) -> Array:
        """psi of rows that are good with chance ``r``."""
        return r * self.good + (1 - r) * self.bad


@dataclass(frozen=True)
class Rows:
    """Logged rows: P(preferred), score, gold label or NaN, its chance g given all the log says, prompt.

    Figures are those of these very rows, and all that is random is which of them have a gold label; with
    ``future`` they are those of prompts to come, of which the logged ones are a draw.
    """

    p: Array
    s: Array
    gold: Array
    g: Array
    group: Index
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
    def chosen(self) -> Array:
        """(n,) N/n on gold rows, 0 elsewhere."""
        return np.where(self.known, len(self.known) / self.known.sum(), 0.0)

    @cached_property
    def label(self) -> Array:
        """(n,) g, and on gold rows what makes the mean unbiased: g + (N/n) (r - g)."""
        return self.g + self.chosen * (self.r - self.g)

    @cached_property
    def unit(self) -> Index:
        """(n,) what was drawn: rows, or prompts where many gold labels share one."""
        share = self.known.mean()
        together = (np.bincount(self.group, self.known) ** 2).sum() - self.known.sum()
        chance = share**2 * ((np.bincount(self.group) ** 2).sum() - len(self.group))
        alone = together <= 2 * chance + 20
        return np.arange(len(self.group)) if alone and not self.future else self.group

    @cached_property
    def drawn(self) -> int:
        """How many units have a gold label."""
        return len(np.unique(self.unit[self.known]))

    def estimate(self, name: str) -> tuple[Estimate, Estimate]:
        """With the log (of pairs only where that is narrower), and from the gold labels alone."""
        if name == "pair_accuracy":
            return self._pairs()
        with_log = MEASURES[name](self.p, self.s, self.label)
        rows = (v[self.known] for v in (self.p, self.s, self.gold))
        alone = MEASURES[name](*rows)
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

        Without gold labels the model is believed: E[p (1 - p) (psi(1) - psi(0))^2] with g = p.
        """
        if not self.known.any():
            f = MEASURES[name](self.p, self.s, self.p)
            return float((self.p * (1 - self.p) * (f.good - f.bad) ** 2).mean())
        _, error = self._tuned(MEASURES[name](self.p, self.s, self.label))
        return float(error**2 * self.known.sum() / max(1 - self.known.mean(), 1e-9))

    def _tuned(self, f: Influence) -> tuple[float, float]:
        """Value and standard error at the best lambda."""
        guess, w, known = f.at(self.g), self.chosen / len(self.p), self.known
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
        scores higher. Both are linear in r_i, r_j and r_i r_j; the product is g_i g_j, and what gold labels
        of one answer and of both say of its error.
        """
        i, j = within(self.group)
        if not len(i):
            none = Estimate(None, reason="no prompt has two answers")
            return none, none
        both = self.known[i] & self.known[j]
        off, one, g, r = self.known * (self.r - self.g), self.label, self.g, self.r
        product = one[i] * g[j] + g[i] * (one[j] - g[j])
        product += off[i] * off[j] * (len(i) / max(both.sum(), 1))
        win = 0.5 + 0.5 * np.sign(self.s[i] - self.s[j])
        guess = _ordered(win, g[i], g[j], g[i] * g[j])
        with_log = self._ratio(_ordered(win, one[i], one[j], product), guess, self.group[i])
        labels = both * _ordered(win, r[i], r[j], r[i] * r[j])
        alone = self._ratio(labels, 0 * guess, self.group[i])
        return min(with_log, alone, key=width), alone

    def _ratio(self, sums: Array, guess: Array, group: Index) -> Estimate:
        """Sum of the first row of ``sums`` over that of the second; ``guess`` is what no label changes."""
        right, mixed = sums.sum(1)
        if mixed <= 0:
            return Estimate(None, reason="too few prompts with gold labels of both kinds")
        value = float(right / mixed)
        drawn = sums if self.future else sums - guess
        error = self._error((drawn[0] - value * drawn[1]) / mixed, group)
        return self._interval("pair_accuracy", value, error)

    def _error(self, influence: Array, unit: Index) -> float:
        """Standard error of a sum of influence values, whole units together."""
        rest = 1.0 if self.future else 1 - self.known.mean()
        return clustered(influence, unit, self.drawn) * float(np.sqrt(rest))

    def _interval(self, name: str, value: float, error: float) -> Estimate:
        """95 % interval by Student's t; of shares on the scale of log-odds, where it stays in [0, 1]."""
        if not np.isfinite(value) or not np.isfinite(error):
            return Estimate(None, reason="the data do not define it")
        wide = float(stdtrit(max(self.drawn - 1, 1), 0.975)) * error
        if name in SHARES and 0 < value < 1:
            wide /= value * (1 - value)
            low, high = expit(logit(value) + np.array([-wide, wide]))
            return Estimate(value, float(low), float(high))
        return Estimate(value, value - wide, value + wide)


def clustered(influence: Array, unit: Index, count: int) -> float:
    """Standard error of a sum of influence values over ``count`` independent units."""
    total = np.bincount(unit, influence)
    return float(np.sqrt(np.square(total).sum() * count / max(count - 1, 1)))


def width(e: Estimate) -> float:
    """Of its interval; infinite where there is none."""
    return np.inf if e.low is None or e.high is None else e.high - e.low


def _ordered(win: Array, up: Array, down: Array, cross: Array) -> Array:
    """(2, pairs) chance that a pair is of a good and a bad answer and ordered, and that it is one at all."""
    return np.stack([win * up + (1 - win) * down - cross, up + down - 2 * cross])


def _mean(good: NDArray[Any], bad: NDArray[Any]) -> Influence:
    return Influence(0.0, good, bad)


def auroc(s: Array, r: Array) -> Influence:
    """psi(1) = (P(bad scores lower) - theta) / P(good), psi(0) = (P(good scores higher) - theta) / P(bad)."""
    order = np.argsort(s, kind="stable")
    place = np.empty(len(s), dtype=np.int64)
    place[order] = np.cumsum(np.r_[True, np.diff(s[order]) > 0]) - 1
    good, bad = np.bincount(place, r), np.bincount(place, 1 - r)
    below = ((np.cumsum(bad) - bad / 2) / bad.sum())[place]
    above = (1 - (np.cumsum(good) - good / 2) / good.sum())[place]
    theta = float(r @ below / r.sum())
    share = r.mean()
    return Influence(theta, (below - theta) / share, (above - theta) / (1 - share))


def _r2(p: Array, _s: Array, r: Array) -> Influence:
    """1 - B / V with B the Brier score and V = P(good) P(bad)."""
    brier = float((r * (1 - p) ** 2 + (1 - r) * p**2).mean())
    share = float(r.mean())
    v = share * (1 - share)
    slope = brier * (1 - 2 * share) / v**2
    good = -((1 - p) ** 2 - brier) / v + slope * (1 - share)
    bad = -(p**2 - brier) / v - slope * share
    return Influence(1 - brier / v, good, bad)


def _nll(p: Array, r: float) -> Array:
    return np.asarray(metrics.nll(p, np.full(len(p), r)), dtype=np.float64)


MEASURES: dict[str, Callable[[Array, Array, Array], Influence]] = {
    "auroc": lambda _p, s, r: auroc(s, r),
    "r2": _r2,
    "brier": lambda p, _s, _r: _mean((1 - p) ** 2, p**2),
    "nll": lambda p, _s, _r: _mean(_nll(p, 1.0), _nll(p, 0.0)),
    "accuracy": lambda p, _s, _r: _mean((p > 0.5) * 1.0, (p <= 0.5) * 1.0),
    "bias": lambda p, _s, _r: _mean(p - 1, p),
    "good": lambda p, _s, _r: _mean(np.ones(len(p)), np.zeros(len(p))),
}


def within(group: Index) -> tuple[Index, Index]:
    """Row numbers of the pairs of answers to one prompt, at most ``NEAR`` apart in the log."""
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
