"""Mechanisms in which users differ: lenient users, lenience along topics, a few busy users, bots.

Parameters and results are those of `selection`. User u reacts with log-odds a - (5 - rating') log(1/alpha)
+ b_u, b_u ~ N(0, 1), and says that a response is good with log-odds 3 (r* - 1/2) + l_u. The leniency l_u
changes the feedback and not the label. A user asks ten prompts on average.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from .propensity import logistic_fill
from .scores import quality_score, standardised
from .selection import LogRows, Selection, assign_users

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

CLEAR = 3.0  # log odds ratio of saying good of a good and of a bad response
ALONG = -0.7  # correlation of leniency with how good the answers to the user's prompts look
BOTS, BOT_PROMPTS = 0.02, 0.1  # share of the users, and of the prompts
BOT_REACTS = 8.0  # b_u of a bot


def lenient(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """l_u ~ N(0, 1): lenient and strict users, who ask for the same things."""
    user, count = assign_users(r.group, rng)
    return _feedback(r, alpha, rate, rng, user, rng.standard_normal(count))


def lenient_topics(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """l_u ~ N(0, 1), with correlation -.7 with how good the answers to the user's prompts look.

    Users of easy topics are strict. A user asks prompts that lie near each other in t + N(0, 1), with t the
    mean over the prompt's responses of the standardised ridge fit of the rating on x.
    """
    topic = _mean_by(_numbers(r.group), quality_score(r.features(), r.rating))
    count = assign_users(r.group, rng)[1]
    place = np.argsort(np.argsort(standardised(topic) + rng.standard_normal(len(topic))))
    user = (place * count // len(topic))[_numbers(r.group)]
    along = standardised(_mean_by(user, topic[_numbers(r.group)]))
    own = rng.standard_normal(count)
    return _feedback(r, alpha, rate, rng, user, ALONG * along + np.sqrt(1 - ALONG**2) * own)


def busy(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """l_u ~ N(0, 1), and the k-th most active user asks in proportion to 1/k (Zipf)."""
    _, count = assign_users(r.group, rng)
    share = 1 / np.arange(1.0, count + 1)
    prompt = _numbers(r.group)
    user = rng.choice(count, size=prompt.max() + 1, p=share / share.sum())[prompt]
    return _feedback(r, alpha, rate, rng, user, rng.standard_normal(count))


def bots(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """l_u = 0 but for 2 % of the users: bots, who ask a tenth of the prompts and rate every answer good.

    Their b_u is 8, so that they rate nearly every answer.
    """
    user, count = assign_users(r.group, rng)
    prompt = _numbers(r.group)
    machines = max(1, round(BOTS * count))
    taken = rng.random(int(prompt.max()) + 1) < BOT_PROMPTS
    by = rng.integers(machines, size=len(taken))
    user = np.where(taken[prompt], by[prompt], np.maximum(user, machines))
    return _feedback(r, alpha, rate, rng, user, np.zeros(count), machines=machines)


def _feedback(
    r: LogRows,
    alpha: float,
    rate: float,
    rng: np.random.Generator,
    user: Index,
    leniency: Array,
    *,
    machines: int = 0,
) -> Selection:
    """Draw b_u and the opinions; the first ``machines`` users are bots."""
    b = rng.standard_normal(len(leniency))
    b[:machines] = BOT_REACTS
    bot = user < machines
    quality = np.where(bot, 0.0, (5 - r.rating) * np.log(alpha))
    good = np.where(bot, 1.0, expit(CLEAR * (r.label - 0.5) + leniency[user]))
    opinion = (rng.random(len(good)) < good).astype(np.float64)
    truth = {"user_effect": b[user], "leniency": leniency[user], "opinion": opinion}
    truth |= {"bot": bot.astype(np.float64)} if machines else {}
    return Selection(
        logistic_fill(quality + b[user], rate), user=user, opinion=opinion, truth=truth
    )


def _numbers(group: Index) -> Index:
    """Number the prompts from 0."""
    return np.unique(group, return_inverse=True)[1].astype(np.int64)


def _mean_by(part: Index, value: Array) -> Array:
    """Mean of a value in every part."""
    count = int(part.max()) + 1
    total = np.bincount(part, value, count)
    return np.asarray(total / np.maximum(np.bincount(part, minlength=count), 1), dtype=np.float64)
