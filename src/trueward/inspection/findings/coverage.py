"""How many of the responses have feedback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.inspection.finding import Finding, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log

HIGH = 0.6  # more than products see when every response that was shown is logged


def find(log: Log) -> Iterator[Finding]:
    """Give the share of rows with feedback, and doubt one that is too high."""
    if log.regime == "channels":
        return
    rated = len(log) - log.frame["feedback"].null_count()
    what = "a click" if log.regime == "implicit" else "feedback"
    message = f"{rated:,} of {len(log):,} responses have {what} ({percent(log.feedback_rate)})"
    doubtful = log.regime == "observational" and HIGH < log.feedback_rate < 1
    if doubtful:
        message += ", more than products see: make sure that all responses nobody rated are logged"
    yield Finding(
        "coverage",
        "warning" if doubtful else "note",
        message,
        {"rows": len(log), "rated": rated, "share": log.feedback_rate},
    )
