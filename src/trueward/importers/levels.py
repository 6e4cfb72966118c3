"""Whether an export covers what it should: the level is checked, not trusted."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from trueward.data.export_scope import LEVELS

if TYPE_CHECKING:
    from datetime import datetime

    from trueward.data.export_scope import ExportScope

SURE = 1e-6  # chance below which a pattern was made and did not happen
SHORTEST = timedelta(days=1)  # of the time in which all are rated; retention is counted in days
FEWEST = 10  # rated rows in a run, or chats, that a pattern needs


def checked(coverage: ExportScope, log: pl.DataFrame) -> tuple[ExportScope, list[str]]:
    """Downgrade a level that the rows speak against, and say why."""
    if coverage.level not in {"full", "rated_chats_only"} or not log.height:
        return coverage, []
    rated = log["feedback"].is_not_null()
    if not rated.any():
        return coverage, []
    if rated.all() and log.height >= FEWEST:
        return _down(coverage, "rated_only", "every response of this export is rated")
    found = _old_ones_rated(log)
    if found is not None:
        return _down(
            coverage,
            "rated_only",
            f"all {found[0]} responses before {found[1]:%Y-%m-%d} are rated and later ones are not: it seems "
            "that older ones were kept only if rated; export what is younger than the base retention",
        )
    if coverage.level == "full" and _every_chat_rated(log):
        return _down(coverage, "rated_chats_only", "every chat of this export has a rated response")
    return coverage, []


def _down(coverage: ExportScope, level: str, why: str) -> tuple[ExportScope, list[str]]:
    lower = next(known for known in LEVELS if known == level)
    return replace(coverage, level=lower), [
        f"{why}, so coverage is {level} and not {coverage.level}"
    ]


def _old_ones_rated(log: pl.DataFrame) -> tuple[int, datetime] | None:
    """Find a first stretch of time in which all responses are rated, if chance would not make it.

    p = c^k for k rated rows in a run, c the rated share of all later rows.
    """
    timed = log.filter(pl.col("time").is_not_null()).sort("time")
    rated = timed["feedback"].is_not_null()
    if not len(rated) or rated.all():
        return None
    run = int((~rated).arg_true()[0])
    share = float(rated[run:].mean())  # type: ignore[arg-type]
    if run < FEWEST or timed["time"][run] - timed["time"][0] < SHORTEST:
        return None
    if share > 0 and run * math.log(share) > math.log(SURE):
        return None
    return run, timed["time"][run]


def _every_chat_rated(log: pl.DataFrame) -> bool:
    """Say whether each chat has a rated response where chance would leave some without.

    p = prod_j (1 - (1 - c)^k_j) over chats with k_j responses, c the rated share.
    """
    chats = log.filter(pl.col("session_id").is_not_null())
    chats = chats.group_by("session_id").agg(
        pl.len().alias("n"), pl.col("feedback").count().alias("rated")
    )
    if chats.height < FEWEST or (chats["rated"] == 0).any():
        return False
    share = float(log["feedback"].is_not_null().mean())  # type: ignore[arg-type]
    some = 1 - (1 - share) ** chats["n"].cast(pl.Float64)
    return float(some.log().sum()) < math.log(SURE)
