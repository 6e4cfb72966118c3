"""Metrics of predictions on true labels or graded quality, each with a 95 % interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trueward.core.clustering import Cluster, Clusters, clusters, few_warnings
from trueward.core.errors import TruewardError, UsageError
from trueward.core.estimate import Estimate

from . import metrics
from .ece import ece_interval
from .estimates import Metrics
from .influence_functions import INFLUENCE_FUNCTIONS, class_mass
from .paired import Statistic, Statistics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trueward.core.intervals import Scale

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["Metrics", "measure"]

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
SCALES: dict[str, Scale] = {
    "auroc": "share",
    "accuracy": "share",
    "pair_accuracy": "share",
    "good": "share",
    "pearson": "correlation",
    "spearman": "correlation",
    "brier": "error",
    "nll": "error",
    "mae": "error",
    "rmse": "error",
    "r2": "score",
}


def measure(
    p: NDArray[Any],
    *,
    score: NDArray[Any] | None = None,
    r: NDArray[Any] | None = None,
    rating: NDArray[Any] | None = None,
    group: NDArray[Any] | None = None,
    user: NDArray[Any] | None = None,
    weight: NDArray[Any] | None = None,
    cluster: Cluster = "both",
    draws: int = 1000,
    seed: int = 0,
    kept: Statistics | None = None,
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
    user : (n,) array, optional
        User of every row.
    weight : (n,) array, optional
        Number of rows of the population that each row represents; 1 by default. A pair of answers has the
        product of both weights.
    cluster : {"prompt", "user", "both"}, default "both"
        Units that the intervals are clustered by; ``both`` takes those whose ids are given.
    draws : int, default 1000
        Draws of the noise in the interval of ece; 0 gives no intervals of any metric.
    seed : int, default 0
        Seed of these draws.
    kept : Statistics, optional
        Gets the influence of every row on every metric, for a comparison with another model.

    Returns
    -------
    Metrics
        Every metric with its 95 % interval over prompts and users; see `trueward.core.clustering`.

    Raises
    ------
    TruewardError
        If neither ``r`` nor ``rating`` is given, or an array has the wrong length or invalid values.
    UsageError
        If ``draws`` is negative, or ``cluster`` is ``user`` without users.

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
    w = np.ones(n) if weight is None else _validated("weight", weight, n)
    if (w <= 0).any():
        raise TruewardError(f"weight must be above 0, and row {int((w <= 0).argmax()) + 1} is not")
    g = np.arange(n) if group is None else _codes("group", group, n)
    u = None if user is None else _codes("user", user, n)
    units = clusters(n, group=g, user=u, cluster=cluster)
    estimates: dict[str, Estimate] = {}
    for truth, statistics in ((label, _label_statistics), (quality, _ranking_statistics)):
        if truth is not None:
            k = ~np.isnan(truth)
            table = _Rows(p[k], s[k], truth[k], g[k], w[k], units.rows(k), kept)
            found = dict(statistics(table, draws, seed))
            empty = Estimate(None, reason="there are no rows")
            estimates |= found if n else dict.fromkeys(found, empty)
    used = ~np.isnan(quality) if label is None else ~np.isnan(label)
    effective = units.rows(used).effective(w[used]) if draws and used.any() else {}
    users = None if u is None else len(np.unique(u))
    return Metrics(estimates, n, len(np.unique(g)), users, effective, few_warnings(effective))


@dataclass(frozen=True)
class _Rows:
    """Rows of known truth, with weights and clusters."""

    p: Array
    score: Array
    truth: Array
    group: Index
    w: Array
    units: Clusters
    kept: Statistics | None

    def estimate(
        self, name: str, value: float, influence: Array, draws: int, mass: Array | None = None
    ) -> Estimate:
        """95 % interval of a statistic on the scale of its metric."""
        if self.kept is not None:
            carried = self.w if mass is None else mass
            self.kept.by_name[name] = Statistic(value, influence, carried, self.units)
        if np.isnan(value):
            return Estimate(None, reason=REASONS.get(name, "the data do not define it"))
        if not draws:
            return Estimate(value)
        mass = self.w if mass is None else mass
        return self.units.estimate(value, influence, SCALES.get(name, "difference"), mass)


def _label_statistics(rows: _Rows, draws: int, seed: int) -> Iterator[tuple[str, Estimate]]:
    p, r, w = rows.p, rows.truth, rows.w
    for name in ("auroc", "r2", "brier", "nll"):
        mass = class_mass(r, w) if name == "auroc" else w
        yield name, rows.estimate(name, *_linear(name, rows), draws, mass)
    yield "ece", _ece(rows, draws, seed)
    none = (np.nan, np.zeros(0))
    yield "bias", rows.estimate("bias", *(metrics.mean(p - r, w) if len(r) else none), draws)
    mae = metrics.mean(np.abs(p - r), w) if len(r) else none
    yield "mae", rows.estimate("mae", *mae, draws)
    square, influence = metrics.mean((p - r) ** 2, w) if len(r) else none
    root = float(np.sqrt(square))
    yield "rmse", rows.estimate("rmse", root, influence / (2 * root if root else 1.0), draws)


def _linear(name: str, rows: _Rows) -> tuple[float, Array]:
    """Value and influence of a metric in `INFLUENCE_FUNCTIONS`."""
    r, w = rows.truth, rows.w
    if not len(r) or (name in ("auroc", "r2") and not class_mass(r, w).sum()):
        return np.nan, np.zeros(len(r))
    if name == "r2" and (r == r[0]).all():
        return np.nan, np.zeros(len(r))
    spread = r * (1 - r)
    f = INFLUENCE_FUNCTIONS[name](rows.p, rows.score, r, spread, w)
    shift, influence = metrics.mean(f.at(r, spread), w)
    return f.theta + shift, influence


def _ece(rows: _Rows, draws: int, seed: int) -> Estimate:
    if not len(rows.truth):
        return Estimate(None, reason="the data do not define it")
    gaps, influence = metrics.calibration_gaps(rows.p, rows.truth, rows.w)
    gap = int(np.abs(gaps).argmax())
    plain = rows.estimate("ece", float(np.abs(gaps).sum()), influence[:, gap], draws)
    if plain.low is None:
        return plain
    covariance = rows.units.variance(influence, rows.w)
    degrees = rows.units.degrees(rows.w)
    return ece_interval(gaps, covariance, degrees, draws=draws, seed=seed)


def _ranking_statistics(rows: _Rows, draws: int, _seed: int) -> Iterator[tuple[str, Estimate]]:
    q, w = rows.truth, rows.w
    yield "pearson", rows.estimate("pearson", *metrics.pearson(rows.p, q, w), draws)
    yield "spearman", rows.estimate("spearman", *metrics.spearman(rows.score, q, w), draws)
    for name in ("pair_accuracy", "best_of_n_lift"):
        of = metrics.pair_accuracy if name == "pair_accuracy" else metrics.best_of_n_lift
        value, influence, mass = of(rows.score, q, rows.group, w)
        yield name, rows.estimate(name, value, influence, draws, mass)


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


def _codes(name: str, ids: NDArray[Any], n: int) -> Index:
    what = {"group": "prompt", "user": "user"}[name]
    if np.shape(ids) != (n,):
        raise TruewardError(f"{name} must name the {what} of each of {n} rows, not {ids.shape}")
    return np.asarray(np.unique(ids, return_inverse=True)[1], dtype=np.int64)
