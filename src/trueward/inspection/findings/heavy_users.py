"""Findings on single users: heavy users, users who always give the same vote, and what they change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from scipy.special import expit, logit

from trueward.inspection.finding import SHOWN, Finding, percent, percent_of, pluralised

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log

HEAVY_SHARE, HEAVY_MULTIPLE = 0.05, 5.0  # of the ratings, and of the mean user's share
LENIENCY = 1.0  # log-odds by which a person may differ from the log
CHANCE = 0.01  # that one of all users gives the same vote throughout by chance
NAMED = 3  # users that are described one by one


def heavy_users(log: Log) -> Iterator[Finding]:
    """Describe users with 5 % of the ratings or more, and what the ratings are without them.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A warning.

    """
    users = _users(log)
    if users is None:
        return
    least = max(HEAVY_SHARE, HEAVY_MULTIPLE / users.height)
    heavy = users.filter((pl.col("share") >= least) & (pl.col("count") > 1))
    if not heavy.height or heavy.height == users.height:
        return
    figures = {"users": heavy.height, **_without(users, heavy)}
    yield Finding(
        "heavy_users",
        "warning",
        f"{pluralised(heavy.height, 'user')} gave {percent_of(log, figures['share'])} of the ratings: "
        f"{_described(heavy, users)}. {_changed(figures)}",
        figures,
        _rows(heavy),
    )


def same_votes(log: Log) -> Iterator[Finding]:
    """Describe users who give one vote more often in a row than a person does by chance, such as bots.

    A user is reported where U q^n < .01, with U the users, n the ratings of this one, all the same, and q the
    share of this vote in the log, its log-odds raised by 1 for a lenient or a strict person.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A warning.

    """
    users = _users(log)
    if users is None or not 0 < (up := _mean_vote(users)) < 1:
        return
    votes = users["vote"].to_numpy()
    share = np.where(votes == 1, up, 1 - up)
    chance = users.height * expit(logit(share) + LENIENCY) ** users["count"].to_numpy()
    bots = users.filter((chance < CHANCE) & np.isin(votes, (0.0, 1.0)))
    if not bots.height:
        return
    figures = {"users": bots.height, **_without(users, bots)}
    yield Finding(
        "same_votes",
        "warning",
        f"{pluralised(bots.height, 'user')} always gave the same vote, more often than a person does by "
        f"chance (bots, or a button that is always pressed): {_described(bots, users)}. {_changed(figures)}",
        figures,
        _rows(bots),
    )


def _users(log: Log) -> pl.DataFrame | None:
    """Users with ratings, the most active first; None without user ids, or where feedback is clicks.

    Columns: ``row``, the number of their first rated row; ``count`` and ``rated``, the number of their
    ratings and its weight; ``share``, of all ratings; ``vote``, their mean rating; ``rate``, the share of
    their responses that they rated.
    """
    if "user_id" not in log.columns or "feedback" not in log.columns:
        return None
    rated, weight = pl.col("feedback").is_not_null(), pl.col("weight")
    users = (
        log.frame.with_columns(log.row_weight.alias("weight"))
        .with_row_index("row", offset=1)
        .drop_nulls("user_id")
        .group_by("user_id")
        .agg(
            pl.col("row").filter(rated).min(),
            rated.sum().alias("count"),
            weight.filter(rated).sum().alias("rated"),
            (weight * pl.col("feedback")).sum().alias("up"),
            weight.sum().alias("shown"),
        )
        .filter(pl.col("rated") > 0)
        .sort(["rated", "row"], descending=[True, False])
        .select(
            "row",
            "count",
            "rated",
            "up",
            (pl.col("rated") / pl.col("rated").sum()).alias("share"),
            (pl.col("up") / pl.col("rated")).alias("vote"),
            (pl.col("rated") / pl.col("shown")).alias("rate"),
        )
    )
    votes = log.frame["feedback"].drop_nulls()
    return users if users.height > 1 and (votes < 1).any() else None


def _mean_vote(users: pl.DataFrame) -> float:
    return float(users["up"].sum()) / float(users["rated"].sum())


def _without(users: pl.DataFrame, some: pl.DataFrame) -> dict[str, Any]:
    """The mean rating with and without some users, and the share of pairs of an up and a down with them."""
    up, rated = float(users["up"].sum()), float(users["rated"].sum())
    own_up, own = float(some["up"].sum()), float(some["rated"].sum())
    left_up = 1 - own_up / up if up else 1.0
    left_down = 1 - (own - own_up) / (rated - up) if rated > up else 1.0
    return {
        "share": own / rated,
        "mean_rating": up / rated,
        "mean_rating_without": (up - own_up) / (rated - own) if rated > own else None,
        "pairs": 1 - left_up * left_down,
    }


def _described(some: pl.DataFrame, users: pl.DataFrame) -> str:
    """The first three users: where they are, what they gave, how often they rate."""
    everyone = float(users["rated"].sum()) / float((users["rated"] / users["rate"]).sum())
    parts = [
        f"the user of row {u['row']:,} gave {pluralised(u['count'], 'rating')} ({percent(u['share'])} of "
        f"all), {percent(u['vote'])} thumbs up, and rated {percent(u['rate'])} of the responses to their "
        f"prompts (all raters: {percent(everyone)})"
        for u in some.head(NAMED).iter_rows(named=True)
    ]
    more = some.height - len(parts)
    return "; ".join(parts) + (f"; and {more:,} more" if more > 0 else "")


def _changed(figures: dict[str, Any]) -> str:
    """What the ratings are without these users."""
    left = figures["mean_rating_without"]
    mean = f"{figures['mean_rating']:.3f}"
    if left is None:
        return f"There are no other ratings; the mean rating is {mean}"
    return (
        f"Without them the mean rating, which is the mean P of naive, is {left:.3f} in place of {mean}, and "
        f"an AUROC on the ratings changes by at most {figures['pairs']:.3f}, the share of the pairs of a "
        "thumb up and a thumb down that they are part of. The option users=auto estimates what each user "
        "adds, where users differ"
    )


def _rows(some: pl.DataFrame) -> tuple[int, ...]:
    # a row of each of the users: no id of a user reaches a report
    return tuple(map(int, some["row"].head(SHOWN)))


FINDINGS = (heavy_users, same_votes)
