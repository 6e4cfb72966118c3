"""Confidence sequences: intervals that hold together at every look, however often a log is looked at.

Look t = 1, 2, ... is the end of a period. It may use the newest 1, 2, 4, ..., 32 periods, and each of these
windows has one interval per drift. The error level is spent on the looks,

alpha_t = alpha / (52 * 2^y), with y = ceil(t / 52),

half of alpha on the first 52 looks, a quarter on the next 52, and so on, and evenly on the windows of a look
and on the drifts. By the union bound the probability that any interval at any look misses is at most alpha
(Darling and Robbins 1967; Lan and DeMets 1983). With a look a week this is narrower than a mixture boundary
(Howard et al. 2021), which also covers the moments between looks, and it needs no independence of the looks:
users who come back, and the error of the reference, are shared by all of them.
"""

from __future__ import annotations

from scipy.special import stdtrit

BLOCK = 52  # looks that share one half of what is left of alpha
LENGTHS = (1, 2, 4, 8, 16, 32)  # periods in a window


def window_lengths(look: int) -> tuple[int, ...]:
    """Return the lengths of the windows that end at a look.

    Parameters
    ----------
    look : int
        Number of the look, from 1.

    Returns
    -------
    tuple of int
        Numbers of periods, at most ``look``.

    Examples
    --------
    >>> window_lengths(5)
    (1, 2, 4)

    """
    return tuple(length for length in LENGTHS if length <= look)


def interval_level(look: int, alpha: float, drifts: int) -> float:
    """Return the error level of one interval: of one drift over one window at one look.

    Parameters
    ----------
    look : int
        Number of the look, from 1.
    alpha : float
        Probability that any interval misses, over all looks and drifts.
    drifts : int
        Number of drifts.

    Returns
    -------
    float
        The level; over all looks, windows and drifts the levels sum to alpha.

    Examples
    --------
    >>> round(52 * interval_level(1, 0.05, 1), 3)  # half of alpha, if every look had one window
    0.025

    """
    block = -(-look // BLOCK)
    return float(alpha / (BLOCK * 2.0**block) / len(window_lengths(look)) / drifts)


def margin(error: float, degrees: float, level: float) -> float:
    """Return the half width of a two-sided interval by Student's t.

    Parameters
    ----------
    error : float
        Standard error.
    degrees : float
        Degrees of freedom: the effective number of units, minus 1.
    level : float
        Error level.

    Returns
    -------
    float
        In the unit of ``error``.

    """
    return float(-stdtrit(degrees, level / 2)) * error
