"""Estimates with 95 % intervals from a bootstrap over prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, stdtrit

from trueward.core.estimate import Estimate
from trueward.core.random import numpy_stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    Known = NDArray[np.bool_]
    Statistic = Callable[["Resamples"], Array]

CELLS = 2_000_000  # weights in memory at once: 16 MB
STEPS = 201  # candidate values of ECE that its interval inverts the test at

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


@dataclass(frozen=True, eq=False)
class Resamples:
    """How often each prompt, and so each of its rows, was drawn in c resamples."""

    #: (c, G) times each of G prompts was drawn.
    prompts: Array
    #: (c, n) times each of n rows was drawn.
    rows: Array

    def of(self, known: Known) -> Array:
        """Return the (c, k) weights of the k rows whose truth is ``known``."""
        return self.rows if known.all() else self.rows[:, known]


def bootstrap(
    stats: dict[str, Statistic], group: Index, draws: int, seed: int
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Compute statistics on the sample and on resamples of its prompts.

    Parameters
    ----------
    stats : dict of str to callable
        Each maps `Resamples` of c draws to (c,) or (c, k) values.
    group : (n,) array of int
        Prompt of every row, numbered from 0.
    draws : int
        Number of resamples; with a single prompt there are none.
    seed : int
        Seed of the stream ``bootstrap``.

    Returns
    -------
    values : dict
        Each statistic on the sample.
    resampled : dict
        Each statistic on the resamples, stacked along the first axis.

    """
    n, count = len(group), int(group.max()) + 1
    whole = Resamples(np.ones((1, count)), np.ones((1, n)))
    values = {k: np.asarray(f(whole)[0]) for k, f in stats.items()}
    resampled: dict[str, list[Array]] = {k: [] for k in stats}
    rng = numpy_stream(seed, "bootstrap")
    left = draws if count > 1 else 0
    while left > 0:
        c = min(left, max(1, CELLS // n))
        left -= c
        drawn = rng.integers(count, size=(c, count)) + count * np.arange(c)[:, None]
        times = np.bincount(drawn.ravel(), minlength=c * count).reshape(c, count).astype(float)
        chunk = Resamples(times, times[:, group])
        for k, f in stats.items():
            resampled[k].append(f(chunk))
    return values, {k: np.concatenate(v) if v else np.zeros(0) for k, v in resampled.items()}


def percentile_interval(
    name: str, value: float, resampled: Array, prompts: int, draws: int
) -> Estimate:
    """Take the central 95 % of the resamples that define a metric, widened for few prompts.

    Parameters
    ----------
    name : str
        Name of the metric; it decides the reason where the value is NaN.
    value : float
        The metric on the sample.
    resampled : (draws,) array
        The metric on the resamples, NaN where it is undefined.
    prompts : int
        Number of prompts n.
    draws : int
        Number of resamples that were asked for; 0 gives no interval.

    Returns
    -------
    Estimate
        Without an interval for one prompt, or where most resamples do not define the metric.

    Notes
    -----
    The quantiles are those of Student's t instead of the normal distribution, and allow for the
    resamples' standard deviation having n where the sample's has n - 1 (Hesterberg, The American
    Statistician 2015); see `quantile_levels`.

    """
    if np.isnan(value):
        return Estimate(None, reason=REASONS.get(name, "the data do not define it"))
    if draws == 0:
        return Estimate(value)
    if prompts < 2:
        return Estimate(value, reason="one prompt, so no interval")
    defined = resampled[~np.isnan(resampled)]
    if 2 * len(defined) < len(resampled):
        return Estimate(value, reason="undefined in most resamples, so no interval")
    low, high = np.quantile(defined, quantile_levels(prompts), method="weibull")
    return Estimate(value, float(low), float(high))


def quantile_levels(prompts: int) -> Array:
    """Return the (2,) quantile levels of a 95 % interval: Phi(-+ t sqrt(n / (n - 1))), n prompts.

    Parameters
    ----------
    prompts : int
        Number of prompts n, at least 2. t is the 97.5 % quantile of Student's t, n - 1 degrees of freedom.

    Returns
    -------
    (2,) array
        The lower and the upper level, farther apart than 0.025 and 0.975.

    """
    wide = stdtrit(prompts - 1, 0.975) * np.sqrt(prompts / (prompts - 1))
    return np.asarray(ndtr([-wide, wide]))


def ece_interval(gaps: Array, resampled: Array, prompts: int, draws: int) -> Estimate:
    """Compute ECE = sum_b |g_b| of the gaps g, and its interval by inverting a test.

    Parameters
    ----------
    gaps : (bins,) array
        Gaps of the sample, from `metrics.calibration_gaps`.
    resampled : (draws, bins) array
        Gaps of the resamples.
    prompts, draws : int
        Number of prompts and of resamples.

    Returns
    -------
    Estimate
        ECE; its interval always contains the value.

    Notes
    -----
    Observed gaps are g = t f + h with errors h, which the resamples have as g* - g, and f of unit ECE.
    Noise counts as error in ECE, so a percentile interval would count it twice. The ends are instead
    the t at which sum_b |t f_b + h_b| is as low, and as high, as observed in 2.5 % of the draws of h.
    f is the least-squares quadratic of g over the bins: the size of the gaps comes from the data, their
    shape only roughly.

    """
    ece, resampled = float(np.abs(gaps).sum()), resampled.reshape(-1, len(gaps))
    plain = percentile_interval("ece", ece, np.abs(resampled).sum(axis=1), prompts, draws)
    if plain.low is None:
        return plain
    h = resampled[~np.isnan(resampled).any(axis=1)] - gaps
    bins = np.linspace(-1, 1, len(gaps))
    f = np.polynomial.Polynomial.fit(bins, gaps, 2)(bins)
    f /= max(float(np.abs(f).sum()), np.finfo(float).tiny)
    t = np.linspace(0, ece + float(np.abs(h).sum(axis=1).max()), STEPS)
    law = np.abs(t[:, None, None] * f + h).sum(axis=2)
    rare, usual = np.quantile(law, quantile_levels(prompts), axis=1, method="weibull")
    low, high = (float(np.interp(ece, np.maximum.accumulate(end), t)) for end in (usual, rare))
    return Estimate(ece, min(low, ece), max(high, ece))
