"""Findings on the feedback: how much there is, what it can mean, whether it is consistent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import polars as pl

from trueward.data.capabilities import MIN_PER_CLASS, LogCapabilities
from trueward.estimation.requirements import sparse
from trueward.inspection.chance import SIGNIFICANT, p_value
from trueward.inspection.finding import SHOWN, Finding, percent, percent_of, pluralised

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log

HIGH = 0.6  # feedback rate above what products see when they log every response shown
RARE = 0.05  # share of the rarer rating
HELD_OUT = 0.2  # usual share of the prompts for validation
NOISY = 0.1  # share of the pairs of ratings of one response that differ


def coverage(log: Log) -> Iterator[Finding]:
    """Report the share of rows with feedback, and warn where it is implausibly high.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A note or a warning; nothing for a log of channels alone.

    """
    if log.regime == "channels":
        return
    rated = len(log) - log.frame["feedback"].null_count()
    what = "a click" if log.regime == "implicit" else "feedback"
    message = (
        f"{rated:,} of {len(log):,} responses have {what} ({percent_of(log, log.feedback_rate)})"
    )
    doubtful = log.regime == "observational" and HIGH < log.feedback_rate < 1
    if doubtful:
        message += ", more than products see: check that all unrated responses are logged"
    yield Finding(
        "coverage",
        "warning" if doubtful else "note",
        message,
        {"rows": len(log), "rated": rated, "share": log.feedback_rate},
    )


def all_rated(log: Log) -> Iterator[Finding]:
    """Report a log without unrated rows: it does not show who reacts.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        An error, where the log has no unrated rows.

    """
    if not log.has_unrated:
        yield Finding(
            "all_rated",
            "error",
            f"all {pluralised(len(log), 'row')} have feedback: a file of rated rows shows what rated "
            "answers are like, not who reacts; log every response that was shown (if 0 means no reaction and "
            "not a bad rating, add --unrated 0)",
            {"rows": len(log), "unrated": 0},
        )


def clicks_only(log: Log) -> Iterator[Finding]:
    """Report what a log of clicks does not identify.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A warning, where the log has clicks and rows without a click.

    """
    if log.regime == "implicit" and log.has_unrated:
        clicks = int((log.frame["feedback"] == 1).sum())
        yield Finding(
            "clicks_only",
            "warning",
            f"feedback is 1 or null and never 0, so the {len(log) - clicks:,} rows without a click may be "
            "bad, or good and not clicked: such a log identifies only P(good) x P(click given good), and a "
            "method needs an option that fixes the scale",
            {"clicks": clicks, "without": len(log) - clicks},
        )


def balance(log: Log) -> Iterator[Finding]:
    """Report the share of good ratings, and warn where good or bad is rare.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A note or a warning, where the log has ratings.

    """
    feedback = log.frame["feedback"]
    good, bad = int((feedback == 1).sum()), int((feedback == 0).sum())
    if log.regime != "observational" or good + bad == 0:
        return
    w = log.row_weight
    up, down = (float(w.filter((feedback == v).fill_null(value=False)).sum()) for v in (1, 0))
    share = up / (up + down)
    message = f"{good:,} of {good + bad:,} ratings are good ({percent_of(log, share)})"
    rare = min(share, 1 - share) < RARE
    if rare:
        usual, other = ("good", "bad") if up > down else ("bad", "good")
        message += (
            f": a constant prediction of {usual} would agree with {percent(max(share, 1 - share))} of "
            f"them, and what a fit learns about {other} responses rests on "
            f"{bad if other == 'bad' else good:,} ratings"
        )
    yield Finding(
        "balance",
        "warning" if rare else "note",
        message,
        {"good": good, "bad": bad, "share_good": share},
    )


def too_few(log: Log) -> Iterator[Finding]:
    """Report whether each class has enough rows for a fit, and for a validation split.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        An error where a fit is impossible, or a warning where one is uncertain.

    """
    capabilities = LogCapabilities.from_log(log)
    figures = {
        "prompts": capabilities.prompts,
        "rated": capabilities.rated,
        "good": capabilities.good,
    }
    missing = sparse(capabilities, reads_feedback=log.regime not in ("channels", "pairs"))
    if missing is not None:
        yield Finding("too_few", "error", f"a fit needs {missing}", figures)
    if missing is not None or log.regime == "pairs":
        return
    clicks = "o" not in capabilities.columns
    counts = {
        "responses with a click" if clicks else "responses rated good": capabilities.good,
        "responses without a click" if clicks else "responses rated bad": (
            (capabilities.rows if clicks else capabilities.rated) - capabilities.good
        ),
    }
    what, fewest = min(counts.items(), key=lambda item: item[1])
    if log.regime == "channels" or fewest * HELD_OUT >= MIN_PER_CLASS:
        return
    yield Finding(
        "too_few",
        "warning",
        f"the log has {fewest:,} {what}, and {HELD_OUT:.0%} of the "
        f"{pluralised(capabilities.prompts, 'prompt')} for validation hold about {fewest * HELD_OUT:.0f} of "
        "them: a fit is possible and uncertain",
        figures,
    )


def rated_prompts_only(log: Log) -> Iterator[Finding]:
    """Warn where every prompt has feedback although chance would leave some without.

    p = prod_j (1 - (1 - c)^k_j) over prompts with k_j rows, c the share of these rows with feedback; how
    many responses a row represents does not matter to it.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A warning, where p is significant.

    """
    if not log.has_unrated or log.feedback_rate == 0:
        return
    sizes = log.frame.group_by("prompt_id").agg(
        pl.len().alias("rows"), pl.col("feedback").count().alias("rated")
    )
    if (sizes["rated"] == 0).any():
        return
    silent = (log.frame["feedback"].null_count() / len(log)) ** sizes["rows"].cast(pl.Float64)
    p = math.exp(float((1 - silent).log().sum()))
    if p < SIGNIFICANT:
        yield Finding(
            "rated_prompts_only",
            "warning",
            f"each of the {sizes.height:,} prompts has feedback on some response, which is unlikely by "
            f"chance ({p_value(p)}): the log seems to have only conversations with feedback, so it shows "
            "who reacts within those only",
            {"prompts": sizes.height, "p": p},
        )


def conflicts(log: Log) -> Iterator[Finding]:
    """Report how often two ratings of one response differ, and the flip rate that explains it.

    If a response is either good or bad and ratings flip independently at one rate f, then
    D = P(two ratings differ) = 2 f (1 - f), so f = (1 - sqrt(1 - 2 D)) / 2.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A note or a warning, where responses have several ratings.

    """
    if log.regime != "observational":
        return
    texts = _repeated_ratings(log)
    if texts.is_empty():
        return
    pairs = int((texts["ratings"] * (texts["ratings"] - 1) // 2).sum())
    share = float(texts["weight_of_differing"].sum()) / float(texts["weight_of_pairs"].sum())
    mixed = texts.filter(pl.col("differ") > 0).sort("row")
    flip = (1 - (1 - 2 * share) ** 0.5) / 2 if share <= 0.5 else None
    message = (
        f"{pluralised(texts.height, 'response')} got more than one rating, {mixed.height:,} of them both "
        f"good and bad ones: {percent_of(log, share)} of the pairs of ratings of one response differ"
    )
    if mixed.height:
        message += (
            ", more often than coin tosses would"
            if flip is None
            else f", as if {percent(flip)} of all ratings were flipped"
        )
    yield Finding(
        "conflicts",
        "warning" if share > NOISY else "note",
        message,
        {
            "responses": texts.height,
            "mixed": mixed.height,
            "pairs": pairs,
            "disagreement": share,
            "flip_rate": flip,
        },
        tuple(mixed["row"].head(SHOWN).to_list()),
    )


def _repeated_ratings(log: Log) -> pl.DataFrame:
    """Responses with several ratings: number, good ones, first row; pairs count w_i w_j."""
    rated = log.frame.select("prompt", "response", "feedback", log.row_weight.alias("w"))
    rated = rated.with_row_index("row", offset=1)
    w, up, good = pl.col("w"), pl.col("feedback") == 1, pl.col("good")
    return (
        rated.filter(pl.col("feedback").is_in([0.0, 1.0]))
        .group_by("prompt", "response")
        .agg(
            pl.len().cast(pl.Int64).alias("ratings"),
            up.sum().cast(pl.Int64).alias("good"),
            pl.col("row").min(),
            ((w.sum() ** 2 - (w**2).sum()) / 2).alias("weight_of_pairs"),
            ((w * up).sum() * (w * ~up).sum()).alias("weight_of_differing"),
        )
        .filter(pl.col("ratings") > 1)
        .with_columns((good * (pl.col("ratings") - good)).alias("differ"))
    )


FINDINGS = (coverage, all_rated, clicks_only, balance, too_few, rated_prompts_only, conflicts)
