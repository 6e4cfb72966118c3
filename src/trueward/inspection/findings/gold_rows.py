"""Which rows the trusted labels are on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.inspection.chance import SURE, p_value, rates
from trueward.inspection.finding import Finding, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log


def find(log: Log) -> Iterator[Finding]:
    """Warn where only rated rows are audited; else compare the quality of rated and unrated rows."""
    if "gold" not in log.columns or not log.has_unrated or log.regime != "observational":
        return
    gold, seen = pl.col("gold"), pl.col("feedback").is_not_null()
    table = (
        log.frame.filter(gold != 0.5)
        .group_by(pl.when(seen).then(pl.lit("rated")).otherwise(pl.lit("unrated")).alias("level"))
        .agg(pl.len().alias("rows"), (gold > 0.5).sum().alias("hits"))
    )
    counts = {level: (rows, hits) for level, rows, hits in table.iter_rows()}
    if "unrated" not in counts and "rated" in counts:
        yield Finding(
            "gold_on_rated_rows_only",
            "warning",
            f"all {counts['rated'][0]:,} gold labels are on rated rows: they identify how often "
            "ratings err and what rated answers are like, not the others; audit a random draw of "
            "all responses that were shown",
            {"rated": counts["rated"][0], "unrated": 0},
        )
    compared = rates(table)
    if compared is None:
        return
    rated, unrated = (counts[k][1] / counts[k][0] for k in ("rated", "unrated"))
    sure = compared.p < SURE
    verdict = (
        "the rated ones are not like the others, and weighting mends that only as far as features "
        "and context explain who reacts"
        if sure
        else "no sign that who reacts depends on how good the answer is"
    )
    yield Finding(
        "gold_by_reaction",
        "warning" if sure else "note",
        f"gold labels call {percent(rated)} of the rated and {percent(unrated)} of the unrated "
        f"responses good ({p_value(compared.p)}): {verdict}",
        {"rated": rated, "unrated": unrated, "p": compared.p},
    )
