"""Responses that were rated more than once, and whether the ratings agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.inspection.finding import SHOWN, Finding, many, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log

NOISY = 0.1


def find(log: Log) -> Iterator[Finding]:
    """Give D = P(two ratings of one response differ), and the flip rate that would explain it.

    If a response is either good or bad and ratings flip independently at one rate f, then
    D = 2 f (1 - f), so f = (1 - sqrt(1 - 2 D)) / 2.
    """
    if log.regime != "observational":
        return
    rated = log.frame.select("prompt", "response", "feedback").with_row_index("row", offset=1)
    good, rest = pl.col("good"), pl.col("ratings") - pl.col("good")
    texts = (
        rated.filter(pl.col("feedback").is_in([0.0, 1.0]))
        .group_by("prompt", "response")
        .agg(
            pl.len().cast(pl.Int64).alias("ratings"),
            (pl.col("feedback") == 1).sum().cast(pl.Int64).alias("good"),
            pl.col("row").min(),
        )
        .filter(pl.col("ratings") > 1)
        .with_columns((good * rest).alias("differ"))
    )
    if texts.is_empty():
        return
    pairs = int((texts["ratings"] * (texts["ratings"] - 1) // 2).sum())
    share = int(texts["differ"].sum()) / pairs
    mixed = texts.filter(pl.col("differ") > 0).sort("row")
    flip = (1 - (1 - 2 * share) ** 0.5) / 2 if share <= 0.5 else None
    message = (
        f"{many(texts.height, 'response')} got more than one rating, {mixed.height:,} of them both good "
        f"and bad ones: {percent(share)} of the pairs of ratings of one response differ"
    )
    if mixed.height:
        message += (
            ", more often than by tossing a coin"
            if flip is None
            else f", as when {percent(flip)} of all ratings are flipped"
        )
    yield Finding(
        "conflicts",
        "warning" if share > NOISY else "note",
        message,
        {
            "responses": texts.height,
            "mixed": mixed.height,
            "pairs": pairs,
            "disagreement": share,
            "flip_rate": flip,
        },
        tuple(mixed["row"].head(SHOWN).to_list()),
    )
