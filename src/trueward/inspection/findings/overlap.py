"""Whether every response had a chance of being rated, by the logged propensity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.inspection.finding import Finding, percent, rows_where

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log

TINY = 0.01
THIN = 0.2  # effective share of the rated rows
FAR = 4.0  # standard errors between the feedback that was promised and that arrived


def find(log: Log) -> Iterator[Finding]:
    """Give the range of p, the effective sample (sum w)^2 / sum w^2 of w = o/p, and sum p against sum o."""
    if "propensity" not in log.columns:
        return
    p = pl.col("propensity")
    outside = log.frame.select(~(p.is_between(0, 1, closed="right")).fill_null(value=False))
    if outside.to_series().any():
        yield Finding(
            "overlap",
            "error",
            f"a propensity must be above 0 and at most 1, and {int(outside.to_series().sum()):,} of "
            f"{len(log):,} rows hold something else",
            {"rows": int(outside.to_series().sum())},
            rows_where(outside.to_series()),
        )
        return
    yield from _range(log, p)
    yield from _promise(log, p)


def _range(log: Log, p: pl.Expr) -> Iterator[Finding]:
    w = (1 / p).filter(pl.col("feedback").is_not_null())
    f = log.frame.select(
        p.min().alias("min"),
        p.max().alias("max"),
        (p < TINY).mean().alias("share_below_0.01"),
        (w.sum() ** 2 / (w**2).sum()).fill_nan(0.0).alias("effective"),
        w.len().alias("rated"),
    ).row(0, named=True)
    thin = f["effective"] < THIN * f["rated"]
    yield Finding(
        "overlap",
        "warning" if thin or f["share_below_0.01"] else "note",
        f"logged propensities run from {f['min']:.3g} to {f['max']:.3g}, "
        f"{percent(f['share_below_0.01'])} of them below {TINY:g}: weighting by them leaves "
        f"{f['effective']:,.0f} effective out of {f['rated']:,} rated rows",
        f,
        rows_where(log.frame.select(p < TINY).to_series()),
    )


def _promise(log: Log, p: pl.Expr) -> Iterator[Finding]:
    f = log.frame.select(
        p.sum().alias("expected"),
        pl.col("feedback").count().alias("rated"),
        (p * (1 - p)).sum().sqrt().alias("sd"),
    ).row(0, named=True)
    if log.regime == "observational" and abs(f["rated"] - f["expected"]) > FAR * f["sd"]:
        yield Finding(
            "propensity_total",
            "warning",
            f"the logged propensities add up to {f['expected']:,.0f} rated rows and {f['rated']:,} "
            "have feedback: they are not the chances at which this feedback came",
            f,
        )
