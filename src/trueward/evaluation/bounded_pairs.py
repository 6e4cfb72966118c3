"""Pairs of answers to one prompt where labels are missing: bounds of pair accuracy, certain orders."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from .partial_labels import TAIL, IdentifiedSet, clustered_sum_error, tilt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .partial_labels import PartialLabels

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

LARGEST = 6  # answers of a block: all 2^6 choices of its ends are tried


@dataclass(frozen=True)
class PairOrders:
    """How many pairs of answers to one prompt are ordered under one limit on who reacts.

    Attributes
    ----------
    gamma : float
        Largest odds ratio of reacting, good against bad or the inverse; ``inf`` is the worst case.
    determined : float
        Share of the pairs whose order by P(good) is the same for every allowed odds ratio. Pairs that
        the model scores equally, such as copies of a text, do not count.
    low, high : float
        95 % interval of ``determined`` over users and prompts.
    agree : float
        Share of the pairs whose order is determined and is the model's.

    """

    gamma: float
    determined: float
    low: float
    high: float
    agree: float

    def __str__(self) -> str:
        """Format the shares in percent."""
        span = f"[{100 * self.low:.1f}, {100 * self.high:.1f}]"
        return f"{100 * self.determined:.1f} % {span}; the model's: {100 * self.agree:.1f} %"

    def to_json(self) -> dict[str, float | None]:
        """Return the fields as plain data; ``gamma`` is null for the worst case."""
        fields: dict[str, float | None] = dict(vars(self))
        return fields | {"gamma": self.gamma if math.isfinite(self.gamma) else None}


@dataclass(frozen=True)
class Block:
    """Prompts with the same number of answers, m."""

    #: (blocks, m) row numbers.
    rows: Index
    #: (blocks, m, m) product of the weights of two answers; 0 on the diagonal.
    weight: Array
    #: (blocks, m, m) 1 where the first answer scores higher, 1/2 for a tie, else 0.
    wins: Array

    def sums(self, pi: Array) -> tuple[Array, Array]:
        """(blocks,) expected pairs of a good and a bad answer in the model's order, and in any order."""
        bad = 1 - pi
        ordered = np.einsum("bi,bij,bj->b", pi, self.weight * self.wins, bad, optimize=True)
        return ordered, np.einsum("bi,bij,bj->b", pi, self.weight, bad, optimize=True)

    def slope(self, pi: Array, j: int, t: float) -> Array:
        """(blocks,) derivative of ordered - t mixed pairs in P(good) of answer j."""
        ahead = self.weight[:, j] * (self.wins[:, j] - t)
        behind = self.weight[:, :, j] * (self.wins[:, :, j] - t)
        return np.asarray((ahead * (1 - pi)).sum(1) - (behind * pi).sum(1))


def blocks(group: Index, scores: Array, weight: Array, seed: int) -> list[Block]:
    """Divide the answers of every prompt into blocks of at most 6, at random.

    Parameters
    ----------
    group : (n,) array of int
        Prompt of every row.
    scores, weight : (n,) array
        The model's scores, and the weights of the rows.
    seed : int
        Seed of the division of prompts with more than 6 answers.

    Returns
    -------
    list of Block
        One for each number of answers from 2 to 6 that occurs.

    """
    order = np.lexsort((np.random.default_rng(seed).random(len(group)), group))
    ids = group[order]
    start = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]])
    place = np.arange(len(ids)) - np.repeat(start, np.diff(np.r_[start, len(ids)]))
    first = np.flatnonzero(place % LARGEST == 0)
    size = np.diff(np.r_[first, len(ids)])
    found = []
    for m in range(2, LARGEST + 1):
        rows = order[first[size == m][:, None] + np.arange(m)]
        if len(rows):
            s, w = scores[rows], weight[rows]
            product = w[:, :, None] * w[:, None, :] * (1 - np.eye(m))
            found.append(Block(rows, product, 0.5 + 0.5 * np.sign(s[:, :, None] - s[:, None, :])))
    return found


def probabilities(rows: PartialLabels, gamma: float) -> tuple[Array, Array]:
    """Return the lowest and highest P(good) of every row: of a labelled row its label.

    Parameters
    ----------
    rows : PartialLabels
        The n rows.
    gamma : float
        Largest odds ratio of reacting.

    Returns
    -------
    low, high : (n,) array

    """
    gold = ~np.isnan(rows.gold)
    known = np.where(gold, np.nan_to_num(rows.gold), rows.posterior)
    low, high = (np.where(rows.known, known, tilt(rows.f, d)[0]) for d in _ends(gamma))
    return low, high


def pair_accuracy(parts: list[Block], rows: PartialLabels, gamma: float) -> IdentifiedSet | None:
    """Bound the share of pairs of a good and a bad answer that the model orders correctly.

    E[ordered pairs] / E[mixed pairs] over all P(good) of unlabelled answers that the limit allows. For
    every ratio t, sum (ordered - t mixed) is largest at the ends of the ranges of P(good), which are all
    tried; t is the bound where that maximum is 0 (Dinkelbach 1967).

    Parameters
    ----------
    parts : list of Block
        See `blocks`.
    rows : PartialLabels
        The n rows.
    gamma : float
        Largest odds ratio of reacting; ``inf`` is the worst case.

    Returns
    -------
    IdentifiedSet or None
        None if no pair can have a good and a bad answer. The interval includes the error of P(good given
        rated) to first order, as `PartialLabels.pseudo_labels` does.

    """
    low, high = probabilities(rows, gamma)
    found = [_extreme(parts, rows, (low, high), gamma, side) for side in (-1, 1)]
    if found[0] is None or found[1] is None:
        return None
    ends, limits = zip(*(f for f in found if f is not None), strict=True)
    return IdentifiedSet(gamma, ends[0], ends[1], limits[0], limits[1])


def _extreme(
    parts: list[Block], rows: PartialLabels, ends: tuple[Array, Array], gamma: float, side: int
) -> tuple[float, float] | None:
    """Lowest (side -1) or highest (side 1) ratio, and the limit of its one-sided interval."""
    sums = [[b.sums(pi) for _, pi in _choices(b, ends, gamma)] for b in parts]
    stacked = [tuple(np.stack(s) for s in zip(*each, strict=True)) for each in sums]
    start = [_pick(n, d, d.argmax(0)) for n, d in stacked]
    total = sum(float(d.sum()) for _, d in start)
    if total <= 1e-9:
        return None
    t, best = sum(float(n.sum()) for n, _ in start) / total, start
    for _ in range(100):
        best = [_pick(n, d, (side * (n - t * d)).argmax(0)) for n, d in stacked]
        total = sum(float(d.sum()) for _, d in best)
        new = sum(float(n.sum()) for n, _ in best) / total if total > 1e-9 else t
        if abs(new - t) < 1e-12:
            break
        t = new
    if total <= 1e-9:  # any ratio beyond t leaves no mixed pair: t itself is the end
        best, total = start, sum(float(d.sum()) for _, d in start)
    influence = np.zeros(len(rows.f))
    for b, (n, d) in zip(parts, best, strict=True):
        influence[b.rows] += ((n - t * d) / total / b.rows.shape[1])[:, None]
        influence += _correction(b, rows, ends, gamma, (t, side)) / total
    value = t + float(influence.sum())
    share = np.zeros(len(rows.f))
    for b, (_, d) in zip(parts, best, strict=True):
        share[b.rows] += (d / total / b.rows.shape[1])[:, None]
    paired = np.zeros(len(rows.f), dtype=bool)
    for b in parts:
        paired[b.rows.ravel()] = True
    own = rows.clusters.rows(paired)
    pull = (influence - (value - t) * share)[paired]
    error, freedom = clustered_sum_error(own, pull, share[paired])
    limit = value + side * float(stdtrit(freedom, TAIL)) * error
    return float(np.clip(value, 0, 1)), float(np.clip(limit, 0, 1))


def _correction(
    b: Block, rows: PartialLabels, ends: tuple[Array, Array], gamma: float, at: tuple[float, int]
) -> Array:
    """(n,) o (1 - p) / p h'(f) (rating - f) times what P(good) of the row, were it unrated, would change."""
    change = np.zeros(len(rows.f))
    if math.isinf(gamma) or not (~rows.rated).any():
        return change
    t, side = at
    h = [tilt(rows.f, d) for d in _ends(gamma)]
    factor = rows.odds_unknown * (rows.rating - rows.f)
    for j in range(b.rows.shape[1]):
        mine = b.rows[:, j]
        free = tuple(e.copy() for e in ends)
        for e, (value, _) in zip(free, h, strict=True):
            e[mine] = value[mine]
        best, slope = np.full(len(mine), -np.inf), np.zeros(len(mine))
        for bits, pi in _choices(b, (free[0], free[1]), gamma):
            n, d = b.sums(pi)
            better = side * (n - t * d) > best
            own = b.slope(pi, j, t) * h[bits[j]][1][mine]
            best, slope = np.where(better, side * (n - t * d), best), np.where(better, own, slope)
        change[mine] = np.where(rows.rated[mine], slope * factor[mine], 0.0)
    return change


def _choices(
    b: Block, ends: tuple[Array, Array], gamma: float
) -> Iterator[tuple[tuple[int, ...], Array]]:
    """Every choice of a low or high P(good) for the answers of a block, and the (blocks, m) values."""
    low, high = (e[b.rows] for e in ends)
    m = b.rows.shape[1]
    for bits in itertools.product((0, 1), repeat=m if gamma > 1 else 0):
        chosen = bits or (0,) * m
        yield chosen, np.where(np.array(chosen, dtype=bool), high, low)


def _pick(n: Array, d: Array, at: Index) -> tuple[Array, Array]:
    column = np.arange(n.shape[1])
    return n[at, column], d[at, column]


def _ends(gamma: float) -> tuple[float, float]:
    """Log odds ratios of the lowest and of the highest P(good)."""
    return math.log(gamma), -math.log(gamma)


def pair_orders(parts: list[Block], rows: PartialLabels, gamma: float) -> PairOrders | None:
    """Compute the share of pairs whose order by P(good given x) every allowed odds ratio gives.

    P(good) of a response lies between p f + (1 - p) h(f) at the odds ratios gamma and 1 / gamma. A pair is
    ordered where the two ranges do not overlap.

    Parameters
    ----------
    parts : list of Block
        See `blocks`; not empty.
    rows : PartialLabels
        The n rows.
    gamma : float
        Largest odds ratio of reacting; ``inf`` is the worst case.

    Returns
    -------
    PairOrders or None
        The interval treats the estimated p and f as given. None if the model scores all pairs equally;
        such pairs do not count.

    """
    low, high = (rows.p * rows.f + (1 - rows.p) * tilt(rows.f, d)[0] for d in _ends(gamma))
    n = len(rows.f)
    total, apart, agree = np.zeros(n), np.zeros(n), 0.0
    for b in parts:
        above = low[b.rows][:, :, None] > high[b.rows][:, None, :]
        ordered, w = above | above.transpose(0, 2, 1), b.weight / 2 * (b.wins != 0.5)
        m = b.rows.shape[1]
        total[b.rows] += (w.sum((1, 2)) / m)[:, None]
        apart[b.rows] += ((w * ordered).sum((1, 2)) / m)[:, None]
        agree += float((b.weight * above * (b.wins == 1)).sum())
    whole = float(total.sum())
    if not whole:
        return None
    share = float(apart.sum()) / whole
    paired = total > 0
    pull = ((apart - share * total) / whole)[paired]
    error, freedom = clustered_sum_error(rows.clusters.rows(paired), pull, total[paired])
    wide = float(stdtrit(freedom, TAIL)) * error
    return PairOrders(gamma, share, max(0.0, share - wide), min(1.0, share + wide), agree / whole)
