"""Fisher information of the reactions to a lottery of asks about the share of good responses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

STRENGTH_SD = 1.0  # prior of b


def information(g: float, b: float, levels: Array, asked: Array, share: Array, n: float) -> Array:
    """Return the Fisher information of outcomes about logit g, b, d and the level of every arm.

    Parameters
    ----------
    g : float
        P(good).
    b : float
        Log odds ratio of reacting, good against bad; d is taken at 0.
    levels : ndarray, shape (T,)
        h_t.
    asked : ndarray, shape (T,)
        1 for arms in which d counts.
    share : ndarray, shape (T,)
        Share of the responses in each arm.
    n : float
        Number of responses.

    Returns
    -------
    ndarray, shape (3 + T, 3 + T)

    """
    total = np.zeros((3 + len(levels), 3 + len(levels)))
    for t, h in enumerate(levels):
        good, bad = expit(h + b / 2), expit(h - b / 2)
        up, down = g * good, (1 - g) * bad
        # derivative of P(up) and P(down) by logit g, and by the logits of reacting of good and of bad
        by_g = np.array([g * (1 - g) * good, -g * (1 - g) * bad])
        by_good, by_bad = np.array([up * (1 - good), 0.0]), np.array([0.0, down * (1 - bad)])
        slope = (by_good - by_bad) / 2
        jacobian = np.zeros((2, 3 + len(levels)))
        jacobian[:, 0], jacobian[:, 1], jacobian[:, 2] = by_g, slope, slope * asked[t]
        jacobian[:, 3 + t] = by_good + by_bad
        chances = np.array([up, down])
        inverse = np.diag(1 / chances) + 1 / (1 - chances.sum())
        total += n * share[t] * jacobian.T @ inverse @ jacobian
    return total


def share_error(
    n: float, p: float, answering: float, unasked: float, up: float, ratio: float, change_sd: float
) -> tuple[float, float]:
    """Return the standard error of g from asks alone, and g.

    Parameters
    ----------
    n : float
        Number of responses.
    p, answering, unasked : float
        P(asked), and the shares of the asked and of the others who react.
    up : float
        Share of thumbs up among those who react unasked.
    ratio : float
        Odds ratio of reacting, good against bad.
    change_sd : float
        Prior standard deviation of d.

    Returns
    -------
    (float, float)

    """
    g = up / (up + (1 - up) * ratio)
    b = float(np.log(ratio))
    rates = (unasked, answering)
    levels = np.array([_level(rate, g, b) for rate in rates])
    precision = information(g, b, levels, np.array([0.0, 1.0]), np.array([1 - p, p]), n)
    precision[1, 1] += STRENGTH_SD**-2
    precision[2, 2] += change_sd**-2
    return float(g * (1 - g) * np.sqrt(np.linalg.inv(precision)[0, 0])), g


def _level(rate: float, g: float, b: float) -> float:
    """h at which a share of the responses is reacted to."""
    gap = lambda h: g * expit(h + b / 2) + (1 - g) * expit(h - b / 2) - rate  # noqa: E731
    return float(brentq(gap, -40.0, 40.0))
