"""Means over seeds with their 95 % intervals: of a figure, of a difference, of a share of a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from trueward.core.estimate import Estimate

if TYPE_CHECKING:
    from collections.abc import Sequence


def mean(values: Sequence[float]) -> Estimate | None:
    """Mean ± t sd / sqrt(n), t of n - 1 degrees; None of nothing."""
    v = np.asarray(values, dtype=np.float64)
    if not len(v):
        return None
    m = float(v.mean())
    if len(v) < 2:
        return Estimate(m)
    half = float(stats.t.ppf(0.975, len(v) - 1) * v.std(ddof=1) / np.sqrt(len(v)))
    return Estimate(m, m - half, m + half)


def share(part: Sequence[float], gap: Sequence[float]) -> Estimate | None:
    """mean(part) / mean(gap) of paired values with Fieller's interval (1954).

    None where the interval of the mean gap contains 0: then there is no gap to have a share of.

    >>> round(share([1.0, 1.2, 0.8], [2.0, 2.1, 1.9]).value, 2)
    0.5
    """
    a, b = np.asarray(part, dtype=np.float64), np.asarray(gap, dtype=np.float64)
    n = len(a)
    if n < 2:
        return None
    t2 = float(stats.t.ppf(0.975, n - 1)) ** 2
    (va, vab), (_, vb) = np.cov(a, b) / n
    ma, mb = float(a.mean()), float(b.mean())
    # the ratios q with (ma - q mb)^2 <= t^2 (va - 2 q vab + q^2 vb)
    lead = mb**2 - t2 * float(vb)
    if lead <= 0:
        return None
    middle = ma * mb - t2 * float(vab)
    inside = middle**2 - lead * (ma**2 - t2 * float(va))
    half = float(np.sqrt(max(0.0, inside)))
    return Estimate(ma / mb, (middle - half) / lead, (middle + half) / lead)
