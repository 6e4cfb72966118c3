"""The places of models on a leaderboard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from scipy.special import stdtrit

from trueward.core.estimate import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueward.core.clustering import Clusters

    from .battles import Battles
    from .davidson import Strengths

    Index = NDArray[Any]

LEVEL = 1000.0  # points of a model of mean strength
PER_NAT = 400 / np.log(10)  # points of a log-odds of 1
ONE_SIDED = 10  # comparisons of a user, all won by one side, from which the user is counted


@dataclass(frozen=True)
class Standing:
    """One model of a leaderboard.

    Attributes
    ----------
    model : str
        Its name.
    score : Estimate
        1000 + 400 / ln 10 times its strength in log-odds, less the mean strength of all; 95 % interval.
        Without a value, and with the reason, where comparisons do not rank it.
    best, worst : int or None
        95 % range of its rank: 1 + the models that are better beyond chance, and the number of models less
        those that are worse beyond chance.
    comparisons : int
        Comparisons it was in.
    win_rate : float
        Share of them that it won; a tie is half a win.

    """

    model: str
    score: Estimate
    best: int | None
    worst: int | None
    comparisons: int
    win_rate: float


def _record(found: Battles, winner: Index, loser: Index, k: int) -> tuple[int, float]:
    """Comparisons of model k, and the share that it won, ties as half."""
    won, lost = winner == k, loser == k
    half = found.tie / 2
    share = found.weight @ (won * (1 - half) + lost * half) / (found.weight @ (won | lost))
    return int((won | lost).sum()), float(share)


def unranked(
    found: Battles, models: NDArray[np.str_], winner: Index, loser: Index, inside: Index
) -> list[Standing]:
    """Return the models that comparisons do not rank: they won all or lost all, or are not linked.

    Parameters
    ----------
    found : Battles
        n comparisons.
    models : ndarray of str, shape (m,)
        Names of the models.
    winner, loser : ndarray of int, shape (n,)
        Models by number.
    inside : ndarray of int
        The models that can be ranked.

    """
    listed = []
    for k in range(len(models)):
        if k in inside and len(inside) > 1:
            continue
        count, rate = _record(found, winner, loser, k)
        extreme = {1.0: "won", 0.0: "lost"}.get(rate) or ("tied" if found.tie.all() else None)
        why = (
            f"it {extreme} all comparisons"
            if extreme
            else "no chain of wins and ties links it with the others in both directions"
        )
        listed.append(Standing(str(models[k]), Estimate(None, reason=why), None, None, count, rate))
    return sorted(listed, key=lambda s: (-s.win_rate, s.model))


def ranked(
    found: Battles,
    models: NDArray[np.str_],
    winner: Index,
    loser: Index,
    inside: Index,
    fit: Strengths,
    units: Clusters,
) -> list[Standing]:
    """Return the models with scores, intervals and ranges of ranks, the best first.

    Parameters
    ----------
    found : Battles
        n comparisons.
    models : ndarray of str, shape (m,)
        Names of the models.
    winner, loser : ndarray of int, shape (n,)
        Models by number.
    inside : ndarray of int
        The models that can be ranked.
    fit : Strengths
        Their strengths, in the order of ``inside``.
    units : Clusters
        Users and prompts of the comparisons of these models.

    """
    count = len(inside)
    influence = fit.influence[:, :count]
    covariance = np.atleast_2d(units.variance(influence))
    spread = np.sqrt(
        np.clip(covariance.diagonal()[:, None] + covariance.diagonal() - 2 * covariance, 0, None)
    )
    wide = float(stdtrit(max(units.degrees(), 1.0), 0.975)) * spread
    difference = fit.theta[:, None] - fit.theta
    better = difference > wide  # row beyond chance better than column
    standings = []
    for place in np.argsort(-fit.theta, kind="stable"):
        e = units.estimate(float(fit.theta[place]), influence[:, place])
        value, low, high = (
            None if v is None else float(LEVEL + PER_NAT * v) for v in (e.value, e.low, e.high)
        )
        number, rate = _record(found, winner, loser, inside[place])
        best, worst = 1 + int(better[:, place].sum()), count - int(better[place].sum())
        name = str(models[inside[place]])
        standings.append(
            Standing(name, Estimate(value, low, high, e.reason), best, worst, number, rate)
        )
    return standings


def one_sided(found: Battles) -> list[str]:
    """Count users who always prefer the side shown first, or the other one.

    Parameters
    ----------
    found : Battles
        n comparisons.

    Returns
    -------
    list of str
        One sentence, or none.

    """
    if found.user is None or found.position is None:
        return []
    frame = pl.DataFrame({"user": found.user, "side": found.position, "tie": found.tie})
    frame = frame.filter((pl.col("side") != 0) & (pl.col("tie") == 0) & (pl.col("user") >= 0))
    users = frame.group_by("user").agg(pl.len(), pl.col("side").n_unique().alias("sides"))
    same = users.filter((pl.col("len") >= ONE_SIDED) & (pl.col("sides") == 1))
    if not len(same):
        return []
    told = (
        f"{len(same)} users preferred one side in all of their {ONE_SIDED} or more comparisons, "
        f"{int(same['len'].sum()):,} in total: they may not have read the responses"
    )
    return [told]
