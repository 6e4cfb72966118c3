"""Metrics of weighted rows with the influence of every row.

The influence of row i is w_i times the derivative of the metric by its weight w_i (for pairs: half of it).
Its sum over rows is 0, and the sum of its squares estimates the variance if rows are independent. Metrics
that are linear in the label are in `influence_functions`.

Shapes, throughout: scores, P(preferred) p, labels r in [0, 1], qualities and weights w are (n,), and so is
the influence. A weight of 2 counts as two rows.
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
BINS = 15  # of ECE


def mean(values: Array, w: Array) -> tuple[float, Array]:
    """Compute a mean over rows, m = sum w v / sum w; influence w (v - m) / sum w.

    Parameters
    ----------
    values, w : (n,) array
        Values and row weights, not all 0.

    Returns
    -------
    value : float
    influence : (n,) array

    Examples
    --------
    >>> mean(np.array([1.0, 4.0]), np.array([2.0, 1.0]))
    (2.0, array([-0.66666667,  0.66666667]))

    """
    m = float(np.average(values, weights=w))
    return m, w * (values - m) / w.sum()


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


def calibration_gaps(p: Array, r: Array, w: Array) -> tuple[Array, Array]:
    """Mass of (r - p) in 15 bins of equal weight, sorted by p; ECE is the sum of its absolute values.

    A row, or a run of equal p, that crosses an edge is divided between the bins in proportion.

    Parameters
    ----------
    p, r, w : (n,) array
        P(preferred), labels in [0, 1] and row weights.

    Returns
    -------
    gaps : (bins,) array
        Gaps as shares of the whole weight.
    influence : (n, bins) array
        Of every row on every gap, with the bins as they are.

    """
    run = np.unique(p, return_inverse=True)[1]
    size = np.bincount(run, w)
    edges = np.linspace(0, size.sum(), BINS + 1)
    starts = np.cumsum(size) - size
    before = np.clip(
        (edges - starts[:, None]) / size[:, None], 0, 1
    )  # share of each run before each edge
    each = np.diff(before, axis=1)[run] * (r - p)[:, None]
    gaps = np.average(each, axis=0, weights=w)
    return np.asarray(gaps), w[:, None] * (each - gaps) / w.sum()


def pearson(a: Array, b: Array, w: Array) -> tuple[float, Array]:
    """Pearson correlation rho; influence w (z_a z_b - rho (z_a^2 + z_b^2) / 2) / sum w, z standardised.

    Parameters
    ----------
    a, b, w : (n,) array
        Values and row weights.

    Returns
    -------
    value : float
        In [-1, 1]; NaN where ``a`` or ``b`` is constant.
    influence : (n,) array

    """
    if _constant(a) or _constant(b):
        return np.nan, np.zeros(len(w))
    za, zb = (_standardised(v, w) for v in (a, b))
    rho = float(np.clip(np.average(za * zb, weights=w), -1, 1))
    return rho, w * (za * zb - rho / 2 * (za**2 + zb**2)) / w.sum()


def spearman(a: Array, b: Array, w: Array) -> tuple[float, Array]:
    """Spearman correlation: Pearson's of the mid-ranks u, v of rows repeated w times.

    With S_uv = sum w u v, dS_uv / dw_i = u_i v_i + A_i(v) + B_i(u). A_i(v) is the mass of w v at rows with a
    larger value of ``a``, plus half of that at equal ones, and B_i(u) the same of w u by ``b``.

    Parameters
    ----------
    a, b : (n,) array
        Values; only their order counts.
    w : (n,) or (1, n) array
        Row weights.

    Returns
    -------
    value : float
        In [-1, 1]; NaN where ``a`` or ``b`` is constant.
    influence : (n,) array

    """
    if _constant(a) or _constant(b):
        return np.nan, np.zeros(len(w))
    w = w.reshape(len(a))
    run_a, run_b = (np.unique(v, return_inverse=True)[1] for v in (a, b))
    u, v = (_mid_ranks(run, w) for run in (run_a, run_b))
    s_uv, s_uu, s_vv = float(w @ (u * v)), float(w @ u**2), float(w @ v**2)
    by_uv = u * v + _above(run_a, w * v) + _above(run_b, w * u)
    by_uu, by_vv = u**2 + 2 * _above(run_a, w * u), v**2 + 2 * _above(run_b, w * v)
    scale = np.sqrt(s_uu * s_vv)
    rho = float(np.clip(s_uv / scale, -1, 1))
    return rho, w * (by_uv / scale - rho / 2 * (by_uu / s_uu + by_vv / s_vv))


def pair_accuracy(
    score: Array, quality: Array, group: Index, w: Array
) -> tuple[float, Array, Array]:
    """Share of the pairs of answers to one prompt, of different quality, that the score orders right.

    A pair of rows i, j has weight w_i w_j. Half of its influence, (right - theta) w_i w_j / sum of all pairs'
    weights, lies on each of the two rows. A tie of scores is half right.

    Parameters
    ----------
    score, quality : (n,) array
        Scores and graded quality.
    group : (n,) array of int
        Prompt of every row, numbered from 0.
    w : (n,) array
        Row weights.

    Returns
    -------
    value : float
        In [0, 1]; NaN without a pair of different quality.
    influence : (n,) array
    mass : (n,) array
        Half of the weight of each row's pairs.

    """
    right, total = _pair_mass(score, quality, group, w)
    if not total.sum():
        return np.nan, np.zeros(len(w)), total
    value = float(right.sum() / total.sum())
    return value, (right - value * total) / total.sum(), total


def best_of_n_lift(
    score: Array, quality: Array, group: Index, w: Array
) -> tuple[float, Array, Array]:
    """Mean over prompts of the quality of the top-scored answer minus the prompt's mean.

    A prompt has the mean weight of its rows. Answers that tie for the top count by their average. Prompts
    with one answer are left out.

    Parameters
    ----------
    score, quality : (n,) array
        Scores and graded quality.
    group : (n,) array of int
        Prompt of every row, numbered from 0.
    w : (n,) array
        Row weights.

    Returns
    -------
    value : float
        In units of the quality; NaN where no prompt has two answers.
    influence : (n,) array
    mass : (n,) array
        Weight of the prompt of each row, spread over its rows.

    """
    count = int(group.max(initial=-1)) + 1
    best = np.full(count, -np.inf)
    np.maximum.at(best, group, score)
    top = score == best[group]
    size = np.bincount(group, minlength=count)
    mass = np.where(size[group] > 1, w / np.maximum(size, 1)[group], 0.0)
    if not mass.sum():
        return np.nan, np.zeros(len(w)), mass
    mean = np.bincount(group, quality, count) / np.maximum(size, 1)
    tops = np.bincount(group, top, count)
    lift = np.bincount(group, quality * top, count) / np.maximum(tops, 1) - mean
    value = float(mass @ lift[group] / mass.sum())
    return value, mass * (lift[group] - value) / mass.sum(), mass


def _pair_mass(score: Array, quality: Array, group: Index, w: Array) -> tuple[Array, Array]:
    """Half of the weight of each row's pairs in the right order, and of all its pairs that differ."""
    order = np.argsort(group, kind="stable")
    g, s, q, m = (v[order] for v in (group, score, quality, w))
    right, total = np.zeros(len(g)), np.zeros(len(g))
    first = np.arange(len(g))
    last = np.searchsorted(g, g, side="right") - 1  # last row of the same prompt
    for distance in range(1, int((last - first).max(initial=0)) + 1):
        first = first[first + distance <= last[first]]
        second = first + distance
        gap = np.sign(q[second] - q[first])
        pair = m[first] * m[second] * (gap != 0) / 2
        won = pair * (1 + gap * np.sign(s[second] - s[first])) / 2
        for rows in (first, second):  # each row occurs once in either
            right[rows] += won
            total[rows] += pair
    back = np.empty(len(g), dtype=np.int64)
    back[order] = np.arange(len(g))
    return right[back], total[back]


def _constant(v: Array) -> bool:
    return not len(v) or bool((v == v[0]).all())


def _standardised(v: Array, w: Array) -> Array:
    centred = v - np.average(v, weights=w)
    return np.asarray(centred / np.sqrt(np.average(centred**2, weights=w)))


def _mid_ranks(run: Index, w: Array) -> Array:
    """Mid-ranks of rows repeated w times, less their mean; ``run`` numbers the distinct values in order."""
    mass = np.bincount(run, w)
    return np.asarray((np.cumsum(mass) - mass / 2 - mass.sum() / 2)[run])


def _above(run: Index, mass: Array) -> Array:
    """Mass of the rows with a larger value than each row's, plus half of that of equal ones."""
    total = np.bincount(run, mass)
    return np.asarray((total.sum() - np.cumsum(total) + total / 2)[run])
