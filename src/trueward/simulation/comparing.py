"""Mechanisms of products with thumbs and comparisons, each biased in its own way.

Parameters and results are those of `selection`. Comparisons are `Selection.pairs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy.special import expit

from .propensity import power, water_fill
from .scores import random_score
from .selection import LogRows, Selection

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

HELD = 0.5  # mean P(a battle is held)
LOOKS = 0.7  # what one standard deviation of x v adds to the log-odds of a win
FIRST = 0.4  # what the response shown first gains, in log-odds
TIE = 0.3  # nu of Davidson's model of ties
PER_USER = 20  # mean number of comparisons of a user
ONE_SIDED = 0.1  # share of users who prefer the second response whatever it is
NEWER = 0.5  # what the new response of a regeneration gains, in log-odds
REGENERATED = 0.3  # mean P(the user asks for another response)


def battles(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """p as in `rating`; P(compared) proportional to alpha^|lead|: battles of responses of equal strength.

    Two responses of a prompt meet with that chance, .5 on average and logged, and lead = rating'_i -
    rating'_j. The one shown first wins with odds e^(d/2) : e^(-d/2) : .3 (a tie), d = lead + .7
    (difference of x v) + .4, v random. One user in ten prefers the second response whatever it is.
    """
    propensity = water_fill(power(alpha, 5 - r.rating), rate)
    looks = random_score(r.features(), rng)
    first, second = _couples(r.group, rng)
    lead = r.rating[first] - r.rating[second]
    chance = water_fill(power(alpha, np.abs(lead)), HELD) if len(lead) else lead
    held = rng.random(len(first)) < chance
    first, second = first[held], second[held]
    lead, chance = lead[held], chance[held]
    d = lead + LOOKS * (looks[first] - looks[second]) + FIRST
    odds = np.stack([np.exp(d / 2), np.exp(-d / 2), np.full(len(d), TIE)])
    drawn = rng.random(len(d)) * odds.sum(0)
    users = max(1, len(d) // PER_USER)
    user = rng.integers(users, size=len(d))
    stubborn = (rng.random(users) < ONE_SIDED)[user]
    won = (drawn < odds[0]) & ~stubborn
    tie = (drawn >= odds[0] + odds[1]) & ~stubborn
    columns = {"tie": tie.astype(np.float64), "propensity": chance}
    names = pl.Series("user_id", [f"voter {u}" for u in user], dtype=pl.String)
    pairs = _pairs(first, second, won | tie, "battle", names, columns)
    return Selection(propensity, pairs=pairs, columns=[_ids(len(r.label))])


def regenerations(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """p as in `annoyed`; P(regenerate) proportional to alpha^(rating' - 1): another try after a bad response.

    It is .3 on average. Then the user sees the new response beside the first and keeps the new one with
    sigma(rating'_new - rating'_first + .5). The act is logged as channel.regenerate of the first response,
    the choice as a comparison.
    """
    propensity = water_fill(power(alpha, r.rating - 1), rate)
    first, second = _couples(r.group, rng)
    chance = np.zeros(len(r.label))
    if len(first):
        chance[first] = water_fill(power(alpha, r.rating[first] - 1), REGENERATED)
    again = rng.random(len(first)) < chance[first]
    first, second = first[again], second[again]
    kept = rng.random(len(first)) < expit(r.rating[second] - r.rating[first] + NEWER)
    fired = np.zeros(len(r.label))
    fired[first] = 1.0
    pairs = _pairs(first, second, ~kept, "regenerate", None, {})
    return Selection(
        propensity,
        pairs=pairs,
        columns=[_ids(len(r.label)), pl.Series("channel.regenerate", fired)],
        truth={"propensity.regenerate": chance},
    )


def _ids(n: int) -> pl.Series:
    return pl.Series("response_id", [f"r{i}" for i in range(n)], dtype=pl.String)


def _couples(group: Index, rng: np.random.Generator) -> tuple[Index, Index]:
    """Rows of the responses that meet: the responses of every prompt, two by two, in random order."""
    order = rng.permutation(len(group))
    order = order[np.argsort(group[order], kind="stable")]
    _, start, count = np.unique(group[order], return_index=True, return_counts=True)
    place = np.arange(len(group)) - np.repeat(start, count)
    at = np.flatnonzero((place % 2 == 0) & (place + 1 < np.repeat(count, count)))
    return order[at], order[at + 1]


def _pairs(
    first: Index,
    second: Index,
    won: NDArray[np.bool_],
    source: str,
    users: pl.Series | None,
    columns: dict[str, Array],
) -> pl.DataFrame:
    """Comparisons as they are logged; ``won``: whether the response shown first did."""
    frame = pl.DataFrame(
        {
            "winner_id": [f"r{i}" for i in np.where(won, first, second)],
            "loser_id": [f"r{i}" for i in np.where(won, second, first)],
            "source": [source] * len(first),
            "position": np.where(won, 1.0, -1.0),
            **columns,
        },
        schema_overrides={"winner_id": pl.String, "loser_id": pl.String, "source": pl.String},
    )
    return frame if users is None else frame.with_columns(users)
