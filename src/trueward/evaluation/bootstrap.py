"""Figures with intervals: whole prompts drawn again, and what they then come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, stdtrit

from trueward.core.random import numpy_stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    Known = NDArray[np.bool_]
    Statistic = Callable[["Draws"], Array]

CELLS = 2_000_000  # weights held at once: 16 MB
STEPS = 201  # values of ECE that an interval tries

_ONE_LABEL = "all labels are equal"
_CONSTANT = "the score or the quality is the same in every row"
REASONS = {
    "auroc": _ONE_LABEL,
    "r2": _ONE_LABEL,
    "pearson": _CONSTANT,
    "spearman": _CONSTANT,
    "pair_accuracy": "no prompt has two answers of different quality",
    "best_of_n_lift": "no prompt has two answers",
}


@dataclass(frozen=True)
class Estimate:
    """A figure and its interval; None, with the reason, where the data do not define it."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None

    def __str__(self) -> str:
        """Write the value with its interval in brackets, as far as there are any."""
        if self.value is None:
            return "-"
        band = (
            "" if self.low is None or self.high is None else f" [{self.low:.3f}, {self.high:.3f}]"
        )
        return f"{self.value:.3f}{band}"

    def to_json(self) -> dict[str, float | str | None]:
        """Give value, low and high, and the reason where there is one."""
        out: dict[str, float | str | None] = {"value": self.value, "low": self.low}
        out["high"] = self.high
        return out if self.reason is None else out | {"reason": self.reason}


@dataclass(frozen=True, eq=False)
class Draws:
    """How often each prompt, and so each of its rows, was drawn."""

    prompts: Array  # (c, G)
    rows: Array  # (c, n)

    def of(self, known: Known) -> Array:
        """Give the weights of the rows whose truth is known."""
        return self.rows if known.all() else self.rows[:, known]


def bootstrap(
    stats: dict[str, Statistic], group: Index, draws: int, seed: int
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Give each statistic on the sample, and, stacked, on ``draws`` resamples of its prompts."""
    n, count = len(group), int(group.max()) + 1
    whole = Draws(np.ones((1, count)), np.ones((1, n)))
    values = {k: np.asarray(f(whole)[0]) for k, f in stats.items()}
    sampled: dict[str, list[Array]] = {k: [] for k in stats}
    rng = numpy_stream(seed, "bootstrap")
    left = draws if count > 1 else 0
    while left > 0:
        c = min(left, max(1, CELLS // n))
        left -= c
        drawn = rng.integers(count, size=(c, count)) + count * np.arange(c)[:, None]
        times = np.bincount(drawn.ravel(), minlength=c * count).reshape(c, count).astype(float)
        draw = Draws(times, times[:, group])
        for k, f in stats.items():
            sampled[k].append(f(draw))
    return values, {k: np.concatenate(v) if v else np.zeros(0) for k, v in sampled.items()}


def estimated(name: str, value: float, sampled: Array, prompts: int, draws: int) -> Estimate:
    """Take the central 95 % of the resamples in which the metric is defined, for few prompts a little more.

    Of n prompts the quantiles are those of Student's t where the normal ones are wanted, and of the standard
    deviation with n - 1 where the resamples have n (Hesterberg, The American Statistician 2015).
    """
    if np.isnan(value):
        return Estimate(None, reason=REASONS.get(name, "the data do not define it"))
    if draws == 0:
        return Estimate(value)
    if prompts < 2:
        return Estimate(value, reason="one prompt, so no interval")
    defined = sampled[~np.isnan(sampled)]
    if 2 * len(defined) < len(sampled):
        return Estimate(value, reason="undefined in most resamples, so no interval")
    low, high = np.quantile(defined, tails(prompts), method="weibull")
    return Estimate(value, float(low), float(high))


def tails(prompts: int) -> Array:
    """Which quantiles of the resamples of n prompts are the ends: Phi(-+ t sqrt(n / (n - 1)))."""
    wide = stdtrit(prompts - 1, 0.975) * np.sqrt(prompts / (prompts - 1))
    return np.asarray(ndtr([-wide, wide]))


def of_ece(gaps: Array, drawn: Array, prompts: int, draws: int) -> Estimate:
    """Give ECE = sum_b |g_b| of the gaps g, and invert the law that it has where they are t f, f of unit ECE.

    Observed gaps are g = t f + h with errors h, whose law the resamples have as g* - g. Noise counts as error
    in ECE, so resampling it would count twice; the ends are instead the t at which sum_b |t f_b + h_b| is as
    low, and as high, as observed in 2.5 % of the draws of h. f is the least-squares quadratic of g over the
    bins: how much they are off comes from the data, and only roughly where. The interval also holds the
    value, which noise alone can lift out of it.

    gaps: (bins,). drawn: (c, bins).
    """
    ece, drawn = float(np.abs(gaps).sum()), drawn.reshape(-1, len(gaps))
    plain = estimated("ece", ece, np.abs(drawn).sum(axis=1), prompts, draws)
    if plain.low is None:
        return plain
    h = drawn[~np.isnan(drawn).any(axis=1)] - gaps
    bins = np.linspace(-1, 1, len(gaps))
    f = np.polynomial.Polynomial.fit(bins, gaps, 2)(bins)
    f /= max(float(np.abs(f).sum()), np.finfo(float).tiny)
    t = np.linspace(0, ece + float(np.abs(h).sum(axis=1).max()), STEPS)
    law = np.abs(t[:, None, None] * f + h).sum(axis=2)
    rare, usual = np.quantile(law, tails(prompts), axis=1, method="weibull")
    low, high = (float(np.interp(ece, np.maximum.accumulate(end), t)) for end in (usual, rare))
    return Estimate(ece, min(low, ece), max(high, ece))
