"""Findings on channels and context columns: what they cover, and whether they vary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.data.capabilities import CATEGORIES
from trueward.inspection.finding import Finding, percent_of, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log


def channels(log: Log) -> Iterator[Finding]:
    """Report the share of rows where each channel is logged, and warn of constant channels.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A warning for each constant channel, and one finding on all channels.

    """
    if not log.channels:
        return
    shares = {}
    for name in log.channels:
        logged, ones = (
            log.share_of(m) for m in (log.frame[name].is_not_null(), log.frame[name].fill_null(0))
        )
        shares[name] = {"logged": logged, "share_1": ones / logged if logged else 0.0}
        values = log.frame[name].drop_nulls()
        if values.n_unique() == 1:
            yield _constant_channel(log, name, values[0], logged)
    both = log.frame.select(pl.sum_horizontal(pl.col(log.channels).is_not_null()) > 1).to_series()
    overlap = log.share_of(both)
    parts = [
        f"{name} is logged in {percent_of(log, a['logged'])} of the rows and 1 in "
        f"{percent_of(log, a['share_1'])} of those"
        for name, a in shares.items()
    ]
    apart = len(log.channels) > 1 and overlap == 0
    if apart:
        parts.append("no row has two of them, so they cannot be compared")
    yield Finding(
        "channels",
        "warning" if apart else "note",
        "; ".join(parts),
        {"channels": shares, "with_two": overlap},
    )


def context_columns(log: Log) -> Iterator[Finding]:
    """Warn of context columns that are constant or have too many categories.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A warning for each constant column, and each one with too many categories.

    """
    for name in sorted(c for c in log.columns if c.startswith("context.")):
        column = log.frame[name]
        categories = column.drop_nulls().n_unique()
        if column.n_unique() == 1:
            yield Finding(
                "context_constant",
                "warning",
                f"{name} is {shortened(str(column[0]))} in every row, so it cannot explain who reacts: leave "
                "it out",
                {"column": name, "values": 1},
            )
        elif column.dtype == pl.String and categories > CATEGORIES:
            sizes = pl.DataFrame({"value": column, "weight": log.row_weight}).drop_nulls()
            sizes = sizes.group_by("value").agg(pl.len(), pl.col("weight").sum())
            few = sizes.sort(["len", "value"], descending=[True, False])["weight"][CATEGORIES:]
            rare = float(few.sum()) / float(log.row_weight.sum())
            yield Finding(
                "context_categories",
                "warning",
                f"{name} has {categories:,} categories, and only the {CATEGORIES} largest get a feature "
                f"each; the others, {percent_of(log, rare)} of the rows, share one: merge categories, or "
                "log the property that matters as a number",
                {"column": name, "categories": categories, "share_left_out": rare},
            )


def _constant_channel(log: Log, name: str, value: float, logged: float) -> Finding:
    """Build the finding on a channel of one value; null is not logged, so 1 and null lacks its zeros."""
    zeros_missing = value == 1 and logged < 1
    cause = ": write 0 where it was logged and nothing happened" if zeros_missing else ""
    return Finding(
        "channel_constant",
        "warning",
        f"{name} is {value:g} wherever it is logged ({percent_of(log, logged)} of the rows), so it does not "
        f"distinguish responses{cause}",
        {"column": name, "value": value, "logged": logged},
    )


FINDINGS = (channels, context_columns)
