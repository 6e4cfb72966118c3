"""Checks of an import: the scope of the export against its rows, and notes for the user."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING

import polars as pl

from trueward.core.errors import TruewardError, UsageError
from trueward.data.export_scope import LEVELS

from .derive import SIGNAL_COLUMNS
from .traces import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from trueward.data.export_scope import ExportScope, Level

    from .contract import Source, UserMapping
    from .dataset_info import DatasetInfo
    from .derive import EventSummary
    from .merge import Tables

MAX_P = 1e-6  # a pattern less probable than this is not chance
MIN_PERIOD = timedelta(days=1)  # of rated rows only; retention is counted in days
MAX_PATHS = 12  # that an error lists, the nearest first
MAX_NAMES = 20  # names that a note lists
MIN_ROWS = 10  # rated rows in a run, or chats, that a pattern needs


def widest_level(source: Source, tables: Tables) -> Level:
    """Return the widest level of the kinds of records that were read: a wide export contains a narrow one.

    Parameters
    ----------
    source : Source
        The product.
    tables : Tables
        The tables with the number of records by kind.

    Returns
    -------
    Level
        The level; ``rated_only`` if no kind has one.

    """
    levels = {source.levels.get(kind) for kind in tables.read}
    return next((level for level in LEVELS if level in levels), "rated_only")


def check_scope(
    scope: ExportScope, tables: Tables, events: EventSummary
) -> tuple[ExportScope, list[str]]:
    """Lower the level of an export if its rows contradict it.

    Parameters
    ----------
    scope : ExportScope
        The declared scope.
    tables : Tables
        All responses.
    events : EventSummary
        Their feedback.

    Returns
    -------
    tuple of (ExportScope, list of str)
        The scope, and a note for the user if it was lowered.

    """
    log = _feedback_by_time(tables, events)
    if scope.level not in {"full", "rated_chats_only"} or not log.height:
        return scope, []
    rated = log["feedback"].is_not_null()
    if not rated.any():
        return scope, []
    if rated.all() and log.height >= MIN_ROWS:
        return _lower(scope, "rated_only", "every response of this export is rated")
    start = _rated_start(log)
    if start is not None:
        return _lower(
            scope,
            "rated_only",
            f"all {start[0]} responses before {start[1]:%Y-%m-%d} are rated and later ones are not, as if "
            "older responses were kept only if rated; export responses younger than the base retention",
        )
    if scope.level == "full" and _every_chat_rated(log):
        return _lower(scope, "rated_chats_only", "every chat of this export has a rated response")
    return scope, []


def _feedback_by_time(tables: Tables, events: EventSummary) -> pl.DataFrame:
    """Return chat, time and feedback of every response."""
    columns = ["response_id", "session_id", "shown_at"]
    parts = [
        rows.join(
            summary.select("response_id", "feedback"),
            on="response_id",
            how="left",
            maintain_order="left",
        ).select("session_id", pl.col("shown_at").alias("time"), "feedback")
        for rows, summary in tables.ranges.joined(events.rows, columns)
    ]
    return pl.concat(parts)


def _lower(scope: ExportScope, level: str, reason: str) -> tuple[ExportScope, list[str]]:
    lower = next(known for known in LEVELS if known == level)
    note = f"{reason}, so coverage is {level} and not {scope.level}"
    return replace(scope, level=lower), [note]


def _rated_start(log: pl.DataFrame) -> tuple[int, datetime] | None:
    """Return number of rows and end of a first period in which all responses are rated.

    None if chance explains it: p = c^k for k rated rows in a run, c the rated share of all later rows.
    """
    timed = log.filter(pl.col("time").is_not_null()).sort("time")
    rated = timed["feedback"].is_not_null()
    if not len(rated) or rated.all():
        return None
    run = int((~rated).arg_true()[0])
    share = float(rated[run:].mean())  # type: ignore[arg-type]
    if run < MIN_ROWS or timed["time"][run] - timed["time"][0] < MIN_PERIOD:
        return None
    if share > 0 and run * math.log(share) > math.log(MAX_P):
        return None
    return run, timed["time"][run]


def _every_chat_rated(log: pl.DataFrame) -> bool:
    """Whether every chat has a rated response although chance would leave some without.

    p = prod_j (1 - (1 - c)^k_j) over chats with k_j responses, c the rated share.
    """
    chats = log.filter(pl.col("session_id").is_not_null())
    chats = chats.group_by("session_id").agg(
        pl.len().alias("n"), pl.col("feedback").count().alias("rated")
    )
    if chats.height < MIN_ROWS or (chats["rated"] == 0).any():
        return False
    share = float(log["feedback"].is_not_null().mean())  # type: ignore[arg-type]
    some_rated = 1 - (1 - share) ** chats["n"].cast(pl.Float64)
    return float(some_rated.log().sum()) < math.log(MAX_P)


def check_paths(source: Source, mapping: UserMapping) -> None:
    """Raise if a path that the user gave leads nowhere in all records.

    Parameters
    ----------
    source : Source
        The product.
    mapping : UserMapping
        Paths of the import, and those that led to a value.

    Raises
    ------
    TruewardError
        With the path.

    """
    for name, paths in mapping.paths.items():
        if name in mapping.paths_seen and not mapping.paths_seen[name]:
            seen = get_close_matches(paths[-1], mapping.record_paths, MAX_PATHS, cutoff=0)
            raise TruewardError(
                f"--map {name}={paths[-1]}: no record of the export has a value there: give one of the paths "
                f"of its {source.name} records, which are {', '.join(seen) or 'none'}"
            )


def check_logged(logged: Sequence[str], tables: Tables) -> None:
    """Raise if a channel cannot be logged for every response of this import.

    Parameters
    ----------
    logged : sequence of str
        Channels of which absence is 0.
    tables : Tables
        The tables of the import.

    Raises
    ------
    UsageError
        If a channel is none that users only do, or has no event at all.

    """
    for name in logged:
        if name not in SIGNAL_COLUMNS and name != "seen":
            raise UsageError(
                f"--logged {name}: absence can be 0 for what users do, and not for what they state; choose "
                f"one of {', '.join(SIGNAL_COLUMNS)}"
            )
        if name not in tables.channels:
            raise UsageError(
                f"--logged {name}: this export has no {name} at all; give the name that the product logs it "
                f"under by --map {name}=NAME"
            )


def unknown_calls(tables: Tables) -> list[str]:
    """Return what to do about model calls of which it is unknown whether users saw them.

    Parameters
    ----------
    tables : Tables
        The tables of the import.

    Returns
    -------
    list of str
        One sentence with the names of the calls; empty if there are none.

    """
    if not tables.skipped.get(UNKNOWN):
        return []
    names = [f"{name} ({count})" for name, count in list(tables.unknown_calls.items())[:MAX_NAMES]]
    note = (
        f"{tables.skipped[UNKNOWN]} model calls are left out, since their traces have several and no output "
        f"of their own: name what users saw by --shown NAME; the names are {', '.join(names) or 'unknown'}"
    )
    return [note]


def user_notes(
    source: Source, tables: Tables, info: DatasetInfo, events: EventSummary, key: bytes | None
) -> list[str]:
    """Return what a user should know before trusting the log.

    Parameters
    ----------
    source : Source
        The product.
    tables : Tables
        Responses and events.
    info : DatasetInfo
        Scales and export scope.
    events : EventSummary
        Labels of the responses.
    key : bytes or None
        The secret key of ids, if there is one.

    Returns
    -------
    list of str
        One sentence each.

    """
    notes = unknown_calls(tables)
    is_rating = (pl.col("channel") == "rating") & (pl.col("source") != "judge")
    if tables.events.filter(is_rating).height and "rating" not in info.scales:
        notes.append("ratings have no known scale and give no labels: give it by --scale 1:5")
    low, high = info.scales.get("rating", (-math.inf, math.inf))
    outside = tables.events.filter(is_rating & ~pl.col("value").is_between(low, high)).height
    if outside:
        notes.append(
            f"{outside:,} ratings lie outside the scale of {low:g} to {high:g}: give the right one by --scale"
        )
    if events.slips:
        notes.append(
            f"{events.slips} responses were rated good and bad within 5 seconds: their feedback is null"
        )
    timed = tables.events.join(tables.shown_at, on="response_id")
    early = timed.filter(pl.col("at") < pl.col("shown_at")).height
    if early:
        notes.append(
            f"{early} events have a time before their response was shown: check the clocks"
        )
    if info.export_scope.level == "annotation":
        notes.append(
            "these are labels of annotators: give log.parquet to fit --gold beside the log of the product"
        )
    elif not events.rows["feedback"].count():
        notes.append(
            "no response has feedback: a fit needs two channels or a label, such as --positive copy or "
            "--positive preferred --negative 'preferred<=0'"
        )
    if source.ids_are_addresses and key is None:
        notes.append(
            "user ids are network addresses and were left out: --hash-users KEYFILE keeps them hashed"
        )
    return notes
