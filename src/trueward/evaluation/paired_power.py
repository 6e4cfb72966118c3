"""Power of a paired comparison: how many runs a difference needs, and what a number of runs can show."""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.special import stdtrit
from scipy.stats import nct

from trueward.core.errors import UsageError

MOST_RUNS = 10_000_000


def paired_power(sd: float, difference: float, runs: int, *, level: float = 0.05) -> float:
    """Compute the probability that a paired, two-sided t-test finds a difference.

    power = P(|T| > t), T noncentral t with n - 1 degrees of freedom and noncentrality difference
    sqrt(n) / sd.

    Parameters
    ----------
    sd : float
        Standard deviation over runs of the difference within a run, above 0.
    difference : float
        True mean difference, in the same unit.
    runs : int
        Number n of runs (seeds), 2 or more.
    level : float, default 0.05
        Size of the test, in (0, 1).

    Returns
    -------
    float
        In [level, 1].

    Raises
    ------
    UsageError
        If a value is out of range.

    Examples
    --------
    >>> round(paired_power(1.0, 0.5, 34), 3)
    0.808

    """
    _check(sd, level, runs=runs)
    if not math.isfinite(difference):
        raise UsageError(f"the difference is a finite number, and is {difference}")
    shift, degrees = abs(difference) * math.sqrt(runs) / sd, runs - 1
    t = float(stdtrit(degrees, 1 - level / 2))
    if shift > t + 40:  # beyond the range in which the noncentral t is computed reliably
        return 1.0
    return float(min(1.0, nct.sf(t, degrees, shift) + nct.cdf(-t, degrees, shift)))


def smallest_difference(sd: float, runs: int, *, power: float = 0.8, level: float = 0.05) -> float:
    """Compute the smallest true difference that a paired t-test finds with a given power.

    Parameters
    ----------
    sd : float
        Standard deviation over runs of the difference within a run, above 0.
    runs : int
        Number of runs (seeds), 2 or more.
    power : float, default 0.8
        Wanted probability of finding it, in (level, 1).
    level : float, default 0.05
        Size of the test, in (0, 1).

    Returns
    -------
    float
        In the unit of ``sd``.

    Raises
    ------
    UsageError
        If a value is out of range.

    Examples
    --------
    >>> round(smallest_difference(0.19, 6), 3)  # six runs cannot see a fifth
    0.273

    """
    _check(sd, level, power, runs=runs)
    return float(brentq(lambda d: paired_power(sd, d, runs, level=level) - power, 0.0, 60 * sd))


def runs_needed(sd: float, difference: float, *, power: float = 0.8, level: float = 0.05) -> int:
    """Compute the fewest runs with which a paired t-test finds a difference with a given power.

    By the normal approximation n = (z_{1 - level/2} + z_power)^2 sd^2 / difference^2; this is exact.

    Parameters
    ----------
    sd : float
        Standard deviation over runs of the difference within a run, above 0.
    difference : float
        True difference to find, not 0.
    power : float, default 0.8
        Wanted probability of finding it, in (level, 1).
    level : float, default 0.05
        Size of the test, in (0, 1).

    Returns
    -------
    int
        2 or more.

    Raises
    ------
    UsageError
        If a value is out of range, or more than ten million runs would be needed.

    Examples
    --------
    >>> runs_needed(1.0, 0.5), runs_needed(0.19, 0.05)
    (34, 116)

    """
    _check(sd, level, power)
    if not math.isfinite(difference) or difference == 0:
        raise UsageError(
            f"the difference to find is a finite number other than 0, and is {difference}"
        )
    low, high = 1, 2
    while paired_power(sd, difference, high, level=level) < power:
        low, high = high, 2 * high
        if high > MOST_RUNS:
            raise UsageError(
                f"a difference of {difference:g} at a standard deviation of {sd:g} needs more than "
                f"{MOST_RUNS:,} runs: choose a larger difference, or a measure that varies less"
            )
    while high - low > 1:
        middle = (low + high) // 2
        if paired_power(sd, difference, middle, level=level) < power:
            low = middle
        else:
            high = middle
    return high


def _check(sd: float, level: float, power: float | None = None, runs: int = 2) -> None:
    if not (math.isfinite(sd) and sd > 0):
        raise UsageError(f"the standard deviation is a finite number above 0, and is {sd}")
    if not 0 < level < 1:
        raise UsageError(f"the level lies between 0 and 1, and is {level}")
    if power is not None and not level < power < 1:
        raise UsageError(f"the power lies between the level ({level:g}) and 1, and is {power}")
    if runs < 2:
        raise UsageError(f"a paired test needs 2 runs or more, found {runs}")
