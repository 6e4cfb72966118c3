"""The mechanism of a product that asks a random part of its users for feedback, and its options.

Parameters and results are those of `selection`, with `AskOptions` as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import polars as pl
from scipy.optimize import brentq
from scipy.special import expit

from trueward.asking import ask
from trueward.core.options import Opt, check_values

from .scores import random_score
from .selection import LogRows, Selection

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FARTHEST = 60.0  # largest absolute intercept


@dataclass(frozen=True, kw_only=True)
class AskOptions:
    """Options of the mechanism `asked`: the lottery, who answers, and how asking changes who answers.

    Raises
    ------
    UsageError
        If a value is out of range.

    Examples
    --------
    >>> AskOptions(share=0.03, answering=0.6).share
    0.03

    """

    share: Annotated[
        float, Opt("P(asked) of every response", 0, 1, open_low=True, open_high=True)
    ] = 0.1
    answering: Annotated[
        float,
        Opt(
            "share of answers among those who see the question", 0, 1, open_low=True, open_high=True
        ),
    ] = 0.4
    levels: Annotated[
        int, Opt("ways to ask; of two, the second halves the share of silent users", 1, 2)
    ] = 1
    seen: Annotated[float, Opt("share of the asked who see the question", 0, 1, open_low=True)] = (
        1.0
    )
    log_seen: Annotated[bool, Opt("whether the log says who saw the question")] = True
    liked: Annotated[bool, Opt("good answers get more reactions; false: bad ones")] = True
    looks: Annotated[float, Opt("standard deviation of h(x), what the features add", 0)] = 0.6
    weaker: Annotated[
        float, Opt("factor of the log odds ratio among the asked; 1 is no change", 0)
    ] = 1.0
    polite: Annotated[
        float, Opt("P(thumb up) of an asked user who answers on a bad response", 0, 1)
    ] = 0.0
    varies: Annotated[
        float, Opt("how much the log odds ratio varies with x; 0 is the same for all", 0, 1)
    ] = 0.0
    frailty: Annotated[float, Opt("standard deviation of what nobody sees, in log-odds", 0)] = 0.0
    link: Annotated[Literal["logit", "log"], Opt("link of the chance of a reaction")] = "logit"
    gold_on: Annotated[
        Literal["all", "silent"], Opt("responses that gold labels are drawn from")
    ] = "all"
    key: Annotated[str, Opt("key of the lottery; empty: simulated-SEED")] = ""

    def __post_init__(self) -> None:
        """Check every value against its range."""
        check_values(self, "the mechanism asked")


def asked(
    r: LogRows,
    alpha: float,
    rate: float,
    rng: np.random.Generator,
    options: AskOptions | None = None,
) -> Selection:
    """p = F(a + h(x) + b (r* - 1/2)), b = 2 log(1/alpha): a product that asks a random part of its users.

    F is the logistic function, and h(x) = .6 x v, v random. An asked user who sees the question answers with
    F(a_t + h(x) + b_t (r* - 1/2)), with the mean of `AskOptions.answering`; all others react with p, whose
    mean is the rate. Options change b_t, the link, and what an asked user says.
    """
    o = options or AskOptions()
    n = len(r.label)
    h = o.looks * random_score(r.features(), rng)
    strength = (-2 if o.liked else 2) * np.log(alpha) * np.ones(n)
    strength *= 1 + o.varies * np.tanh(2 * h)
    hidden = o.frailty * rng.standard_normal(n)
    chance = expit if o.link == "logit" else lambda v: np.exp(np.minimum(v, 0.0))

    def reacts(wanted: float, factor: float) -> Array:
        return _filled(chance, h + factor * strength * (r.label - 0.5) + hidden, wanted)

    ids = [f"r{i}" for i in range(n)]
    drawn = [ask(i, o.share, o.key or "simulated", levels=o.levels) for i in ids]
    level = np.array([d.level for d in drawn])
    saw = (level > 0) & (rng.random(n) < o.seen)
    propensity = reacts(rate, 1.0)
    answers = np.stack(
        [reacts(v, o.weaker) for v in (o.answering, o.answering + (1 - o.answering) / 2)]
    )
    answering = answers[np.maximum(level - 1, 0), np.arange(n)]
    flattered = saw & (r.label == 0) & (rng.random(n) < o.polite)
    columns = {"asked": (level > 0).astype(np.int64), "ask_level": level}
    columns |= {"seen": saw.astype(np.int64)} if o.log_seen else {}
    series = [pl.Series("response_id", ids), pl.Series("p_ask", np.full(n, o.share))]
    return Selection(
        propensity,
        opinion=np.where(flattered, 1.0, r.label) if o.polite else None,
        reacts=np.where(saw, answering, propensity),
        columns=[*series, *(pl.Series(k, v) for k, v in columns.items())],
        truth={"propensity.asked": answering, "saw": saw.astype(np.float64)},
    )


def _filled(chance: Callable[[Array], Array], score: Array, rate: float) -> Array:
    """Return chance(a + score), with the a that makes its mean the rate."""
    level = brentq(lambda a: float(chance(a + score).mean()) - rate, -FARTHEST, FARTHEST)
    return np.asarray(chance(level + score), dtype=np.float64)
