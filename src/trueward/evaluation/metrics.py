"""Metrics of a sample under row weights: pure functions, one value for each row of weights.

Shapes, throughout: ``score``, ``p`` = P(preferred), ``r`` = label in [0, 1] and ``quality`` are (n,).
``w`` is (c, n) weights >= 0: how often each row was drawn in c resamples. A metric is (c,), NaN where it
is undefined. A weight of 2 counts exactly as two rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import xlogy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

FLOOR = 1e-7  # NLL: p is kept this far from 0 and 1, so a row costs at most 16.1


def auroc(score: Array, r: Array, w: Array) -> Array:
    """AUROC: P(score of a good row > score of a bad row), a tie counting half.

    A label r between 0 and 1 counts as a good row of weight r and a bad row of weight 1 - r.

    Parameters
    ----------
    score, r : (n,) array
        Scores and labels in [0, 1].
    w : (c, n) array
        Row weights.

    Returns
    -------
    (c,) array
        In [0, 1], higher is better; NaN where all labels are equal.

    Examples
    --------
    >>> auroc(np.array([0.8, 0.5, 0.5, 0.2]), np.array([1.0, 1, 0, 0]), np.ones((1, 4)))
    array([0.875])

    """
    order = np.argsort(score, kind="stable")
    starts = _starts(score[order])
    mass = w[:, order]
    good = np.add.reduceat(mass * r[order], starts, axis=1)
    bad = np.add.reduceat(mass, starts, axis=1) - good
    wins = (good * (np.cumsum(bad, axis=1) - bad / 2)).sum(axis=1)
    return ratio(wins, good.sum(axis=1) * bad.sum(axis=1))


def average(values: Array, w: Array) -> Array:
    """Average values over rows: sum w v / sum w.

    Parameters
    ----------
    values : (n,) array
        Values.
    w : (c, n) array
        Row weights.

    Returns
    -------
    (c,) array
        NaN where all weights are 0.

    """
    return ratio(w @ values, w.sum(axis=1))


def nll(p: Array, r: Array) -> Array:
    """Compute the negative log-likelihood of every row, -r log p - (1 - r) log(1 - p).

    Parameters
    ----------
    p, r : (n,) array
        P(preferred), kept in [1e-7, 1 - 1e-7], and labels in [0, 1].

    Returns
    -------
    (n,) array
        In nats, lower is better.

    """
    q = np.clip(p, FLOOR, 1 - FLOOR)
    return np.asarray(-xlogy(r, q) - xlogy(1 - r, 1 - q))


def r2(p: Array, r: Array, w: Array) -> Array:
    """R2 = 1 - Brier / var(r): higher is better, 0 is a constant forecast of the mean.

    Parameters
    ----------
    p, r : (n,) array
        P(preferred) and labels in [0, 1].
    w : (c, n) array
        Row weights.

    Returns
    -------
    (c,) array
        NaN where all labels are equal.

    """
    shifted = r - r[0]
    mean, square = average(shifted, w), average(shifted**2, w)
    return 1 - ratio(average((p - r) ** 2, w), _variance(mean, square))


def calibration_gaps(p: Array, r: Array, w: Array, bins: int = 15) -> Array:
    """Mass of (r - p) in bins of equal numbers of rows, sorted by p; ECE is the sum of its absolute values.

    A row, or a run of equal p, that crosses an edge is divided between the bins in proportion.

    Parameters
    ----------
    p, r : (n,) array
        P(preferred) and labels in [0, 1].
    w : (c, n) array
        Row weights.
    bins : int, default 15
        Number of bins.

    Returns
    -------
    (c, bins) array
        Gaps as shares of the whole weight.

    """
    order = np.argsort(p, kind="stable")
    starts = _starts(p[order])
    long = np.diff(np.r_[starts, len(p)])
    edges = np.linspace(0, len(p), bins + 1)
    before = np.clip((edges - starts[:, None]) / long[:, None], 0, 1)  # each edge
    runs = np.add.reduceat((w * (r - p))[:, order], starts, axis=1)
    mass = w.sum(axis=1, keepdims=True)
    return ratio(runs @ np.diff(before, axis=1), np.broadcast_to(mass, (len(w), bins)))


def pearson(a: Array, b: Array, w: Array) -> Array:
    """Pearson correlation: cov(a, b) / (sd a sd b).

    Parameters
    ----------
    a, b : (n,) array
        Values.
    w : (c, n) array
        Row weights.

    Returns
    -------
    (c,) array
        In [-1, 1]; NaN where ``a`` or ``b`` is constant.

    """
    a, b = a - a[0], b - b[0]
    m_a, m_b = average(a, w), average(b, w)
    v_a = _variance(m_a, average(a * a, w))
    v_b = _variance(m_b, average(b * b, w))
    return np.clip(ratio(average(a * b, w) - m_a * m_b, np.sqrt(v_a * v_b)), -1, 1)


def spearman(a: Array, b: Array, w: Array) -> Array:
    """Spearman correlation: Pearson correlation of the mid-ranks of rows repeated w times.

    Parameters
    ----------
    a, b : (n,) array
        Values; only their order counts.
    w : (c, n) array
        Row weights.

    Returns
    -------
    (c,) array
        In [-1, 1]; NaN where ``a`` or ``b`` is constant.

    """
    x, y = _ranks(a, w), _ranks(b, w)  # of mean 0
    v_x, v_y = (w * x * x).sum(axis=1), (w * y * y).sum(axis=1)
    return np.clip(ratio((w * x * y).sum(axis=1), np.sqrt(v_x * v_y)), -1, 1)


def pair_counts(score: Array, quality: Array, group: Index, count: int) -> tuple[Array, Array]:
    """Count the pairs of answers to each prompt, and those that the score orders as the quality does.

    Parameters
    ----------
    score, quality : (n,) array
        Scores and graded quality.
    group : (n,) array of int
        Prompt of every row, numbered from 0.
    count : int
        Number of prompts G.

    Returns
    -------
    right : (G,) array
        Pairs in the right order, a tie of scores counting half.
    total : (G,) array
        Pairs of different quality.

    """
    order = np.argsort(group, kind="stable")
    g, s, q = group[order], score[order], quality[order]
    right, total = np.zeros(count), np.zeros(count)
    first = np.arange(len(g))
    last = np.searchsorted(g, g, side="right") - 1  # last row of the same prompt
    for distance in range(1, int((last - first).max(initial=0)) + 1):
        first = first[first + distance <= last[first]]
        second = first + distance
        gap = np.sign(q[second] - q[first])
        won = np.where(gap != 0, (1 + gap * np.sign(s[second] - s[first])) / 2, 0.0)
        right += np.bincount(g[first], won, count)
        total += np.bincount(g[first], gap != 0, count)
    return right, total


def best_of_n_lifts(score: Array, quality: Array, group: Index, count: int) -> tuple[Array, Array]:
    """Compute how much better the top-scored answer to each prompt is than the prompt's mean.

    Parameters
    ----------
    score, quality : (n,) array
        Scores and graded quality.
    group : (n,) array of int
        Prompt of every row, numbered from 0.
    count : int
        Number of prompts G.

    Returns
    -------
    lift : (G,) array
        Quality of the top-scored answer minus the mean of the prompt; answers that tie for the top
        count by their average; 0 for a prompt with one answer.
    choice : (G,) array
        1 for a prompt with two or more answers, else 0.

    """
    best = np.full(count, -np.inf)
    np.maximum.at(best, group, score)
    top = score == best[group]
    size = _sums(group, np.ones(len(group)), count)
    chosen = ratio(_sums(group, quality * top, count), _sums(group, top.astype(float), count))
    lift = chosen - ratio(_sums(group, quality, count), size)
    choice = size > 1
    return np.where(choice, lift, 0.0), choice.astype(float)


def ratio(a: Array, b: Array) -> Array:
    """a / b, NaN where b is 0 or NaN.

    Parameters
    ----------
    a, b : array
        Numerators and denominators of one shape; b is at least 0.

    Returns
    -------
    array
        The ratios, of the shape of a.

    """
    out: Array = np.full(np.shape(a), np.nan)
    np.divide(a, b, out=out, where=b > 0)
    return out


def _sums(group: Index, values: Array, count: int) -> Array:
    return np.asarray(np.bincount(group, values, count), dtype=np.float64)


def _variance(mean: Array, square: Array) -> Array:
    """E v^2 - (E v)^2, NaN where the difference is within rounding error of 0."""
    v = square - mean**2
    return np.where(v > 1e-12 * square, v, np.nan)


def _starts(ordered: Array) -> Index:
    """Positions where each run of equal values begins."""
    return np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])


def _ranks(values: Array, w: Array) -> Array:
    """(c, n) mid-ranks under repetition, less their mean."""
    order = np.argsort(values, kind="stable")
    starts = _starts(values[order])
    mass = np.add.reduceat(w[:, order], starts, axis=1)
    middle = np.cumsum(mass, axis=1) - mass / 2 - mass.sum(axis=1, keepdims=True) / 2
    run = np.empty(len(values), dtype=np.int64)
    run[order] = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(values)]))
    return np.asarray(middle[:, run])
