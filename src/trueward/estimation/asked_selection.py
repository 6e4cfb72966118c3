"""Who reacts, from a lottery of asks: an excluded instrument for reacting, in one likelihood.

Notation: q and p are the out-of-fold log-odds of P(up given rated, x) and P(rated given x); a tilde means
standardised; f is the log-odds of P(good given x); t is the arm of a response.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.special import expit, log_expit, logit

from .laplace import laplace
from .reaction_models import ReactionModel
from .selection_models import LABEL_SLOPE_SD, LABEL_STACKING_SD, RATE_SD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .asked_counts import AskedCounts
    from .laplace import Gradient

    Array = NDArray[np.float64]

LEVEL_SD = 1.0  # prior of b0
LOOKS_SD = 1.0  # prior of a1 and a2: how the chance of a reaction varies with q and p
STRENGTH_SD = 1.0  # prior of b, the log odds ratio of reacting to a good and to a bad answer
CHANGE_SD = 0.7  # prior of d, what asking adds to it
#: model -> whether b and d are free, and the number of coefficients b0, b1, b2 of f
FITTED = {
    "at_random": (False, 2),
    "stacked": (False, 3),
    "asked": (True, 2),
    "asked_stacked": (True, 3),
}
STARTS = (0.0, 1.5, -1.5)  # values of b from which the likelihood is maximised


@dataclass(frozen=True)
class AskedModel(ReactionModel):
    """A fitted model of who reacts to a product that asks some of its users.

    f = q + b0 + b1 (q - mean q) + b2 p~ - b; logit P(react given r, x, t) = c_t + a1 q~ + a2 p~ + (b + d
    1[t > 0]) (r - 1/2). The models are ``at_random`` (b = d = 0, b2 = 0), ``stacked`` (b = d = 0), ``asked``
    (b2 = 0) and ``asked_stacked``; their parameters are b0, b1, b2, then a1, a2, the T rates c_t, b and d.
    """

    OF_LABEL: ClassVar[int] = 2

    def reacting(self, counts: AskedCounts) -> tuple[float, float]:
        """Return P(react given bad) and P(react given good), averaged over the rows of all arms.

        Parameters
        ----------
        counts : AskedCounts
            The rows of the fit.

        """
        b, d = self.strength()
        last = len(self.parameters) - self.OF_LABEL * self.by_label
        h = _looks(counts) @ self.parameters[self.columns : last]
        half = (b + d * (counts.arm > 0)) / 2
        bad, good = (float(np.average(expit(h + v), weights=counts.n)) for v in (-half, half))
        return bad, good


def fit_asked_models(counts: AskedCounts, rho_01: float, rho_10: float) -> list[AskedModel]:
    """Fit the models of who reacts to the rows of a lottery.

    The outcomes of a response of arm t are up, down and none, with P(up) = (1 - rho_01) pi_t1 g + rho_10
    pi_t0 (1 - g), P(down) = rho_01 pi_t1 g + (1 - rho_10) pi_t0 (1 - g), g = sigmoid(f) and pi_tr = P(react
    given r, x, t). A gold label r adds log P(r given x) + log P(outcome given r, x, t): it may be drawn by
    arm and outcome, such as from the asked who stayed silent. The instrument is excluded: asking changes who
    reacts and not how good a response is.

    Parameters
    ----------
    counts : AskedCounts
        The rows.
    rho_01, rho_10 : float
        P(observed 0 given true 1) and P(observed 1 given true 0).

    Returns
    -------
    list of AskedModel
        ``at_random``, ``stacked``, ``asked``, ``asked_stacked``.

    """
    looks = _looks(counts)
    mean_q, _ = counts.moments(counts.q)
    level = np.stack([np.ones(len(looks)), counts.q - mean_q, looks[:, 1]], 1)
    rates = logit(np.clip(counts.answering, 1e-4, 1 - 1e-4))
    models = []
    for name, (by_label, columns) in FITTED.items():
        own = [STRENGTH_SD, CHANGE_SD] if by_label else []
        sd = np.array(
            [
                *(LEVEL_SD, LABEL_SLOPE_SD, LABEL_STACKING_SD)[:columns],
                *(LOOKS_SD, LOOKS_SD),
                *np.full(len(rates), RATE_SD),
                *own,
            ]
        )
        centre = np.array([*np.zeros(columns + 2), *rates, *np.zeros(len(own))])
        design = (level[:, :columns], looks)
        objective = _outcomes(counts, design, centre, sd, (rho_01, rho_10), by_label=by_label)
        starts = [centre]
        if own:
            starts = [centre.copy() for _ in STARTS]
            for start, b in zip(starts, STARTS, strict=True):
                start[len(centre) - len(own)] = b
        v, curvature, evidence = laplace(objective, starts, sd, slope=1)
        models.append(AskedModel(name, evidence, v, curvature, columns, by_label))
    return models


def _looks(counts: AskedCounts) -> Array:
    """(k, 2 + T) what the chance of a reaction depends on: q~, p~ and the arm."""
    (mean_q, sd_q), (mean_p, sd_p) = counts.moments(counts.q), counts.moments(counts.p)
    columns = [(counts.q - mean_q) / sd_q, (counts.p - mean_p) / sd_p]
    arm = np.eye(int(counts.arm.max()) + 1)[counts.arm]
    return np.hstack([np.stack(columns, 1), arm])


def _outcomes(
    counts: AskedCounts,
    design: tuple[Array, Array],
    centre: Array,
    sd: Array,
    rho: tuple[float, float],
    *,
    by_label: bool,
) -> Gradient:
    """Minus log posterior of all parameters, from outcomes and gold labels."""
    level, looks = design
    rho_01, rho_10 = rho
    asked = (counts.arm > 0).astype(np.float64)
    (bad_silent, bad_rated), (good_silent, good_rated) = counts.gold
    good_gold, bad_gold = good_silent + good_rated, bad_silent + bad_rated
    columns = level.shape[1]
    last = columns + looks.shape[1]

    def objective(v: Array) -> tuple[float, Array]:
        b, d = v[last:] if by_label else (0.0, 0.0)
        f, h = counts.q - b + level @ v[:columns], looks @ v[columns:last]
        half = (b + d * asked) / 2
        g, m_1, m_0 = expit(f), expit(h + half), expit(h - half)
        good, bad = m_1 * g, m_0 * (1 - g)
        chances = (
            (1 - rho_01) * good + rho_10 * bad,
            rho_01 * good + (1 - rho_10) * bad,
            1 - good - bad,
        )
        chances = tuple(np.maximum(chance, 1e-12) for chance in chances)
        value = sum(float(n @ np.log(c)) for n, c in zip(counts.outcome, chances, strict=True))
        value += good_gold @ log_expit(f) + bad_gold @ log_expit(-f)
        value += good_rated @ log_expit(h + half) + good_silent @ log_expit(-h - half)
        value += bad_rated @ log_expit(h - half) + bad_silent @ log_expit(half - h)
        up, down, none = (n / c for n, c in zip(counts.outcome, chances, strict=True))
        by_good = up * (1 - rho_01) + down * rho_01 - none  # derivative by m_1 g
        by_bad = up * rho_10 + down * (1 - rho_10) - none  # derivative by m_0 (1 - g)
        by_f = (by_good * m_1 - by_bad * m_0) * g * (1 - g) + good_gold * (1 - g) - bad_gold * g
        by_m_1 = by_good * g * m_1 * (1 - m_1) + good_rated * (1 - m_1) - good_silent * m_1
        by_m_0 = by_bad * (1 - g) * m_0 * (1 - m_0) + bad_rated * (1 - m_0) - bad_silent * m_0
        by_half = (by_m_1 - by_m_0) / 2
        by_own = [by_half.sum() - by_f.sum(), by_half @ asked] if by_label else []
        gap = v - centre
        gradient = np.concatenate([level.T @ by_f, looks.T @ (by_m_1 + by_m_0), by_own])
        return -float(value - 0.5 * np.square(gap / sd).sum()), -(gradient - gap / sd**2)

    return objective
