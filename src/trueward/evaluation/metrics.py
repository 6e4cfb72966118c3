"""Metrics of a sample under row weights: pure functions, one value for each row of weights.

Throughout: score, p, r, quality are (n,); w is (c, n) weights >= 0 (how often a row was drawn) and
the result is (c,), NaN where the metric is undefined. A weight of 2 counts exactly as two rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import xlogy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

FLOOR = 1e-7  # NLL: a sure and wrong prediction costs 16.1, not infinity


def auroc(score: Array, r: Array, w: Array) -> Array:
    """P(score of a good row > that of a bad row), a tie counting half.

    A label between 0 and 1 is a good row of weight r and a bad row of weight 1 - r.
    """
    order = np.argsort(score, kind="stable")
    starts = _starts(score[order])
    mass = w[:, order]
    good = np.add.reduceat(mass * r[order], starts, axis=1)
    bad = np.add.reduceat(mass, starts, axis=1) - good
    wins = (good * (np.cumsum(bad, axis=1) - bad / 2)).sum(axis=1)
    return ratio(wins, good.sum(axis=1) * bad.sum(axis=1))


def mean_of(values: Array, w: Array) -> Array:
    """Average over rows: sum w v / sum w."""
    return ratio(w @ values, w.sum(axis=1))


def nll(p: Array, r: Array) -> Array:
    """-r log p - (1 - r) log(1 - p) of each row, p kept 1e-7 away from 0 and 1."""
    q = np.clip(p, FLOOR, 1 - FLOOR)
    return np.asarray(-xlogy(r, q) - xlogy(1 - r, 1 - q))


def r2(p: Array, r: Array, w: Array) -> Array:
    """1 - Brier / var(r): 0 is a constant forecast of the mean, below 0 is worse than that."""
    shifted = r - r[0]
    mean, square = mean_of(shifted, w), mean_of(shifted**2, w)
    return 1 - ratio(mean_of((p - r) ** 2, w), _variance(mean, square))


def gaps(p: Array, r: Array, w: Array, bins: int = 15) -> Array:
    """(c, bins) mass of (r - p) in bins of equal numbers of rows, sorted by p; ECE is the sum of their sizes.

    A row, or a run of equal p, that crosses an edge is divided between the bins in proportion.
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
    """cov(a, b) / (sd a sd b)."""
    a, b = a - a[0], b - b[0]
    m_a, m_b = mean_of(a, w), mean_of(b, w)
    v_a = _variance(m_a, mean_of(a * a, w))
    v_b = _variance(m_b, mean_of(b * b, w))
    return np.clip(ratio(mean_of(a * b, w) - m_a * m_b, np.sqrt(v_a * v_b)), -1, 1)


def spearman(a: Array, b: Array, w: Array) -> Array:
    """Pearson of the mid-ranks that the rows have once repeated w times."""
    x, y = _ranks(a, w), _ranks(b, w)  # of mean 0
    v_x, v_y = (w * x * x).sum(axis=1), (w * y * y).sum(axis=1)
    return np.clip(ratio((w * x * y).sum(axis=1), np.sqrt(v_x * v_y)), -1, 1)


def pairs(score: Array, quality: Array, group: Index, count: int) -> tuple[Array, Array]:
    """Count (G,) pairs in the right order, a tie half, and (G,) pairs of different quality."""
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


def lifts(score: Array, quality: Array, group: Index, count: int) -> tuple[Array, Array]:
    """(G,) quality of the top-scored answer minus the prompt's mean, and (G,) 1 if it had a choice.

    Answers that tie for the top count by their average; a prompt of one answer has no choice.
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
    """Divide a / b, and give NaN where b is 0 or NaN."""
    out: Array = np.full(np.shape(a), np.nan)
    np.divide(a, b, out=out, where=b > 0)
    return out


def _sums(group: Index, values: Array, count: int) -> Array:
    return np.asarray(np.bincount(group, values, count), dtype=np.float64)


def _variance(mean: Array, square: Array) -> Array:
    """E v^2 - (E v)^2, and NaN where that is rounding."""
    v = square - mean**2
    return np.where(v > 1e-12 * square, v, np.nan)


def _starts(ordered: Array) -> Index:
    """Where each run of equal values begins."""
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
