"""Findings on the gold labels: their number, their agreement with feedback, the rows they are on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trueward.core.weighted import effective_size
from trueward.inspection.chance import (
    SIGNIFICANT,
    compare_rates,
    counts,
    p_value,
    weighted_share,
)
from trueward.inspection.finding import Finding, percent, pluralised

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log
    from trueward.inspection.finding import Severity

FEW = 50  # gold labels
TRUE, FALSE = pl.col("gold") > 0.5, pl.col("gold") < 0.5  # a label of exactly 1/2 is in neither
UP, DOWN = pl.col("feedback") == 1, pl.col("feedback") == 0


def agreement(log: Log) -> Iterator[Finding]:
    """Report the number of gold labels and how they agree with ratings or clicks.

    rho_01 = P(observed 0 | true 1) and rho_10 = P(observed 1 | true 0), on rated rows with a gold label.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A note, a warning or an error, where the log has gold labels.

    """
    if "gold" not in log.columns:
        return
    count = len(log) - log.frame["gold"].null_count()
    effective = effective_size(log.label_weight.to_numpy())
    uneven = effective < count * (1 - 1e-9)
    words, figures, severity = (
        _rating_errors(log) if log.regime == "observational" else _click_rates(log)
    )
    if uneven:
        words = f", worth {effective:,.0f} of equal weight{words}"
    if severity == "note" and effective < FEW:
        severity, words = "warning", f"{words}; so few labels give wide intervals"
    yield Finding(
        "gold",
        severity,
        f"{pluralised(count, 'gold label')}{words}",
        {"labels": count} | ({"effective": effective} if uneven else {}) | figures,
    )


def rated_and_unrated(log: Log) -> Iterator[Finding]:
    """Warn where only rated rows have gold labels; else compare rated with unrated rows.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A warning, or a note where the two do not differ significantly.

    """
    if "gold" not in log.columns or not log.has_unrated or log.regime != "observational":
        return
    gold, seen = pl.col("gold"), pl.col("feedback").is_not_null()
    weighted = bool({"weight", "gold_weight"} & log.columns)
    table = (
        log.frame.with_columns(log.label_weight.alias("weight"))
        .filter(gold != 0.5)
        .group_by(pl.when(seen).then(pl.lit("rated")).otherwise(pl.lit("unrated")).alias("level"))
        .agg(*counts(gold > 0.5, weighted=weighted))
    )
    labels = dict(table.select("level", "rows").iter_rows())
    if "unrated" not in labels and "rated" in labels:
        yield Finding(
            "gold_on_rated_rows_only",
            "warning",
            f"all {labels['rated']:,} gold labels are on rated rows: they identify how often ratings err "
            "and how good rated answers are, not how good unrated answers are; audit a random draw of all "
            "responses that were shown",
            {"rated": labels["rated"], "unrated": 0},
        )
    compared = compare_rates(table)
    if compared is None:
        return
    hits, rows = ("weight_of_hits", "weight") if weighted else ("hits", "rows")
    shares = dict(table.select("level", pl.col(hits) / pl.col(rows)).iter_rows())
    rated, unrated = shares["rated"], shares["unrated"]
    significant = compared.p < SIGNIFICANT
    verdict = (
        "rated and unrated responses differ, and weighting corrects this only as far as features and "
        "context explain who reacts"
        if significant
        else "no sign that who reacts depends on how good the answer is"
    )
    yield Finding(
        "gold_by_reaction",
        "warning" if significant else "note",
        f"gold labels call {percent(rated)} of the rated and {percent(unrated)} of the unrated "
        f"responses good ({p_value(compared.p)}): {verdict}",
        {"rated": rated, "unrated": unrated, "p": compared.p},
    )


def unmatched(log: Log) -> Iterator[Finding]:
    """Count the rows of a gold table whose prompt and response the log does not have.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A warning, where gold labels match no row.

    """
    if log.gold_unmatched:
        yield Finding(
            "gold_unmatched",
            "warning",
            f"{pluralised(log.gold_unmatched, 'gold label')} could not be used: no row of the log has the "
            "same prompt and response, character by character",
            {"rows": log.gold_unmatched},
        )


def _count(log: Log, **masks: pl.Expr) -> dict[str, int]:
    row = log.frame.select(mask.sum().alias(name) for name, mask in masks.items()).row(
        0, named=True
    )
    return {name: int(value or 0) for name, value in row.items()}


def _share(log: Log, hit: pl.Expr, among: pl.Expr) -> dict[str, Any]:
    """Share of ``hit`` among gold rows, by their weight, with its interval."""
    rows = log.frame.with_columns(log.label_weight.alias("label weight")).filter(among)
    return weighted_share(rows.select(hit).to_series().fill_null(value=False), rows["label weight"])


def _rating_errors(log: Log) -> tuple[str, dict[str, Any], Severity]:
    n = _count(log, up=TRUE & UP, down=TRUE & DOWN, false_up=FALSE & UP, right=FALSE & DOWN)
    good, bad = n["up"] + n["down"], n["false_up"] + n["right"]
    if not good + bad:
        return ", none on a rated row, so they do not show how often ratings err", {}, "note"
    agreeing = float(
        _share(log, (TRUE & UP) | (FALSE & DOWN), (TRUE | FALSE) & (UP | DOWN))["value"]
    )
    rho_01, rho_10 = _share(log, DOWN, TRUE & (UP | DOWN)), _share(log, UP, FALSE & (UP | DOWN))
    words = (
        f", {good + bad:,} on rated rows, where {percent(agreeing)} of the ratings agree with them"
    )
    words += f": rho_01 = {_interval(rho_01)}, rho_10 = {_interval(rho_10)}"
    figures = {"on_rated": good + bad, "agreement": agreeing, "rho_01": rho_01, "rho_10": rho_10}
    if min(good, bad) >= 10 and rho_01["value"] + rho_10["value"] >= 1:
        words += (
            "; rho_01 + rho_10 >= 1, so ratings mean the opposite of gold: check how both are coded"
        )
        return words, figures, "error"
    return words, figures, "note"


def _click_rates(log: Log) -> tuple[str, dict[str, Any], Severity]:
    """P(true 1 | click) and P(click | true 1), for a log of clicks."""
    n = _count(log, clicked=TRUE & UP, wrong=FALSE & UP, good=TRUE, bad=FALSE)
    if log.regime == "channels" or not n["good"]:
        return f", {n['good']:,} of them good", {"good": n["good"], "bad": n["bad"]}, "note"
    precision, activity = _share(log, TRUE, (TRUE | FALSE) & UP), _share(log, UP, TRUE)
    words = f", {n['good']:,} of them good, and P(click given good) = {_interval(activity)}"
    if precision["rows"]:
        words += f", P(good given click) = {_interval(precision)}"
    counts = {"good": n["good"], "bad": n["bad"]}
    return words, counts | {"activity": activity, "precision": precision}, "note"


def _interval(s: dict[str, Any]) -> str:
    if s["value"] is None:
        return "unknown"
    return f"{s['value']:.3f} [{s['low']:.3f}, {s['high']:.3f}]"


FINDINGS = (agreement, rated_and_unrated, unmatched)
