"""Models of who reacts, fitted to out-of-fold log-odds of ratings: their evidence and their log-odds of good.

Notation: q and p are the out-of-fold log-odds of P(up given rated, x) and P(rated given x); a tilde means
standardised; f is the log-odds of P(good given x).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit

from .laplace import laplace
from .outcome_counts import SMALLEST_SD, OutcomeCounts
from .reaction_models import ReactionModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .laplace import Gradient

    Array = NDArray[np.float64]

LEVEL_SD, SLOPE_SD, STACKING_SD = 0.3, 0.3, 0.5  # priors of b0, b1, b2 under missing at random
LABEL_LEVEL_SD, LABEL_SLOPE_SD, LABEL_STACKING_SD = (
    0.5,
    0.6,
    1.0,
)  # the same, with selection by the label
RATE_SD = 2.0  # prior of the log-odds of reacting, around the share of rated rows
STRENGTH_SD = 3.0  # prior of d, the log odds ratio of reacting to a good and to a bad answer
ALIGNED_SD, ALONG_SD = (
    0.3,
    1.5,
)  # priors of k1 and k2, in sd of p: how P(rated) varies with q and beside q
STARTS = (0.0, 2.0, -2.0)  # values of d from which the likelihood is maximised


def fit_selection_models(
    counts: OutcomeCounts, rho_01: float, rho_10: float, tried: Sequence[float]
) -> list[ReactionModel]:
    """Fit the models of who reacts to the same rows.

    - ``at_random``: P(up given rated) = rho_10 + D sigmoid(f), f = q + b0 + b1 (q - mean q), D = 1 - rho_01 -
      rho_10; logit P(rated) = k0 + k1 q~ + k2 e, e the part of p~ that q~ does not explain. A narrow prior
      of k1 says that features select along the quality only by chance.
    - ``stacked``: the same with b2 p~ in f.
    - ``by_label``: f = q + b0 + b1 (q - mean q) + b2 p~ - d; logit P(react given r) = c + d (r - 1/2). At
      d = 0 it is ``at_random`` without features in who reacts.
    - ``by_label_noisy``: the same, one model for each pair of noise rates in ``tried``, where none are given.

    The priors of b0 and b1 are centred on the linear map nearest to the correction of q for the noise rates.

    Parameters
    ----------
    counts : OutcomeCounts
        The rows.
    rho_01, rho_10 : float
        P(observed 0 given true 1) and P(observed 1 given true 0).
    tried : sequence of float
        Noise rates of ``by_label_noisy``; without any it is left out.

    Returns
    -------
    list of ReactionModel

    Examples
    --------
    >>> q, p = np.linspace(-1, 1, 50), np.zeros(50)
    >>> one = np.ones(50)
    >>> counts = OutcomeCounts.of(q, p, (q > 0) * one, one * (q > -0.5), one, None)
    >>> [m.name for m in fit_selection_models(counts, 0.0, 0.0, [0.1])]
    ['at_random', 'stacked', 'by_label', 'by_label_noisy']

    """
    (mean_q, _), (mean_p, sd_p) = counts.moments(counts.q), counts.moments(counts.p)
    design = np.stack([np.ones(len(counts.q)), counts.q - mean_q, (counts.p - mean_p) / sd_p], 1)
    reacting = _reacting_evidence(counts)
    models = []
    for name, columns in (("at_random", 2), ("stacked", 3)):
        sd = np.array([LEVEL_SD, SLOPE_SD, STACKING_SD][:columns])
        centre = np.append(_correction(counts, rho_01, rho_10), np.zeros(columns - 2))
        objective = _ratings(counts, design[:, :columns], centre, sd, rho_01, rho_10)
        w, curvature, evidence = laplace(objective, [centre], sd, slope=1)
        models.append(
            ReactionModel(name, evidence + reacting, w, curvature, columns, by_label=False)
        )
    rates = [("by_label", (rho_01, rho_10))]
    if rho_01 + rho_10 == 0:
        rates += [("by_label_noisy", (a, b)) for a in tried for b in tried]
    sd = np.array([LABEL_LEVEL_SD, LABEL_SLOPE_SD, LABEL_STACKING_SD, RATE_SD, STRENGTH_SD])
    for name, rho in rates:
        centre = np.array([*_correction(counts, *rho), 0.0, _rate(counts), 0.0])
        starts = [centre + np.array([0, 0, 0.3 * np.sign(d), 0, d]) for d in STARTS]
        objective = _outcomes(counts, design, centre, sd, *rho)
        w, curvature, evidence = laplace(objective, starts, sd, slope=1)
        models.append(ReactionModel(name, evidence, w, curvature, 3, by_label=True))
    return models


def _correction(counts: OutcomeCounts, rho_01: float, rho_10: float) -> Array:
    """b0 and b1 of the linear map of q nearest, over rated rows, to logit (P(up) - rho_10) / D."""
    if rho_01 + rho_10 == 0:
        return np.zeros(2)
    exact = logit(np.clip((expit(counts.q) - rho_10) / (1 - rho_01 - rho_10), 0.02, 0.98))
    gap = counts.q - counts.moments(counts.q)[0]
    w = counts.rated / counts.rated.sum()
    spread = w @ np.square(gap - w @ gap)
    slope = w @ ((exact - w @ exact) * (gap - w @ gap)) / max(float(spread), SMALLEST_SD**2)
    return np.array([w @ (exact - counts.q) - (slope - 1) * (w @ gap), slope - 1])


def _rate(counts: OutcomeCounts) -> float:
    """Log-odds of the share of rated rows, held away from 0 and 1 by half a row."""
    rated, n = counts.rated.sum(), counts.n.sum()
    return float(logit((rated + 0.5) / (n + 1)))


def _ratings(
    counts: OutcomeCounts, design: Array, centre: Array, sd: Array, rho_01: float, rho_10: float
) -> Gradient:
    """Minus log posterior of b, with P(up given rated) = rho_10 + D sigmoid(q + design b)."""
    slope, differ = 1 - rho_01 - rho_10, counts.lenient.any()

    def objective(b: Array) -> tuple[float, Array]:
        g = expit(counts.q + design @ b)
        up = np.clip(rho_10 + slope * g, 1e-9, 1 - 1e-9)
        said = up if not differ else expit(logit(up) + counts.lenient)
        gap = (b - centre) / sd
        value = (
            counts.up @ np.log(said) + counts.down @ np.log1p(-said) - 0.5 * np.square(gap).sum()
        )
        score = (counts.up / up - counts.down / (1 - up)) * slope * g * (1 - g)
        if differ:
            per_logit = counts.up * (1 - said) - counts.down * said
            score = per_logit / (up * (1 - up)) * slope * g * (1 - g)
        return -float(value), -(design.T @ score - gap / sd)

    return objective


def _reacting_evidence(counts: OutcomeCounts) -> float:
    """Log evidence of who reacts under missing at random: logit P(rated) = k0 + k1 q~ + k2 e."""
    (mean_q, sd_q), (mean_p, sd_p) = counts.moments(counts.q), counts.moments(counts.p)
    one, q, p = np.ones(len(counts.q)), (counts.q - mean_q) / sd_q, (counts.p - mean_p) / sd_p
    along = float((counts.n * p) @ q / max(float((counts.n * q) @ q), 1e-9))
    beside = p - along * q
    _, sd_beside = counts.moments(beside)
    design = np.stack([one, q, beside], 1)
    sd = np.array(
        [RATE_SD, max(ALIGNED_SD * sd_p * sd_beside, SMALLEST_SD), max(ALONG_SD * sd_p, 0.05)]
    )
    centre = np.array([_rate(counts), 0.0, 0.0])

    def objective(k: Array) -> tuple[float, Array]:
        z, gap = design @ k + counts.reacting, k - centre
        value = counts.n @ np.logaddexp(0, z) - counts.rated @ z + 0.5 * np.square(gap / sd).sum()
        return float(value), design.T @ (counts.n * expit(z) - counts.rated) + gap / sd**2

    start = np.array([_rate(counts), along * sd_p, sd_p])
    return laplace(objective, [start], sd)[2]


def _outcomes(
    counts: OutcomeCounts, design: Array, centre: Array, sd: Array, rho_01: float, rho_10: float
) -> Gradient:
    """Minus log posterior of (b, c, d) from the probabilities of the three outcomes.

    P(up) = (1 - rho_01) m_1 g + rho_10 m_0 (1 - g), P(down) = rho_01 m_1 g + (1 - rho_10) m_0 (1 - g), and
    the rest are unrated; g = sigmoid(f) and m_r = sigmoid(c + d (r - 1/2)).
    """
    e = counts.reacting if counts.reacting.any() else 0.0
    differ = counts.lenient.any()

    def objective(v: Array) -> tuple[float, Array]:
        b, c, d = v[:3], v[3], v[4]
        g = expit(counts.q - d + design @ b)
        m_1, m_0 = expit(c + e + d / 2), expit(c + e - d / 2)
        good, bad = m_1 * g, m_0 * (1 - g)
        chances = (
            (1 - rho_01) * good + rho_10 * bad,
            rho_01 * good + (1 - rho_10) * bad,
            1 - good - bad,
        )
        up, down, none = (np.maximum(chance, 1e-12) for chance in chances)
        value = counts.up @ np.log(up) + counts.down @ np.log(down) + counts.none @ np.log(none)
        u, w, n = counts.up / up, counts.down / down, counts.none / none
        if differ:  # up and down share the chance of a rating in the odds (up / down) exp(lenient)
            moved = up * np.exp(counts.lenient) + down
            value += counts.up @ counts.lenient + counts.rated @ np.log((up + down) / moved)
            both = counts.rated / (up + down)
            u = u + both - counts.rated * np.exp(counts.lenient) / moved
            w = w + both - counts.rated / moved
        by_good = u * (1 - rho_01) + w * rho_01 - n  # derivative by m_1 g
        by_bad = u * rho_10 + w * (1 - rho_10) - n  # derivative by m_0 (1 - g)
        by_f = (by_good * m_1 - by_bad * m_0) * g * (1 - g)
        by_m_1 = _through(by_good * g, m_1)
        by_m_0 = _through(by_bad * (1 - g), m_0)
        own = [by_m_1 + by_m_0, (by_m_1 - by_m_0) / 2 - by_f.sum()]
        gap = v - centre
        gradient = np.append(design.T @ by_f, own) - gap / sd**2
        return -float(value - 0.5 * np.square(gap / sd).sum()), -gradient

    return objective


def _through(by_chance: Array, m: Array | float) -> float:
    """Derivative by the common log-odds of the chances m, one or one a cell."""
    if np.ndim(m) == 0:
        return float(by_chance.sum() * m * (1 - m))
    return float(by_chance @ (m * (1 - m)))
