"""Laplace's approximation: the MAP estimate of some parameters, its curvature, and the log evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Gradient = Callable[[Array], tuple[float, Array]]

FLATTEST = -1.0  # smallest b1: the slope of q is not negative


def laplace(
    objective: Gradient, starts: list[Array], sd: Array, slope: int | None = None
) -> tuple[Array, Array, float]:
    """Return the MAP estimate from the best start, its curvature, and Laplace's log evidence.

    Parameters
    ----------
    objective : callable
        Parameters -> minus log posterior without its constants, and its gradient.
    starts : list of ndarray, shape (m,)
        Where the search begins.
    sd : ndarray, shape (m,)
        Prior standard deviations.
    slope : int, optional
        Parameter that is held at `FLATTEST` at least.

    Returns
    -------
    (ndarray, ndarray, float)
        (m,) parameters, (m, m) curvature, log evidence.

    """
    bounds: list[tuple[float | None, None]] = [(None, None)] * len(sd)
    if slope is not None:
        bounds[slope] = (FLATTEST, None)
    fits = [
        minimize(objective, s, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 100})
        for s in starts
    ]
    best = min(fits, key=lambda fit: float(fit.fun))
    step = 1e-3 * np.eye(len(sd))
    rows = [(objective(best.x + e)[1] - objective(best.x - e)[1]) / 2e-3 for e in step]
    hessian = (np.array(rows) + np.array(rows).T) / 2
    size, axes = np.linalg.eigh(hessian)
    size = np.maximum(size, 1e-2)
    evidence = -float(best.fun) - 0.5 * float(np.log(size).sum() + 2 * np.log(sd).sum())
    return np.asarray(best.x), np.asarray((axes * size) @ axes.T), evidence
