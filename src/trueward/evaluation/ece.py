"""Expected calibration error with an interval that allows for the noise in its bins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trueward.core.estimate import Estimate
from trueward.core.random import numpy_stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

STEPS = 101  # candidate values of ECE that its interval inverts the test at


def ece_interval(
    gaps: Array, covariance: Array, degrees: float, *, draws: int, seed: int
) -> Estimate:
    """Compute ECE = sum_b |g_b| of the gaps g, and its interval by inverting a test.

    Parameters
    ----------
    gaps : (bins,) array
        Gaps, from `metrics.calibration_gaps`.
    covariance : (bins, bins) array
        Estimated covariance of the gaps.
    degrees : float
        Degrees of freedom of the covariance.
    draws : int
        Draws of the errors of the gaps, from Student's t.
    seed : int
        Seed of the draws; the stream is ``ece``.

    Returns
    -------
    Estimate
        ECE; its interval always contains the value.

    Notes
    -----
    Observed gaps are g = t f + h with errors h and f of unit ECE. Noise counts as error in ECE, so an
    interval around the observed value would count it twice. The ends are instead the t at which
    sum_b |t f_b + h_b| is as low, and as high, as observed in 2.5 % of the draws of h. f is the
    least-squares quadratic of g over the bins: the size of the gaps comes from the data, their shape only
    roughly.

    """
    rng = numpy_stream(seed, "ece")
    size, axes = np.linalg.eigh(covariance)
    h = rng.standard_normal((draws, len(gaps))) * np.sqrt(np.maximum(size, 0)) @ axes.T
    h *= np.sqrt(degrees / rng.chisquare(degrees, (draws, 1)))
    ece, bins = float(np.abs(gaps).sum()), np.linspace(-1, 1, len(gaps))
    f = np.polynomial.Polynomial.fit(bins, gaps, 2)(bins)
    f /= max(float(np.abs(f).sum()), np.finfo(float).tiny)
    t = np.linspace(0, ece + float(np.abs(h).sum(axis=1).max()), STEPS)
    law = np.abs(t[:, None, None] * f + h).sum(axis=2)
    rare, usual = np.quantile(law, (0.025, 0.975), axis=1, method="weibull")
    low, high = (float(np.interp(ece, np.maximum.accumulate(end), t)) for end in (usual, rare))
    return Estimate(ece, min(low, ece), max(high, ece))
