"""Which reactions contradict the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trueward.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def flips(
    label: NDArray[np.float64],
    observed: NDArray[np.bool_],
    rho_01: float,
    rho_10: float,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Flip with P(flip | r* = 1) = rho_01 and P(flip | r* = 0) = rho_10, on observed rows only.

    label, observed: (n,). One number is drawn for every row, observed or not, so a change of who is
    observed does not change the flips of the others, and larger rates keep the flips of smaller.
    """
    if not (0 <= rho_01 < 1 and 0 <= rho_10 < 1 and rho_01 + rho_10 < 1):
        raise UsageError(
            f"the noise rates must be at least 0 and rho_01 + rho_10 below 1 (feedback would mean "
            f"its opposite), but rho_01={rho_01} and rho_10={rho_10}"
        )
    u = rng.random(len(label))
    return np.asarray(observed & (u < np.where(label > 0, rho_01, rho_10)))
