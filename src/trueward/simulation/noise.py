"""Which reactions contradict the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trueward.core.errors import UsageError

from .chances import water_fill

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def flip_rates(label: Array, rho_01: float, rho_10: float, weight: Array | None = None) -> Array:
    """Give each row's chance of a flip: rho_01 where r* = 1, rho_10 where r* = 0.

    weight: (n,), None for equal chances. In each class the chance is min(1, k weight) with the k
    that makes its mean the rate of that class.
    """
    if not (0 <= rho_01 < 1 and 0 <= rho_10 < 1 and rho_01 + rho_10 < 1):
        raise UsageError(
            f"the noise rates must be at least 0 and rho_01 + rho_10 below 1 (feedback would mean "
            f"its opposite), but rho_01={rho_01} and rho_10={rho_10}"
        )
    rates = np.where(label > 0, rho_01, rho_10)
    if weight is not None:
        for rows, rho in ((label > 0, rho_01), (label == 0, rho_10)):
            if rho > 0 and rows.any():
                rates[rows] = water_fill(weight[rows], rho)
    return rates


def flips(rates: Array, observed: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Flip with the chance ``rates`` (n,), on observed rows only.

    One number is drawn for every row, observed or not, so a change of who is observed does not
    change the flips of the others, and larger rates keep the flips of smaller.
    """
    return np.asarray(observed & (rng.random(len(rates)) < rates))
