"""Comparisons of two responses from the events that say which one is better."""

from __future__ import annotations

import polars as pl

TIES = [0.5, -1.0]  # values of ``preferred``: neither is better, both are bad


def preference_pairs(events: pl.DataFrame, positions: pl.DataFrame) -> pl.DataFrame:
    """Return one row per comparison.

    Parameters
    ----------
    events : DataFrame
        The events table.
    positions : DataFrame
        ``response_id`` and ``position`` of the responses that are compared.

    Returns
    -------
    DataFrame
        Columns ``winner_id``, ``loser_id``, ``source``, ``at``, ``tie`` (1 where neither was better, or both
        were bad), ``user_id`` and ``position`` (1 where the winner was shown first, -1 where the loser was, 0
        where it is not known); sorted, each once.

    """
    compared = events.filter(_compared())
    won, value = pl.col("value") == 1, pl.col("value")
    tie = value.is_in(TIES)
    this, other = pl.col("response_id"), pl.col("other_response_id")
    forward = won | (tie & (this < other))  # both sides of a tie give one row
    pairs = compared.select(
        pl.when(forward).then(this).otherwise(other).alias("winner_id"),
        pl.when(forward).then(other).otherwise(this).alias("loser_id"),
        "source",
        "at",
        tie.cast(pl.Float64).alias("tie"),
        pl.col("actor_id").alias("user_id"),
    ).unique()
    for side in ("winner", "loser"):
        own = positions.rename({"response_id": f"{side}_id", "position": side})
        pairs = pairs.join(own, on=f"{side}_id", how="left")
    first = (pl.col("loser").cast(pl.Float64) - pl.col("winner")).sign().fill_null(0.0)
    pairs = pairs.with_columns(position=first).drop("winner", "loser")
    return pairs.sort("winner_id", "loser_id", "source", "at", "user_id")


def compared_ids(events: pl.DataFrame) -> pl.DataFrame:
    """Return the ``response_id`` of every response that is compared, once.

    Parameters
    ----------
    events : DataFrame
        The events table.

    """
    compared = events.filter(_compared())
    sides = [compared.select(response_id=k) for k in ("response_id", "other_response_id")]
    return pl.concat(sides).unique()


def _compared() -> pl.Expr:
    """Whether an event says which of two responses is better, or that neither is."""
    known = pl.col("value").is_in([0.0, 1.0, *TIES]) & pl.col("other_response_id").is_not_null()
    return (pl.col("channel") == "preferred") & known
