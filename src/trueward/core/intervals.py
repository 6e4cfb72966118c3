"""95 % intervals by Student's t on the scale of a statistic, corrected for skewness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import expit, logit, stdtrit

from trueward.core.estimate import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Scale = Literal["share", "correlation", "error", "score", "difference"]
#: Ends of the range of a metric on each scale.
RANGES: dict[Scale, tuple[float, float]] = {
    "share": (0.0, 1.0),
    "correlation": (-1.0, 1.0),
    "error": (0.0, np.inf),
    "score": (-np.inf, 1.0),
    "difference": (-np.inf, np.inf),
}


def student_interval(
    value: float, error: float, degrees: float, scale: Scale, skew: float = 0.0
) -> Estimate:
    """Compute a 95 % interval by Student's t on the scale of the metric.

    Untransformed, the quantiles +-t become g^-1(+-t) with g(T) = T + a T^2 / 3 + a^2 T^3 / 27 + a / 6 and
    skewness a: where few rows hold the large errors, the standard error is small whenever the estimate
    is, and a symmetric interval misses on one side (Hall 1992).

    Parameters
    ----------
    value, error : float
        The statistic and its standard error.
    degrees : float
        Degrees of freedom n - 1, greater than 0, with n the effective number of units.
    scale : str
        ``share`` (log-odds), ``correlation`` (Fisher's z), or untransformed, cut to the range of an
        ``error`` (from 0), of a ``score`` (to 1) or of any ``difference``.
    skew : float, default 0
        Skewness a of the statistic, see `skewness`; not used on transformed scales.

    Returns
    -------
    Estimate
        Of a share of 0 or 1 the exact binomial interval (Clopper and Pearson) of n of n units.

    Examples
    --------
    >>> print(student_interval(0.8, 0.04, 30, "share"))
    0.800 [0.706, 0.870]
    >>> print(student_interval(0.8, 0.04, 30, "error", skew=0.3))  # longer towards the large errors
    0.800 [0.732, 0.912]
    >>> print(student_interval(1.0, 0.0, 9, "share"))  # 10 of 10: .025^(1/10)
    1.000 [0.692, 1.000]

    """
    wide = float(stdtrit(degrees, 0.975)) * error
    if scale == "share" and not 0 < value < 1:
        edge = 0.025 ** (1 / (degrees + 1))
        value = float(np.clip(value, 0, 1))
        return Estimate(value, edge, 1.0) if value else Estimate(value, 0.0, 1 - edge)
    if scale == "share":
        wide /= value * (1 - value)
        low, high = expit(logit(value) + np.array([-wide, wide]))
        return Estimate(value, float(low), float(high))
    if scale == "correlation" and abs(value) < 1:
        wide /= 1 - value**2
        low, high = np.tanh(np.arctanh(value) + np.array([-wide, wide]))
        return Estimate(value, float(low), float(high))
    least, most = RANGES[scale]
    if abs(skew) > 1e-6:
        ends = _unskewed(np.array([-1.0, 1.0]) * float(stdtrit(degrees, 0.975)), skew) * error
    else:
        ends = np.array([-wide, wide])
    return Estimate(value, max(value - float(ends[1]), least), min(value - float(ends[0]), most))


def skewness(influence: Array) -> float:
    """Compute the skewness of a sum of independent influence values: sum d^3 / (sum d^2)^1.5.

    Parameters
    ----------
    influence : (n,) array
        Influence d of every unit.

    Returns
    -------
    float
        0 where all are 0.

    """
    square = float(influence @ influence)
    return float((influence**3).sum() / square**1.5) if square > 0 else 0.0


def _unskewed(t: Array, a: float) -> Array:
    """g^-1(t), with g of `student_interval`."""
    return np.asarray(3 / a * (np.cbrt(1 + a * (t - a / 6)) - 1))
