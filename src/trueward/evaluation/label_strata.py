"""A stratified draw of the responses to label: by feedback and by the model's P(preferred)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trueward.core.random import numpy_stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueward.data.feedback import Feedback

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

PARTS = 3  # of the rows of one kind of feedback, by P(preferred)
FEWEST_EACH = 5  # labels of a stratum, if it has so many rows


def strata(p: Array, log: Feedback) -> Index:
    """Number the strata: thirds by P(preferred) within the rows without feedback, with 0 and with 1.

    Parameters
    ----------
    p : (n,) array
        P(preferred) by the model.
    log : Feedback
        The log.

    Returns
    -------
    (n,) array of int
        Number of the stratum of every row.

    """
    y = log.y.double().cpu().numpy() > 0.5
    rated = np.ones(len(y), bool) if log.o is None else log.o.cpu().numpy() > 0
    kind = np.where(rated, 1 + y, 0)
    found = np.empty(len(p), np.int64)
    for k in np.unique(kind):
        rows = np.flatnonzero(kind == k)
        place = np.argsort(np.argsort(p[rows], kind="stable"), kind="stable")
        found[rows] = PARTS * k + place * PARTS // len(rows)
    return found


def stratified_draw(stratum: Index, count: int, seed: int) -> tuple[Index, Array]:
    """Draw rows of every stratum in proportion to its size, and at least 5 of each.

    n_h = min(N_h, max(5, round(count N_h / N))), drawn without replacement: P(drawn) = n_h / N_h. With the
    same seed a larger draw contains the smaller one.

    Parameters
    ----------
    stratum : (n,) array of int
        Stratum of every row.
    count : int
        Number of labels, without what the minimum adds.
    seed : int
        Seed of the draw.

    Returns
    -------
    rows : (m,) array of int
        In rising order.
    weight : (m,) array
        1 / P(drawn) of each.

    Examples
    --------
    >>> rows, weight = stratified_draw(np.array([0] * 90 + [1] * 10), 20, seed=0)
    >>> len(rows), sorted(set(weight.tolist()))
    (23, [2.0, 5.0])

    """
    order = numpy_stream(seed, "stratified plan").permutation(len(stratum))
    weight = np.zeros(len(stratum))
    for h in np.unique(stratum):
        rows = order[stratum[order] == h]
        size = min(len(rows), max(FEWEST_EACH, round(count * len(rows) / len(stratum))))
        weight[rows[:size]] = len(rows) / size
    drawn = np.flatnonzero(weight)
    return drawn, weight[drawn]
