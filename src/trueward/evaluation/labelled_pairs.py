"""Pair accuracy of a model on logged rows, from gold labels on some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trueward.core.estimate import Estimate
from trueward.core.intervals import student_interval
from trueward.core.weighted import effective_size

from .prompt_pairs import ordered, pairs_within_prompts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .label_draw import LabelDraw

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

FEWEST_PAIRS = 20  # effective prompts with gold labels on a better and a worse answer


def estimate_pairs(rows: LabelDraw) -> tuple[Estimate, Estimate]:
    """Estimate the share of pairs of a better and a worse answer to one prompt that the score orders right.

    A ratio of two sums over pairs, each unbiased for every g: the prediction from g, what single gold
    labels change in it, and the residual of pairs with two gold labels over P(both). P(both) is the product
    of the two P(labelled) where rows are labelled one by one, and their geometric mean where prompts or
    users are labelled as a whole.

    Parameters
    ----------
    rows : LabelDraw
        Logged rows.

    Returns
    -------
    with_log, alone : Estimate
        With 95 % intervals; without a value, and with the reason, where fewer than 20 effective prompts have
        gold labels on a better and a worse answer.

    """
    i, j = pairs_within_prompts(rows.group)
    if not len(i):
        none = Estimate(None, reason="no prompt has two answers")
        return none, none
    both = rows.known[i] & rows.known[j]
    # a pair counts the product of what its rows represent; one of labels, that over P(both labelled)
    pair = rows.share[i] * rows.share[j]
    together = 0.5 if rows.labelled_together else 1.0
    joint = both * (rows.weight[i] * rows.weight[j]) ** together
    joint *= pair.sum() / max(float(pair @ joint), 1e-300)
    differs = joint * pair * (rows.r[i] != rows.r[j])
    carried = np.bincount(rows.group[i], differs).astype(np.float64)
    size = effective_size(carried)
    if size < FEWEST_PAIRS and not rows.complete:
        few = Estimate(
            None,
            reason=f"only {size:.0f} effective prompts have gold labels on a better and a worse answer, "
            f"of {FEWEST_PAIRS} needed; label whole prompts",
        )
        return few, few
    win = 0.5 + 0.5 * np.sign(rows.s[i] - rows.s[j])
    more = np.sign(rows.r[i] - rows.r[j])
    exact = np.stack([win * (more > 0) + (1 - win) * (more < 0), np.abs(more)])
    g, one = rows.g, rows.pseudo_label
    product = one[i] * g[j] + g[i] * (one[j] - g[j])
    known = [np.where(rows.known, rows.r, g), g]
    left, right = (ordered(win, known[a][i], known[1 - a][j]) for a in (0, 1))
    guess = ordered(win, g[i], g[j])
    rest = joint * (exact - left - right + guess)
    sums = pair * (ordered(win, one[i], one[j], product) + rest)
    alone = _ratio(rows, pair * joint * exact, 0 * guess, rows.group[i], carried, size)
    with_log = _ratio(rows, sums, pair * guess, rows.group[i], carried, size)
    return with_log, alone


def _ratio(
    rows: LabelDraw, sums: Array, guess: Array, group: Index, carried: Array, size: float
) -> Estimate:
    """Sum of the first row of ``sums`` over that of the second; ``guess`` does not depend on the draw."""
    right, mixed = sums.sum(1)
    if mixed <= 0 or not 0 <= right <= mixed:
        return Estimate(None, reason="too few prompts have gold labels of both kinds")
    value = float(right / mixed)
    drawn = sums if rows.future else sums - guess
    influence = np.bincount(group, (drawn[0] - value * drawn[1]) / mixed, len(carried))
    share = carried / max(carried.sum(), 1e-300)
    if (share >= 1).any():
        return Estimate(value, reason="one prompt, so no interval")
    influence = influence / (1 - share)
    missing = 1.0 if rows.known.all() and not rows.complete else 1 - rows.known.mean()
    rest = 1.0 if rows.future else missing
    error = float(np.sqrt(rest * np.square(influence).sum()))
    if not rest:
        return Estimate(value, value, value)
    return student_interval(value, error, max(size - 1, 1), "share")
