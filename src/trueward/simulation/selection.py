"""Who rates: each mechanism is one function from the rated rows to the chance of a thumb.

Its docstring begins with its rule. Those that log clicks are in `clicks`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy.special import expit

from .chances import direction, logistic_fill, power, quality, standardised, water_fill

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

PROMPTS = 10  # of one user, on average


@dataclass(frozen=True, eq=False)
class Rated:
    """The rows of the log as the world knows them."""

    rating: Array  # (n,) rescaled to [1, 5]
    label: Array  # (n,) 1 where the response is truly good, else 0
    features: Callable[[], Array]  # () -> (n, d), computed only by the mechanisms that read it
    group: NDArray[np.int64]  # (n,) prompt, any number


@dataclass(frozen=True, eq=False)
class Selection:
    """The chance of a reaction, and what of it the log will show."""

    propensity: Array  # (n,) chance that the user reacts, at most 1; mu where the log shows clicks
    context: dict[str, pl.Series] = field(default_factory=dict)  # logged as context.*
    channels: dict[str, Array] = field(default_factory=dict)  # name -> (n,) chance of activity
    clicks: bool = False  # the log shows a 1 or nothing: no zeros
    misclicks: bool = False  # noise hits every row of a log of clicks, not just the active ones
    user: NDArray[np.int64] | None = None  # (n,) logged as user_id
    opinion: Array | None = None  # (n,) what the user finds good, where that is not the label
    slips: Array | None = None  # (n,) weight of a row in its class's rate of flips; None: equal
    truth: dict[str, Array] = field(default_factory=dict)  # more columns of the truth


def mcar(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """React with p = rate: nothing decides, and nothing should beat naive."""
    del alpha, rng
    return Selection(np.full(len(r.label), rate))


def rating(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """Weigh by alpha^(5 - rating'): the better the response, the likelier a reaction."""
    del rng
    return Selection(water_fill(power(alpha, 5 - r.rating), rate))


def annoyed(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """Weigh by alpha^(rating' - 1): the worse the response, the likelier a reaction."""
    del rng
    return Selection(water_fill(power(alpha, r.rating - 1), rate))


def u_shaped(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """Weigh by alpha^min(5 - rating', rating' - 1): strong opinions react, on both sides."""
    del rng
    return Selection(water_fill(power(alpha, np.minimum(5 - r.rating, r.rating - 1)), rate))


def label(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """React with p = m_1 to a good response, m_0 = alpha^2 m_1 to a bad one: the label decides."""
    del rng
    return Selection(water_fill(np.where(r.label > 0, 1.0, alpha**2), rate))


def mar(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """Weigh by (1/alpha)^(standardised x v), v fixed and random: the look of the text decides."""
    return Selection(water_fill(power(alpha, -direction(r.features(), rng)), rate))


def context(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """Weigh by alpha^(device + (position - 1)/2): the situation decides, and the log shows it.

    device costs 0 (desktop), 1 (tablet) or 2 (phone); position is 1 to 5. Neither knows how good
    the response is.
    """
    cost, shown = situation(len(r.label), rng)
    return Selection(water_fill(power(alpha, cost), rate), context=shown)


def mar_z_confounded(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """Weigh by alpha^(2 [hard prompt] - dwell): what the log shows decides, and it knows r*.

    A prompt is hard with the chance sigma(-2 standardised mean rating of its responses); dwell =
    (standardised x v + N(0, 1)) / sqrt 2. Given x and z the label plays no part; given x alone it
    does, for z says more of the prompt than x.
    """
    noise = rng.standard_normal(len(r.label))
    dwell = (direction(r.features(), rng) + noise) / np.sqrt(2)
    _, prompt = np.unique(r.group, return_inverse=True)
    mean = np.bincount(prompt, r.rating) / np.bincount(prompt)
    hard = (rng.random(len(mean)) < expit(-2 * standardised(mean)))[prompt]
    shown = {
        "prompt_type": pl.Series("prompt_type", np.array(["routine", "hard"])[hard.astype(int)]),
        "dwell": pl.Series("dwell", dwell),
    }
    return Selection(water_fill(power(alpha, 2.0 * hard - dwell), rate), context=shown)


def users(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """React with logit p = a - (5 - rating') log(1/alpha) + b_u, b_u ~ N(0, 1) of user u.

    A user asks ten prompts on average and calls a response good where rating' > cut + c_u: the cut
    is half way between the best bad and the worst good response, c_u ~ N(0, (sd of rating' / 2)^2).
    Leniency moves what is said, not the truth.
    """
    who, count = people(r.group, rng)
    b, c = rng.standard_normal((2, count))
    p = logistic_fill((5 - r.rating) * np.log(alpha) + b[who], rate)
    shift = r.rating.std() / 2 * c[who]
    said = (r.rating > cut(r) + shift).astype(np.float64)
    truth = {"user_effect": b[who], "leniency": shift, "opinion": said}
    return Selection(p, user=who, opinion=said, truth=truth)


def idn(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """React as in `rating`; err most where x looks neither good nor bad: rate k 2 sigma(-|u|).

    u = standardised ridge fit of the rating on x; k in each class makes the mean rho_01 or rho_10.
    """
    weight = 2 * expit(-np.abs(quality(r.features(), r.rating)))
    return Selection(rating(r, alpha, rate, rng).propensity, slips=weight)


def situation(n: int, rng: np.random.Generator) -> tuple[Array, dict[str, pl.Series]]:
    """Draw (n,) what a reaction costs, device + (position - 1)/2, and both as the log has them."""
    device = rng.choice(3, size=n, p=[0.35, 0.15, 0.5])
    position = rng.integers(1, 6, size=n)
    shown = {
        "device": pl.Series("device", np.array(["desktop", "tablet", "phone"])[device]),
        "position": pl.Series("position", position.astype(np.float64)),
    }
    return device + (position - 1) / 2, shown


def people(group: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[np.int64], int]:
    """Give every prompt to a random user: (n,) user numbers, and how many users there may be."""
    _, prompt = np.unique(group, return_inverse=True)
    prompts = int(prompt.max()) + 1
    count = max(2, prompts // PROMPTS)
    return np.asarray(rng.integers(count, size=prompts)[prompt], dtype=np.int64), count


def cut(r: Rated) -> float:
    """Half way between the best bad and the worst good response."""
    return float(r.rating[r.label == 0].max() + r.rating[r.label > 0].min()) / 2
