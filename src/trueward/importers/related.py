"""Responses that depend on others: told twice, of one trace, asked for again.

Every choice is made by the content of the rows, never by their order, so that shuffled files give the same.
"""

from __future__ import annotations

import polars as pl

from .staging import PLACE, REJECTED, STAGED_EVENTS

# what makes a row depend on others
KIN = (
    pl.col("group").is_not_null()
    | pl.col("siblings").is_not_null()
    | (pl.col("standing") != "answer")
)


def one_each(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """Keep one row per id: no echo beside the real one, the newest update, and none of two texts.

    Two texts that are as new as each other leave no way to know which the feedback is about.
    """
    twice = rows.select(pl.col("response_id").is_duplicated()).to_series()
    if not twice.any():
        return rows, pl.DataFrame(schema=REJECTED), 0
    single, rows = rows.filter(~twice), rows.filter(twice)
    echo = pl.col("standing") == "echo"
    rows = rows.filter(~echo | echo.all().over("response_id"))
    count = rows.filter(~echo).height
    newest = pl.col("updated").max().over("response_id")
    rows = rows.filter(newest.is_null() | (pl.col("updated") == newest))
    text = pl.struct("prompt", "response").n_unique().over("response_id")
    torn = rows.filter(text > 1)
    two = pl.lit(" has two texts, so its feedback could be about either")
    reason = pl.concat_str(pl.lit("the id "), "response_id", two)
    order = [c for c in rows.columns if c not in {"response_id", "prompt", *PLACE}]
    kept = rows.filter(text == 1).sort("response_id", *order, nulls_last=True)
    kept = kept.unique("response_id", keep="first", maintain_order=True)
    repeated = count - torn.filter(~echo).height - kept.filter(~echo).height
    return pl.concat([single, kept]), torn.select(*PLACE, reason.alias("reason")), repeated


def owned(responses: pl.DataFrame) -> pl.DataFrame:
    """Give the answers of a trace its user and session where they have none of their own."""
    owner = responses.filter(pl.col("standing").is_in(["fallback", "owner"]))
    owner = owner.group_by("group").agg(
        *(
            pl.col(name).drop_nulls().min().alias(f"its_{name}")
            for name in ("user_id", "session_id")
        )
    )
    rows = responses.filter(pl.col("standing") != "owner").join(owner, on="group", how="left")
    return rows.with_columns(
        pl.coalesce(name, f"its_{name}").alias(name) for name in ("user_id", "session_id")
    ).drop("its_user_id", "its_session_id")


def standing(responses: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Drop what is no response here: a fallback beside an answer, what no event names, what it replaces."""
    named = events["response_id"].drop_nulls().unique()
    is_named = pl.col("response_id").is_in(named.implode())
    stands = pl.col("standing")
    kept = responses.filter((stands != "named") | is_named)
    fallback = (stands == "fallback") & (stands == "answer").any().over("group")
    kept = kept.filter(pl.col("group").is_null() | ~fallback)
    replaced = (stands == "answer") & ~is_named & (stands == "named").any().over("group")
    return kept.filter(pl.col("group").is_null() | ~replaced)


def regenerated(responses: pl.DataFrame) -> pl.DataFrame:
    """Name the answer that each later sibling regenerated, by the times they were shown at."""
    rows = responses.sort("shown_at", "response_id")
    before = pl.when(pl.col("siblings").is_not_null()).then(
        pl.col("response_id").shift(1).over("siblings")
    )
    return rows.with_columns(pl.coalesce("parent_response_id", before).alias("parent_response_id"))


def regenerations(responses: pl.DataFrame) -> pl.DataFrame:
    """One event per answer that a sibling regenerated."""
    again = responses.filter(
        pl.col("siblings").is_not_null() & pl.col("parent_response_id").is_not_null()
    )
    made = again.select(
        pl.col("parent_response_id").alias("response_id"),
        pl.col("shown_at").alias("at"),
        pl.lit("regenerate").alias("channel"),
        pl.lit(1.0).alias("value"),
        pl.lit("user").alias("source"),
        "file",
        "line",
    )
    return pl.concat([pl.DataFrame(schema=STAGED_EVENTS), made], how="diagonal").select(
        *STAGED_EVENTS
    )
