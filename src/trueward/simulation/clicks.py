"""Mechanisms of clicks: the feedback is positive or missing (positive-unlabelled).

y = r* A: a user clicks if the response is good and the user is active. mu = P(A = 1 | r* = 1, ...) is
the activity of a satisfied user. The first line of each docstring is its formula, in the terms of
`selection`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .propensity import logistic_fill, power, water_fill
from .scores import quality_score, random_score, standardised
from .selection import LogRows, Selection, assign_users, device_and_position, rating

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Mean activity of each channel, as a multiple of the rate.
CHANNEL_RATES = {"copy": 1.0, "like": 0.5, "share": 0.25}


def implicit(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """y = r* A, mu as p in `rating`: no click means a bad response or an inactive user."""
    return Selection(rating(r, alpha, rate, rng).propensity, clicks=True)


def misclick(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """P(y = 0 | r* A = 1) = rho_01, P(y = 1 | r* A = 0) = rho_10: clicks with label noise.

    A as in `implicit`. rho_01 is the rate of missed clicks, rho_10 the rate of accidental clicks.
    """
    mu = rating(r, alpha, rate, rng).propensity
    return Selection(mu, clicks=True, misclicks=True)


def scar(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """y = r* A, mu = rate: selected completely at random; alpha has no effect.

    The naive method ranks correctly here. Probabilities need the prior P(r* = 1).
    """
    del alpha, rng
    return Selection(np.full(len(r.label), rate), clicks=True)


def mu_z(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """y = r* A, logit mu = a - log(1/alpha) (device + (position - 1)/2): activity from the context.

    device and position are logged and independent of the response, so reward and activity are
    identified.
    """
    cost, columns = device_and_position(len(r.label), rng)
    mu = logistic_fill(np.log(alpha) * cost, rate)
    return Selection(mu, context=columns, clicks=True)


def mu_x(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """y = r* A, logit mu = a + log(1/alpha) x v', v' correlated with quality: not identified.

    x v' is the ridge fit of the rating on x plus x v, both standardised, with v random and its sign
    chosen for a positive correlation. One channel cannot separate quality from activity.
    """
    x = r.features()
    good, other = quality_score(x, r.rating), random_score(x, rng)
    sign = -1.0 if good @ other < 0 else 1.0
    mu = logistic_fill(-np.log(alpha) * standardised(good + sign * other), rate)
    return Selection(mu, clicks=True)


def two_channel(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """y^k = r* A^k for k = copy, like; mu_k proportional to (1/alpha)^(x v_k): two channels.

    A^copy and A^like are independent given x. Each k has its own random v_k. The mean of mu_copy is
    the rate; the mean of mu_like is half the rate.
    """
    x = r.features()
    mu = {
        k: water_fill(power(alpha, -random_score(x, rng)), CHANNEL_RATES[k] * rate)
        for k in ("copy", "like")
    }
    return Selection(_any_channel(mu), channels=mu)


def channels(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """y^k = r* A^k for k = copy, like, share; mu_k as in `two_channel`: three channels.

    The mean of mu_share is a quarter of the rate.
    """
    x = r.features()
    mu = {
        k: water_fill(power(alpha, -random_score(x, rng)), multiple * rate)
        for k, multiple in CHANNEL_RATES.items()
    }
    return Selection(_any_channel(mu), channels=mu)


def channels_users(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """y^k = r* A^k, logit mu_k = a_k + log(1/alpha) x v_k + b_u, b_u ~ N(0, 1) of user u.

    The channels are independent given x and the user, and dependent given x alone.
    """
    x = r.features()
    user, count = assign_users(r.group, rng)
    b = rng.standard_normal(count)[user]
    mu = {
        k: logistic_fill(-np.log(alpha) * random_score(x, rng) + b, multiple * rate)
        for k, multiple in CHANNEL_RATES.items()
    }
    return Selection(_any_channel(mu), channels=mu, user=user, truth={"user_effect": b})


def _any_channel(mu: dict[str, Array]) -> Array:
    """Return P(at least one channel is active), the channels independent."""
    return np.asarray(1 - np.prod([1 - m for m in mu.values()], axis=0), dtype=np.float64)
