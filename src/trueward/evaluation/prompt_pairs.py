"""Pairs of answers to one prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

NEAR = 100  # answers to one prompt that an answer is compared with


def ordered(win: Array, up: Array, down: Array, product: Array | None = None) -> Array:
    """Compute P(one good, one bad and in the right order), and P(one good, one bad), of pairs.

    Parameters
    ----------
    win : (pairs,) array
        1 where the first answer scores higher, 0 where the second does, .5 at a tie.
    up, down : (pairs,) array
        P(good) of the first and of the second answer.
    product : (pairs,) array, optional
        P(both good); ``up`` times ``down`` by default.

    Returns
    -------
    (2, pairs) array

    """
    cross = up * down if product is None else product
    return np.stack([win * up + (1 - win) * down - cross, up + down - 2 * cross])


def pairs_within_prompts(group: Index) -> tuple[Index, Index]:
    """Find the pairs of answers to one prompt, less than 100 answers apart in the log.

    Parameters
    ----------
    group : (n,) array of int
        Prompt of every row.

    Returns
    -------
    first, second : (pairs,) array of int
        Row numbers of the two answers.

    """
    order = np.argsort(group, kind="stable")
    left, right = [], []
    for gap in range(1, NEAR):
        same = group[order[gap:]] == group[order[:-gap]]
        if not same.any():
            break
        left.append(order[:-gap][same])
        right.append(order[gap:][same])
    if not left:
        return order[:0], order[:0]
    return np.concatenate(left), np.concatenate(right)
