"""How many trusted labels there are, and how they agree with the feedback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trueward.inspection.chance import share
from trueward.inspection.finding import Finding, many, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log
    from trueward.inspection.finding import Severity

FEW = 50  # gold labels
TRUE, FALSE = pl.col("gold") > 0.5, pl.col("gold") < 0.5  # a label of exactly 1/2 says neither
UP, DOWN = pl.col("feedback") == 1, pl.col("feedback") == 0


def find(log: Log) -> Iterator[Finding]:
    """Give rho_01 = P(observed 0 | true 1) and rho_10 = P(observed 1 | true 0) on rated gold rows."""
    if "gold" not in log.columns:
        return
    count = len(log) - log.frame["gold"].null_count()
    words, figures, severity = _rates(log) if log.regime == "observational" else _clicks(log)
    if severity == "note" and count < FEW:
        severity, words = "warning", f"{words}; so few leave wide intervals"
    yield Finding(
        "gold", severity, f"{many(count, 'gold label')}{words}", {"labels": count} | figures
    )


def _count(log: Log, **masks: pl.Expr) -> dict[str, int]:
    row = log.frame.select(mask.sum().alias(name) for name, mask in masks.items()).row(
        0, named=True
    )
    return {name: int(value or 0) for name, value in row.items()}


def _rates(log: Log) -> tuple[str, dict[str, Any], Severity]:
    n = _count(log, up=TRUE & UP, down=TRUE & DOWN, false_up=FALSE & UP, right=FALSE & DOWN)
    good, bad = n["up"] + n["down"], n["false_up"] + n["right"]
    if not good + bad:
        return (
            ", none of them on a rated row, so they do not show how often ratings err",
            {},
            "note",
        )
    agreement = (n["up"] + n["right"]) / (good + bad)
    rho_01, rho_10 = share(n["down"], good), share(n["false_up"], bad)
    words = (
        f", {good + bad:,} of them on rated rows, where the rating agrees in {percent(agreement)}"
    )
    words += f": rho_01 = {_interval(rho_01)}, rho_10 = {_interval(rho_10)}"
    figures = {"on_rated": good + bad, "agreement": agreement, "rho_01": rho_01, "rho_10": rho_10}
    if min(good, bad) >= 10 and n["down"] / good + n["false_up"] / bad >= 1:
        words += (
            "; together 1 or more, so ratings mean the opposite of gold: check how both are coded"
        )
        return words, figures, "error"
    return words, figures, "note"


def _clicks(log: Log) -> tuple[str, dict[str, Any], Severity]:
    """P(true 1 | click) and P(click | true 1), where the log has clicks only."""
    n = _count(log, clicked=TRUE & UP, wrong=FALSE & UP, good=TRUE, bad=FALSE)
    if log.regime == "channels" or not n["good"]:
        return f", {n['good']:,} of them good", {"good": n["good"], "bad": n["bad"]}, "note"
    right, active = share(n["clicked"], n["clicked"] + n["wrong"]), share(n["clicked"], n["good"])
    words = f", {n['good']:,} of them good, and P(click given good) = {_interval(active)}"
    if right["rows"]:
        words += f", P(good given click) = {_interval(right)}"
    counts = {"good": n["good"], "bad": n["bad"]}
    return words, counts | {"activity": active, "precision": right}, "note"


def _interval(s: dict[str, Any]) -> str:
    if s["value"] is None:
        return "unknown"
    return f"{s['value']:.3f} [{s['low']:.3f}, {s['high']:.3f}]"
