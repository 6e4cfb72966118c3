"""What each of several signals covers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.inspection.finding import Finding, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log


def find(log: Log) -> Iterator[Finding]:
    """Give the share of rows where each channel is logged, and warn of those that say nothing."""
    if not log.channels:
        return
    about = {}
    for name in log.channels:
        logged = log.frame[name].drop_nulls()
        about[name] = {"logged": len(logged) / len(log), "share_1": _mean(logged)}
        if logged.n_unique() == 1:
            yield _constant(name, logged[0], about[name]["logged"])
    both = log.frame.select(pl.sum_horizontal(pl.col(log.channels).is_not_null()) > 1).to_series()
    overlap = float(both.mean())  # type: ignore[arg-type]
    parts = [
        f"{name} is logged in {percent(a['logged'])} of the rows and 1 in {percent(a['share_1'])} of "
        "those"
        for name, a in about.items()
    ]
    apart = len(log.channels) > 1 and overlap == 0
    tail = "no row has two of them, so they cannot be compared" if apart else ""
    yield Finding(
        "channels",
        "warning" if apart else "note",
        "; ".join([*parts, *([tail] if tail else [])]),
        {"channels": about, "with_two": overlap},
    )


def _mean(column: pl.Series) -> float:
    return float(column.mean() or 0.0)  # type: ignore[arg-type]


def _constant(name: str, value: float, logged: float) -> Finding:
    """A channel of one value; null means not logged, so a channel of 1 and null lacks its zeros."""
    lost = value == 1 and logged < 1
    cause = ": write 0 where it was logged and nothing happened" if lost else ""
    return Finding(
        "channel_constant",
        "warning",
        f"{name} is {value:g} wherever it is logged ({percent(logged)} of the rows), so it tells no "
        f"response from another{cause}",
        {"column": name, "value": value, "logged": logged},
    )
