"""Who clicks: mechanisms whose log has a 1 or nothing, and so cannot say who could have reacted.

mu is P(A = 1 | r* = 1, ...), the activity of a satisfied user; y = r* A but for mis-clicks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .chances import direction, logistic_fill, power, quality, standardised, water_fill
from .selection import Rated, Selection, people, rating, situation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SHARES = {"copy": 1.0, "like": 0.5, "share": 0.25}  # mean activity of a channel, in rates


def implicit(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """Click with y = o r*, o as in `rating`: no click may mean bad, or that nobody looked."""
    return Selection(rating(r, alpha, rate, rng).propensity, clicks=True)


def misclick(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """Click with y = 0 with chance rho_01 if r* A = 1, with y = 1 with chance rho_10 if r* A = 0.

    A as in `implicit`; f = rho_01 misses a click that was meant, g = rho_10 makes one that was not.
    """
    mu = rating(r, alpha, rate, rng).propensity
    return Selection(mu, clicks=True, misclicks=True)


def scar(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """Click with y = r* A, P(A) = rate, whatever alpha is: naive ranks right and needs a prior."""
    del alpha, rng
    return Selection(np.full(len(r.label), rate), clicks=True)


def mu_z(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """Click with y = r* A, logit mu = a - log(1/alpha) (device + (position - 1)/2), both logged.

    Neither knows anything of the response, so the split of reward from activity is identified.
    """
    cost, shown = situation(len(r.label), rng)
    mu = logistic_fill(np.log(alpha) * cost, rate)
    return Selection(mu, context=shown, clicks=True)


def mu_x(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """Click with y = r* A, logit mu = a + log(1/alpha) x v', v' partly along the quality direction.

    x v' = the ridge fit of the rating on x plus x v, v random and turned to agree with it; all
    standardised. Not identified: one channel cannot tell what is liked from what invites a click.
    """
    x = r.features()
    good, other = quality(x, r.rating), direction(x, rng)
    side = -1.0 if good @ other < 0 else 1.0
    mu = logistic_fill(-np.log(alpha) * standardised(good + side * other), rate)
    return Selection(mu, clicks=True)


def two_channel(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """Log y^k = r* A^k, A^copy and A^like independent given x, with chances mu_k(x).

    mu_k is water-filled from w = (1/alpha)^(standardised x v_k), each k with its own v_k; the mean
    of mu_copy is the rate and that of mu_like half of it.
    """
    x = r.features()
    mu = {
        k: water_fill(power(alpha, -direction(x, rng)), SHARES[k] * rate) for k in ("copy", "like")
    }
    return Selection(_any(mu), channels=mu)


def channels(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """Log y^k = r* A^k as in `two_channel`, and a third: mean mu_share is a quarter of the rate."""
    x = r.features()
    mu = {
        k: water_fill(power(alpha, -direction(x, rng)), share * rate) for k, share in SHARES.items()
    }
    return Selection(_any(mu), channels=mu)


def channels_users(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """Log three y^k = r* A^k, logit mu_k = a_k + log(1/alpha) x v_k + b_u, b_u ~ N(0, 1) of user u.

    Busy users do everything: given x alone the channels are dependent, given x and the user not.
    """
    x = r.features()
    who, count = people(r.group, rng)
    b = rng.standard_normal(count)[who]
    mu = {
        k: logistic_fill(-np.log(alpha) * direction(x, rng) + b, share * rate)
        for k, share in SHARES.items()
    }
    return Selection(_any(mu), channels=mu, user=who, truth={"user_effect": b})


def _any(mu: dict[str, Array]) -> Array:
    """Give the chance that at least one of independent actions happens."""
    return np.asarray(1 - np.prod([1 - m for m in mu.values()], axis=0), dtype=np.float64)
