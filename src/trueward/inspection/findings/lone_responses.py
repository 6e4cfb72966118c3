"""Prompts that were answered only once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.inspection.finding import Finding, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log


def find(log: Log) -> Iterator[Finding]:
    """Count prompts with one response, and those where a good and a bad one can be compared."""
    feedback = pl.col("feedback")
    prompts = log.frame.group_by("prompt_id").agg(
        pl.col("response").n_unique().alias("responses"),
        ((feedback == 1).any() & (feedback == 0).any()).alias("compared"),
    )
    lone = int((prompts["responses"] == 1).sum())
    if not lone:
        return
    share = lone / prompts.height
    message = f"{lone:,} of {prompts.height:,} prompts have only one response ({percent(share)})"
    if lone == prompts.height:
        message += (
            ": nothing is compared within a prompt, so a good answer cannot be told from an easy "
            "question"
        )
    yield Finding(
        "lone_responses",
        "warning" if lone == prompts.height else "note",
        message,
        {
            "prompts": prompts.height,
            "lone": lone,
            "share": share,
            "with_good_and_bad": int(prompts["compared"].sum()),
        },
    )
