"""Findings on texts, prompts and users: unusable texts, prompts without alternatives, few raters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.inspection.finding import (
    SHOWN,
    Finding,
    example_rows,
    percent,
    percent_of,
    pluralised,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log

ENORMOUS = 100_000  # characters
FEW_RATERS = 30  # effective number of raters
DOMINANT = 0.1  # share of the feedback from one user


def texts(log: Log) -> Iterator[Finding]:
    """Count prompts and responses that are empty or longer than 100,000 characters.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A warning for each kind of unusable text in each column.

    """
    for column in ("prompt", "response"):
        empty = ~pl.col(column).str.contains(r"\S")
        huge = pl.col(column).str.len_chars() > ENORMOUS
        masks = log.frame.select(empty.alias("empty"), huge.alias("enormous"))
        for kind, what in (
            ("empty", "empty"),
            ("enormous", f"longer than {ENORMOUS:,} characters"),
        ):
            count = int(masks[kind].sum())
            share = log.share_of(masks[kind])
            if count:
                yield Finding(
                    f"{kind}_{column}",
                    "warning",
                    f"the {column} is {what} in {count:,} of {len(log):,} rows "
                    f"({percent_of(log, share)})",
                    {"rows": count, "share": share},
                    example_rows(masks[kind]),
                )


def lone_responses(log: Log) -> Iterator[Finding]:
    """Count prompts with one response, and those with a good and a bad one to compare.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A note, or a warning where no prompt has two responses.

    """
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
            ": no two responses to one prompt can be compared, so a good answer looks the same as an easy "
            "question"
        )
    if "weight" in log.columns:
        message += (
            "; prompts may have had other responses, which these rows represent by their weight"
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


def raters(log: Log) -> Iterator[Finding]:
    """Report the shares s_u of the feedback by user and the effective number 1 / sum s_u^2, by weight.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A note, or a warning where few users give most of the feedback.

    """
    if "user_id" not in log.columns:
        return
    users = (
        log.frame.with_columns(log.row_weight.alias("weight"))
        .with_row_index("row", offset=1)
        .drop_nulls(["feedback", "user_id"])
        .group_by("user_id")
        .agg(pl.len().alias("rows"), pl.col("weight").sum().alias("rated"), pl.col("row").min())
        .sort(["rated", "user_id"], descending=[True, False])
    )
    total = float(users["rated"].sum())
    if not total:
        return
    counts = users["rated"].to_list()
    leaders = -(-len(counts) // 100)
    top, first = counts[0] / total, sum(counts[:leaders]) / total
    effective = total**2 / sum(count**2 for count in counts)
    yield Finding(
        "raters",
        "warning" if effective < FEW_RATERS or top > DOMINANT else "note",
        f"{pluralised(users.height, 'user')} gave feedback, the most active one {percent_of(log, top)} of it "
        f"and the most active 1% ({leaders:,}) {percent(first)}; effective number of raters: "
        f"{effective:,.1f}",
        {
            "users": users.height,
            "top_user": top,
            "top_1_percent": first,
            "effective": effective,
            "rated": int(users["rows"].sum()),
        },
        # a row of each of the most active users: no id of a user reaches a report
        tuple(map(int, users["row"].head(SHOWN))),
    )


FINDINGS = (texts, lone_responses, raters)
