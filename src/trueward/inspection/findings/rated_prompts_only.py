"""A log that was cut down to the conversations with a rating."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import polars as pl

from trueward.inspection.chance import SURE, p_value
from trueward.inspection.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log


def find(log: Log) -> Iterator[Finding]:
    """Doubt a log where every prompt has feedback, if chance would leave some without.

    p = prod_j (1 - (1 - c)^k_j) over prompts with k_j rows, c the share of rows with feedback.
    """
    if not log.has_unrated or log.feedback_rate == 0:
        return
    sizes = log.frame.group_by("prompt_id").agg(
        pl.len().alias("rows"), pl.col("feedback").count().alias("rated")
    )
    if (sizes["rated"] == 0).any():
        return
    silent = (1 - log.feedback_rate) ** sizes["rows"].cast(pl.Float64)
    p = math.exp(float((1 - silent).log().sum()))
    if p < SURE:
        yield Finding(
            "rated_prompts_only",
            "warning",
            f"each of the {sizes.height:,} prompts has feedback on some response, which chance would "
            f"not bring about ({p_value(p)}): it seems that only conversations with feedback were "
            "kept, so who reacts is known within those only",
            {"prompts": sizes.height, "p": p},
        )
