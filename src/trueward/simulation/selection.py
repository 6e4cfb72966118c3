"""Mechanisms of selection: who rates. One function each, from rated rows to propensities.

The first line of each docstring is its formula. rating' is the rating rescaled to [1, 5]; sigma is
the logistic function; "p proportional to w" means p = min(1, k w) with mean p = rate (water-filling).
Mechanisms that log clicks are in `clicks`.

All mechanisms have the same parameters: ``r``, the rows of the log; ``alpha`` in (0, 1], the strength of
the selection (1 is none, smaller is stronger); ``rate`` in (0, 1], the mean propensity; ``rng``, the
source of random numbers. All return a `Selection`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy.special import expit

from .propensity import logistic_fill, power, water_fill
from .scores import quality_score, random_score, standardised

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Mean number of prompts of a user.
PROMPTS_PER_USER = 10


@dataclass(frozen=True, eq=False)
class LogRows:
    """Rows of the log with their true quality: the input of a mechanism.

    Attributes
    ----------
    rating : array of float, shape (n,)
        True rating, rescaled to [1, 5].
    label : array of float, shape (n,)
        True label r*, 0 or 1.
    features : callable
        Returns the features, shape (n, d). Called only by mechanisms that depend on x.
    group : array of int, shape (n,)
        Number of the prompt.

    """

    rating: Array
    label: Array
    features: Callable[[], Array]
    group: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Selection:
    """Propensities of a mechanism, and the form of its feedback.

    Attributes
    ----------
    propensity : array of float, shape (n,)
        P(user reacts), at most 1. For clicks: mu = P(A = 1 | r* = 1, ...).
    context : dict of str to polars.Series
        Context columns, logged as ``context.<name>``.
    channels : dict of str to array of float, shape (n,)
        P(active) of each channel, by name.
    clicks : bool
        The feedback is positive or missing; there are no zeros.
    misclicks : bool
        Label noise applies to every row of a log of clicks, not only to the active rows.
    user : array of int, shape (n,), or None
        Number of the user, logged as ``user_id``.
    opinion : array of float, shape (n,), or None
        What the user thinks of the response, 0 or 1. None: the label.
    flip_weight : array of float, shape (n,), or None
        Weight of a row in the noise rate of its class. None: equal weights.
    truth : dict of str to array of float, shape (n,)
        Further columns of the truth.
    reacts : array of float, shape (n,), or None
        P(user reacts) where asks add to the propensity. None: the propensity.
    columns : list of polars.Series
        Further columns of the log.
    pairs : polars.DataFrame or None
        Comparisons: ``winner_id``, ``loser_id``, ``source``, ``position`` and others, see `read_log`.

    """

    propensity: Array
    context: dict[str, pl.Series] = field(default_factory=dict)
    channels: dict[str, Array] = field(default_factory=dict)
    clicks: bool = False
    misclicks: bool = False
    user: NDArray[np.int64] | None = None
    opinion: Array | None = None
    flip_weight: Array | None = None
    truth: dict[str, Array] = field(default_factory=dict)
    reacts: Array | None = None
    columns: list[pl.Series] = field(default_factory=list)
    pairs: pl.DataFrame | None = None


def mcar(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """p = rate: missing completely at random.

    The naive method is unbiased here.

    Parameters
    ----------
    r : LogRows
        Rows of the log.
    alpha : float
        Strength of the selection; not used.
    rate : float
        Mean propensity, in (0, 1].
    rng : numpy.random.Generator
        Source of random numbers; not used.

    Returns
    -------
    Selection
        The same propensity for every row.

    """
    del alpha, rng
    return Selection(np.full(len(r.label), rate))


def rating(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """p proportional to alpha^(5 - rating'): better responses get more reactions."""
    del rng
    return Selection(water_fill(power(alpha, 5 - r.rating), rate))


def annoyed(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """p proportional to alpha^(rating' - 1): worse responses get more reactions."""
    del rng
    return Selection(water_fill(power(alpha, r.rating - 1), rate))


def u_shaped(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """p proportional to alpha^min(5 - rating', rating' - 1): extremes get more reactions."""
    del rng
    return Selection(water_fill(power(alpha, np.minimum(5 - r.rating, r.rating - 1)), rate))


def label(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """p = m_1 if r* = 1, else m_0 = alpha^2 m_1: selection on the label."""
    del rng
    return Selection(water_fill(np.where(r.label > 0, 1.0, alpha**2), rate))


def mar(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """p proportional to (1/alpha)^(x v), v random: missing at random given x.

    x and x v are standardised.
    """
    return Selection(water_fill(power(alpha, -random_score(r.features(), rng)), rate))


def context(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """p proportional to alpha^(device + (position - 1)/2): selection on the logged context.

    device is 0 (desktop), 1 (tablet) or 2 (phone); position is 1 to 5. Both are independent of the
    quality of the response.
    """
    cost, columns = device_and_position(len(r.label), rng)
    return Selection(water_fill(power(alpha, cost), rate), context=columns)


def mar_z_confounded(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """p proportional to alpha^(2 [hard prompt] - dwell): missing at random given x and context.

    P(hard prompt) = sigma(-2 standardised mean rating of the prompt's responses); dwell = (x v +
    N(0, 1)) / sqrt 2, x v standardised. Both are logged. The context z depends on r*: the feedback
    is missing at random given (x, z), and not given x alone.
    """
    noise = rng.standard_normal(len(r.label))
    dwell = (random_score(r.features(), rng) + noise) / np.sqrt(2)
    _, prompt = np.unique(r.group, return_inverse=True)
    mean = np.bincount(prompt, r.rating) / np.bincount(prompt)
    hard = (rng.random(len(mean)) < expit(-2 * standardised(mean)))[prompt]
    columns = {
        "prompt_type": pl.Series("prompt_type", np.array(["routine", "hard"])[hard.astype(int)]),
        "dwell": pl.Series("dwell", dwell),
    }
    return Selection(water_fill(power(alpha, 2.0 * hard - dwell), rate), context=columns)


def users(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """logit p = a - (5 - rating') log(1/alpha) + b_u, b_u ~ N(0, 1): effects of users.

    User u says that a response is good if rating' > cut + c_u, with c_u ~ N(0, (sd of rating' / 2)^2)
    and the cut half way between the best bad and the worst good response. The leniency c_u changes
    the feedback and not the label. A user asks ten prompts on average.
    """
    user, count = assign_users(r.group, rng)
    b, c = rng.standard_normal((2, count))
    p = logistic_fill((5 - r.rating) * np.log(alpha) + b[user], rate)
    leniency = r.rating.std() / 2 * c[user]
    opinion = (r.rating > label_cut(r) + leniency).astype(np.float64)
    truth = {"user_effect": b[user], "leniency": leniency, "opinion": opinion}
    return Selection(p, user=user, opinion=opinion, truth=truth)


def idn(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """p as in `rating`; P(flip) = k 2 sigma(-|u|): instance-dependent label noise.

    u is the standardised ridge fit of the rating on x, so noise is highest where x looks neither
    good nor bad. k makes the mean of each class rho_01 or rho_10.
    """
    weight = 2 * expit(-np.abs(quality_score(r.features(), r.rating)))
    return Selection(rating(r, alpha, rate, rng).propensity, flip_weight=weight)


def device_and_position(n: int, rng: np.random.Generator) -> tuple[Array, dict[str, pl.Series]]:
    """Draw the device and the position of n responses.

    Parameters
    ----------
    n : int
        Number of rows.
    rng : numpy.random.Generator
        Source of random numbers.

    Returns
    -------
    cost : array of float, shape (n,)
        Cost of a reaction, device + (position - 1)/2 with the device 0, 1 or 2.
    columns : dict of str to polars.Series
        ``device`` and ``position`` as logged.

    """
    device = rng.choice(3, size=n, p=[0.35, 0.15, 0.5])
    position = rng.integers(1, 6, size=n)
    columns = {
        "device": pl.Series("device", np.array(["desktop", "tablet", "phone"])[device]),
        "position": pl.Series("position", position.astype(np.float64)),
    }
    return device + (position - 1) / 2, columns


def assign_users(
    group: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], int]:
    """Draw a user for each prompt.

    Parameters
    ----------
    group : array of int, shape (n,)
        Number of the prompt.
    rng : numpy.random.Generator
        Source of random numbers.

    Returns
    -------
    user : array of int, shape (n,)
        Number of the user.
    count : int
        Number of users that the draw chooses from.

    """
    _, prompt = np.unique(group, return_inverse=True)
    prompts = int(prompt.max()) + 1
    count = max(2, prompts // PROMPTS_PER_USER)
    return np.asarray(rng.integers(count, size=prompts)[prompt], dtype=np.int64), count


def label_cut(r: LogRows) -> float:
    """Return the rating half way between the best bad and the worst good response.

    Parameters
    ----------
    r : LogRows
        Rows of the log, with labels of both classes.

    Returns
    -------
    float
        The rating of the cut, in [1, 5].

    """
    return float(r.rating[r.label == 0].max() + r.rating[r.label > 0].min()) / 2
