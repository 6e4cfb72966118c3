"""Who reacts and what they say, out of fold, for bounds: from a log to `PartialLabels`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import logit

from trueward.core.clustering import clusters
from trueward.core.errors import TruewardError, UsageError
from trueward.core.random import stream_seed
from trueward.data.splits import fold_of, prompt_numbers
from trueward.estimation.gold_regression import FEWEST_GOLD
from trueward.estimation.nuisances import Clip
from trueward.estimation.ridge_logistic import NOT_CONVERGED, RegressionData, logistic, out_of_fold

from .log_signals import signal_probabilities
from .partial_labels import PartialLabels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trueward.data.feedback import Feedback

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

FOLDS = 5
LOWEST = 0.01  # propensities are raised to it


def partial_labels(
    log: Feedback, names: Sequence[str | None] | None, rates: tuple[float, float], seed: int
) -> tuple[PartialLabels, str | None]:
    """Estimate P(rated given x) and P(good given rated, x), and collect the labels of a log.

    The probabilities are the log's out-of-fold nuisances. With context or several models, a logistic
    regression on their log-odds, context and model corrects them, out of fold over prompts.

    Parameters
    ----------
    log : Feedback
        The log, with n rows.
    names : sequence of str or None, optional
        Model of the product of every row.
    rates : tuple of float
        rho_01 = P(rated bad given good) and rho_10 = P(rated good given bad).
    seed : int
        Seed of the folds.

    Returns
    -------
    rows : PartialLabels
    reason : str or None
        Why only the worst case can be bounded; None if odds ratios can be, too.

    Raises
    ------
    UsageError
        If the noise rates are out of range, or the log has clicks only and they are not 0.

    """
    rho_01, rho_10 = rates
    if min(rates) < 0 or rho_01 + rho_10 >= 1:
        raise UsageError(
            f"noise rates are 0 or more with a sum below 1, and are {rho_01:g} and {rho_10:g}"
        )
    if log.o is None and max(rates) > 0:
        raise UsageError(
            "noise rates apply to ratings, and this log has clicks only: leave out the noise rates"
        )
    y = _array(log.y)
    rated = y > 0 if log.o is None else _array(log.o) > 0
    slope = 1 - rho_01 - rho_10
    reason, p, q = _probabilities(log, rated, names, seed)
    free = (q - rho_10) / slope
    f = free.clip(0, 1)
    good, bad = f * (1 - rho_01), f * rho_01
    posterior = y * good / np.maximum(good + (1 - f) * rho_10, 1e-12)
    posterior += (1 - y) * bad / np.maximum(bad + (1 - f) * (1 - rho_10), 1e-12)
    n = len(log)
    rows = PartialLabels(
        rating=np.where(rated, (y - rho_10) / slope, 0.0),
        rated=rated,
        gold=np.full(n, np.nan) if log.gold is None else _array(log.gold),
        f=f,
        p=p,
        weight=_array(log.row_weight),
        clusters=clusters(
            n,
            group=prompt_numbers(n, log.group).numpy(),
            user=None if log.user is None else log.user.cpu().numpy(),
        ),
        posterior=np.where(rated, posterior if max(rates) > 0 else y, 0.0),
        gold_chance=_gold_chance(log, ~rated, p, f, seed),
        held=float(np.average(free != f, weights=_array(log.row_weight))),
    )
    return rows, reason


def _gold_chance(
    log: Feedback, silent: NDArray[np.bool_], p: Array, f: Array, seed: int
) -> Array | None:
    """P(gold label given unrated, x) by a regression on p and f; None without unequal gold weights."""
    gold = np.zeros(len(log), dtype=bool)
    gold[log.audited.cpu().numpy()] = True
    weight = _array(log.row_weight)
    labelled = silent & gold & (weight > 0)
    each = _array(log.label_weight)[labelled] / weight[labelled]
    if len(each) < FEWEST_GOLD or np.ptp(each) < 1e-3 * each.mean():
        return None
    share = np.full(len(log), np.average(gold[silent], weights=weight[silent]))
    columns = np.stack([logit(v.clip(1e-4, 1 - 1e-4)) for v in (p, f)], 1)
    spread = columns.std(0)
    columns = ((columns - columns.mean(0)) / np.maximum(spread, 1e-9))[:, spread > 1e-9]
    group = prompt_numbers(len(log), log.group)
    fold = fold_of(len(log), FOLDS, stream_seed(seed, "bounds"), group).numpy()
    return _corrected(share, np.where(silent, gold, np.nan), weight, columns, fold)


def _probabilities(
    log: Feedback, rated: NDArray[np.bool_], names: Sequence[str | None] | None, seed: int
) -> tuple[str | None, Array, Array]:
    """The reason why there are none, or P(rated given x) and P(rated good given rated, x)."""
    half = np.full(len(log), 0.5)
    if rated.all():
        return (
            "every response has feedback, so who reacts makes no difference",
            np.ones(len(log)),
            half,
        )
    if not rated.any():
        return "no response has feedback", half, half
    if log.o is None:
        return "a log of clicks does not show who judged a response and said nothing", half, half
    ratings = _array(log.y)[rated]
    if ratings.min() == ratings.max():
        return f"all {len(ratings)} ratings are equal", half, half
    try:
        eta = signal_probabilities(log, seed)
    except TruewardError as e:
        return f"P(good given rated, x) cannot be estimated: {e}", half, half
    p, q = (
        _array(eta["propensity"] if "propensity" in eta else eta["responds"]),
        _array(eta["noisy"]),
    )
    weight = _array(log.row_weight)
    columns = _columns(log, names)
    if columns.shape[1]:
        group = prompt_numbers(len(log), log.group)
        fold = fold_of(len(log), FOLDS, stream_seed(seed, "bounds"), group).numpy()
        try:
            p = _corrected(p, rated.astype(np.float64), weight, columns, fold)
            q = _corrected(q, np.where(rated, _array(log.y), np.nan), weight, columns, fold)
        except TruewardError as e:
            return f"P(good given rated, x) cannot be estimated: {e}", half, half
    return None, _array(Clip(LOWEST)(torch.from_numpy(p))), q


def _columns(log: Feedback, names: Sequence[str | None] | None) -> Array:
    """(n, k) standardised context, and an indicator for every model but one."""
    columns = [] if log.z is None else [_array(z) for z in log.z.T]
    if names is not None:
        labels = np.array(["" if m is None else str(m) for m in names])
        columns += [(labels == m).astype(np.float64) for m in np.unique(labels)[1:]]
    table = np.stack(columns, 1) if columns else np.ones((len(log), 0))
    table = table[:, table.std(0) > 1e-9]
    return np.asarray((table - table.mean(0)) / np.maximum(table.std(0), 1e-9))


def _corrected(p: Array, target: Array, weight: Array, columns: Array, fold: Index) -> Array:
    """Regress a target, NaN where it is missing, on the log-odds of its prediction and on columns."""
    odds = logit(p.clip(1e-4, 1 - 1e-4))
    design = np.hstack([np.ones((len(p), 1)), odds[:, None], columns])
    precision = np.r_[0.01, np.ones(design.shape[1] - 1)]
    centre = np.r_[0.0, 1.0, np.zeros(columns.shape[1])]
    known = ~np.isnan(target)
    data = RegressionData(design[known], target[known], weight[known], np.arange(known.sum()))

    def fit(part: RegressionData) -> Array:
        estimate = logistic(part.design, part.labels, part.weight, precision, centre)
        if not estimate.converged:
            raise TruewardError(NOT_CONVERGED)
        return estimate.w

    return out_of_fold(data, fold[known], fit, design, fold)


def _array(t: torch.Tensor) -> Array:
    return np.asarray(t.detach().cpu().double().numpy(), dtype=np.float64)
