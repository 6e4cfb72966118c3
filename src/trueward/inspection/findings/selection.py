"""Findings on who reacts: feedback rates by column and over time, logged propensities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trueward.inspection.chance import (
    RateComparison,
    compare_rates,
    counts,
    p_value,
    quantile_bucket,
    significance,
)
from trueward.inspection.finding import Finding, example_rows, percent, percent_of, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log

LARGE = 1.5  # highest over lowest feedback rate of a column
LARGE_DRIFT = 1.25  # rate of one quarter over that of the other
TINY = 0.01  # propensity
THIN = 0.2  # effective sample as a share of the rated rows
FAR = 4.0  # standard errors between expected and observed number of ratings


def rates_by_column(log: Log) -> Iterator[Finding]:
    """Compare feedback rates by response length, model, user and context.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A note or a warning for each column with enough rows to compare.

    """
    if log.regime == "channels" or not log.has_unrated or log.feedback_rate == 0:
        return
    rows = log.frame
    if "user_id" in log.columns:  # a report must not show ids of users: it names a row of theirs
        first = pl.col("row").min().over("user_id")
        label = pl.when(pl.col("user_id").is_not_null()).then(
            pl.concat_str(pl.lit("the one of row "), first)
        )
        rows = rows.with_row_index("row", offset=1).with_columns(label.alias("user_id"))
    frame = rows.select(
        *([log.row_weight] if "weight" in log.columns else []),
        pl.col("feedback").is_not_null().alias("seen"),
        pl.col("response").str.len_chars().cast(pl.Int64).alias("length"),
        *(c for c in rows.columns if c in {"model", "user_id"} or c.startswith("context.")),
    )
    named = {"length": "response length", "user_id": "user"}
    for column in (c for c in frame.columns if c not in {"weight", "seen"}):
        compared = compare_rates(_levels(frame, column))
        if compared is not None:
            short = column.removesuffix("_id")
            yield _selection(log, f"selection_by_{short}", named.get(column, column), compared)


def drift(log: Log) -> Iterator[Finding]:
    """Compare the first and the last quarter of the rows by time: feedback rate, share of good.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A note or a warning on the feedback rate, and on the share of good ratings if there are any.

    """
    if "time" not in log.columns:
        return
    feedback = pl.col("feedback")
    weight = "weight" if "weight" in log.columns else None
    quarters = log.frame.select("time", "feedback", log.row_weight).drop_nulls("time")
    quarters = quarters if weight else quarters.drop("weight")
    quarters = quarters.with_columns(quantile_bucket("time", 4, weight).alias("quarter"))
    quarter = pl.col("quarter")
    ends = quarters.filter((quarter == 0) | (quarter == quarter.max()))
    late = "; recent responses may still get some"
    yield from _quarters(ends, feedback.is_not_null(), "drift", "feedback rate", late)
    if log.regime == "observational":
        rated = ends.drop_nulls("feedback")
        yield from _quarters(rated, feedback == 1, "drift_in_ratings", "share of good ratings", "")


def logged_propensities(log: Log) -> Iterator[Finding]:
    """Report the range of the propensities p, the effective sample, and sum p against sum o.

    The effective sample is (sum v)^2 / sum v^2 of v = w o / p, with w the weight of the row.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        An error for invalid propensities; else the overlap, and a warning if the sums disagree.

    """
    if "propensity" not in log.columns:
        return
    p = pl.col("propensity")
    outside = log.frame.select(
        ~(p.is_between(0, 1, closed="right")).fill_null(value=False)
    ).to_series()
    count = int(outside.sum())
    if count:
        yield Finding(
            "overlap",
            "error",
            f"a propensity must be above 0 and at most 1, and {count:,} of {len(log):,} rows have another "
            "value",
            {"rows": count},
            example_rows(outside),
        )
        return
    yield from _effective_sample(log, p)
    yield from _expected_ratings(log, p)


def _levels(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """Count rows and feedback at every level of a column; of numbers, in each tenth of the rows."""
    weight = "weight" if "weight" in frame.columns else None
    own = [weight] if weight else []
    frame = frame.select("seen", *own, pl.col(column).alias("value")).drop_nulls()
    sums = counts(pl.col("seen"), weighted=weight is not None)
    if frame["value"].dtype == pl.String:
        return frame.group_by(pl.col("value").alias("level")).agg(*sums)
    value = pl.col("value")
    frame = frame.with_columns(quantile_bucket("value", 10, weight).alias("tenth"))
    tenths = frame.group_by("tenth").agg(value.min().alias("low"), value.max().alias("high"), *sums)
    spans = [_span(low, high) for low, high in tenths.select("low", "high").iter_rows()]
    return tenths.select(
        pl.Series("level", spans, dtype=pl.String), pl.exclude("tenth", "low", "high")
    )


def _span(low: float, high: float) -> str:
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


def _selection(log: Log, name: str, column: str, compared: RateComparison) -> Finding:
    clicks = log.regime == "implicit"
    (low, least), (high, most) = compared.lowest, compared.highest
    uneven = compared.uneven(LARGE)
    times = f", {compared.ratio:.1f} times as often" if uneven and compared.ratio else ""
    message = (
        f"the {'click' if clicks else 'feedback'} rate by {column} runs from {percent(least)} "
        f"({shortened(low)}) to {percent(most)} ({shortened(high)}){times}; chi-square test: "
        f"{significance(compared.p)}"
    )
    if uneven and not clicks:
        message = f"who reacts is not random: {message}"
    warn = uneven and not clicks and not column.startswith("context.")
    return Finding(name, "warning" if warn else "note", message, compared.figures())


def _quarters(
    ends: pl.DataFrame, hit: pl.Expr, name: str, what: str, late: str
) -> Iterator[Finding]:
    table = (
        ends.group_by("quarter")
        .agg(*counts(hit, weighted="weight" in ends.columns))
        .sort("quarter")
        .with_columns(pl.col("quarter").cast(pl.String).alias("level"))
    )
    compared = compare_rates(table)
    if compared is None:
        return
    sums = ("weight_of_hits", "weight") if "weight" in table.columns else ("hits", "rows")
    first, last = (table[sums[0]] / table[sums[1]]).to_list()
    large = compared.uneven(LARGE_DRIFT)
    message = (
        f"the {what} went from {percent(first)} in the first quarter of the rows by time to "
        f"{percent(last)} in the last; chi-square test: {p_value(compared.p)}"
    )
    if large and last < first:
        message += late
    yield Finding(
        name,
        "warning" if large else "note",
        message,
        {"first": first, "last": last, "ratio": compared.ratio, "p": compared.p},
    )


def _effective_sample(log: Log, p: pl.Expr) -> Iterator[Finding]:
    represents = log.row_weight
    w = (represents / p).filter(pl.col("feedback").is_not_null())
    f = log.frame.select(
        p.min().alias("min"),
        p.max().alias("max"),
        ((represents * (p < TINY)).sum() / represents.sum()).alias("share_below_0.01"),
        (w.sum() ** 2 / (w**2).sum()).fill_nan(0.0).alias("effective"),
        w.len().alias("rated"),
    ).row(0, named=True)
    thin = f["effective"] < THIN * f["rated"]
    yield Finding(
        "overlap",
        "warning" if thin or f["share_below_0.01"] else "note",
        f"logged propensities run from {f['min']:.3g} to {f['max']:.3g}, "
        f"{percent_of(log, f['share_below_0.01'])} of them below {TINY:g}: weighted by 1 / propensity, the "
        f"{f['rated']:,} rated rows have an effective sample size of {f['effective']:,.0f}",
        f,
        example_rows(log.frame.select(p < TINY).to_series()),
    )


def _expected_ratings(log: Log, p: pl.Expr) -> Iterator[Finding]:
    w, o = log.row_weight, pl.col("feedback").is_not_null()
    # with weights, rows may have been kept by their feedback, so the spread is the observed one
    spread = p * (1 - p) if "weight" not in log.columns else w**2 * (o.cast(pl.Float64) - p) ** 2
    f = log.frame.select(
        (w * p).sum().alias("expected"),
        (w * o).sum().round().cast(pl.Int64).alias("rated"),
        spread.sum().sqrt().alias("sd"),
    ).row(0, named=True)
    if log.regime == "observational" and abs(f["rated"] - f["expected"]) > FAR * f["sd"]:
        yield Finding(
            "propensity_total",
            "warning",
            f"the logged propensities add up to {f['expected']:,.0f} rated rows, and {f['rated']:,} have "
            "feedback: they are not the probabilities of this feedback",
            f,
        )


FINDINGS = (rates_by_column, drift, logged_propensities)
