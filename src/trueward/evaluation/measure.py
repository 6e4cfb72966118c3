"""Metrics of predictions on true labels or graded quality, each with a 95 % interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trueward.core.errors import TruewardError, UsageError
from trueward.core.estimate import Estimate

from . import metrics
from .bootstrap import Resamples, bootstrap, ece_interval, percentile_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    Statistic = Callable[[Resamples], Array]


@dataclass(frozen=True)
class Estimates(Mapping[str, Estimate]):
    """Estimates by the name of their metric; a read-only mapping."""

    #: Estimates by the name of their metric.
    estimates: dict[str, Estimate]

    def __getitem__(self, name: str) -> Estimate:
        """Return the estimate of one metric."""
        return self.estimates[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self.estimates)

    def __len__(self) -> int:
        """Return the number of metrics."""
        return len(self.estimates)


@dataclass(frozen=True)
class Metrics(Estimates):
    """Estimates by the name of their metric, with the size of the test; ``str()`` is a table.

    See Also
    --------
    trueward.evaluate : Computes them, and lists the metrics.

    """

    #: Number of rows of the test.
    rows: int
    #: Number of prompts of the test.
    prompts: int
    #: Number of bootstrap resamples; 0 means no intervals.
    draws: int

    def to_json(self) -> dict[str, dict[str, float | str | None]]:
        """Return ``{"auroc": {"value": .., "low": .., "high": ..}, ...}``; undefined values are null."""
        return {name: e.to_json() for name, e in self.estimates.items()}

    def __str__(self) -> str:
        """Format a table with one metric a line."""
        lines = [f"{'metric':<15}{'value':>9}  95 % interval"]
        for name, e in self.estimates.items():
            value = "-" if e.value is None else f"{e.value:.4f}"
            span = "" if e.low is None else f"{e.low:.4f} to {e.high:.4f}"
            note = "" if e.reason is None else f"({e.reason})"
            lines.append(f"{name:<15}{value:>9}  {span}{note}".rstrip())
        return "\n".join([*lines, f"{self.rows} rows, {self.prompts} prompts"])


def measure(
    p: NDArray[Any],
    *,
    score: NDArray[Any] | None = None,
    r: NDArray[Any] | None = None,
    rating: NDArray[Any] | None = None,
    group: NDArray[Any] | None = None,
    draws: int = 200,
    seed: int = 0,
) -> Metrics:
    """Compute the metrics of `evaluate` from arrays.

    Parameters
    ----------
    p : (n,) array
        P(preferred), in [0, 1].
    score : (n,) array, optional
        What ranks the rows (auroc, spearman, pair_accuracy, best_of_n_lift); ``p`` by default. Pearson
        is of ``p``.
    r : (n,) array, optional
        Labels in [0, 1]; NaN where the truth is not known.
    rating : (n,) array, optional
        Graded quality; NaN where it is not known. Where given, the ranking metrics except auroc are on
        it. Without ``r``, the metrics on labels are left out.
    group : (n,) array, optional
        Prompt of every row; by default every row is a prompt of its own.
    draws : int, default 200
        Bootstrap resamples of whole prompts; 0 gives no intervals.
    seed : int, default 0
        Seed of the resamples.

    Returns
    -------
    Metrics
        Every metric with its 95 % interval over prompts.

    Raises
    ------
    TruewardError
        If neither ``r`` nor ``rating`` is given, or an array has the wrong length or invalid values.
    UsageError
        If ``draws`` is negative.

    Examples
    --------
    >>> measure(np.array([0.8, 0.5, 0.2]), r=np.array([1, 1, 0]), draws=0)["auroc"].value
    1.0

    """
    if r is None and rating is None:
        raise TruewardError("measuring needs labels r or ratings, and got neither; give one")
    if draws < 0:
        raise UsageError(f"draws must be 0 (no intervals) or more, and is {draws}")
    n = len(p)
    p = _validated("p", p, n, unit=True)
    s = p if score is None else _validated("score", score, n)
    label = None if r is None else _validated("r", r, n, unit=True, gaps=True)
    quality = label if rating is None else _validated("rating", rating, n, gaps=True)
    assert quality is not None
    g = np.arange(n) if group is None else _prompt_codes(group, n)
    prompts = int(g.max()) + 1 if n else 0
    stats = {} if label is None else _label_statistics(p, s, label)
    stats |= _ranking_statistics(p, s, quality, g)
    if n == 0:
        empty = Estimate(None, reason="there are no rows")
        return Metrics(dict.fromkeys(stats, empty), 0, 0, draws)
    values, resampled = bootstrap(stats, g, draws, seed)
    estimates = {
        k: ece_interval(values[k], resampled[k], prompts, draws)
        if k == "ece"
        else percentile_interval(k, float(values[k]), resampled[k], prompts, draws)
        for k in stats
    }
    return Metrics(estimates, n, prompts, draws)


def _label_statistics(p: Array, score: Array, r: Array) -> dict[str, Statistic]:
    k = ~np.isnan(r)
    p, score, r = p[k], score[k], r[k]
    gap = p - r
    return {
        "auroc": lambda d: metrics.auroc(score, r, d.of(k)),
        "r2": lambda d: metrics.r2(p, r, d.of(k)),
        "brier": lambda d: metrics.average(gap**2, d.of(k)),
        "nll": lambda d: metrics.average(metrics.nll(p, r), d.of(k)),
        "ece": lambda d: metrics.calibration_gaps(p, r, d.of(k)),
        "bias": lambda d: metrics.average(gap, d.of(k)),
        "mae": lambda d: metrics.average(np.abs(gap), d.of(k)),
        "rmse": lambda d: np.sqrt(metrics.average(gap**2, d.of(k))),
    }


def _ranking_statistics(
    p: Array, score: Array, quality: Array, group: Index
) -> dict[str, Statistic]:
    """Statistics on graded quality; those within a prompt are sums over prompts."""
    k, count = ~np.isnan(quality), int(group.max(initial=-1)) + 1
    p, score, quality, group = p[k], score[k], quality[k], group[k]
    right, total = metrics.pair_counts(score, quality, group, count)
    lift, choice = metrics.best_of_n_lifts(score, quality, group, count)
    return {
        "pearson": lambda d: metrics.pearson(p, quality, d.of(k)),
        "spearman": lambda d: metrics.spearman(score, quality, d.of(k)),
        "pair_accuracy": lambda d: metrics.ratio(d.prompts @ right, d.prompts @ total),
        "best_of_n_lift": lambda d: metrics.ratio(d.prompts @ lift, d.prompts @ choice),
    }


def _validated(
    name: str, values: NDArray[Any], n: int, *, unit: bool = False, gaps: bool = False
) -> Array:
    """Return ``values`` as n finite numbers, in [0, 1] if ``unit``, NaN allowed if ``gaps``."""
    v = np.asarray(values, dtype=np.float64)
    if v.shape != (n,):
        raise TruewardError(f"{name} must hold one number for each of {n} rows, not {v.shape}")
    wrong = ~np.isfinite(v) | ((v < 0) | (v > 1) if unit else False)
    if gaps and not np.isnan(v).all():
        wrong &= ~np.isnan(v)
    if wrong.any():
        row = int(wrong.argmax())
        raise TruewardError(
            f"{name} must hold {'numbers from 0 to 1' if unit else 'finite numbers'}, and row "
            f"{row + 1} is {v[row]} ({int(wrong.sum())} such rows); drop or repair them"
        )
    return v


def _prompt_codes(group: NDArray[Any], n: int) -> Index:
    if np.shape(group) != (n,):
        raise TruewardError(f"group must name the prompt of each of {n} rows, not {group.shape}")
    return np.asarray(np.unique(group, return_inverse=True)[1], dtype=np.int64)
