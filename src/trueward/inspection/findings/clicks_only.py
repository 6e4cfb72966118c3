"""Feedback that can only be positive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.inspection.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log


def find(log: Log) -> Iterator[Finding]:
    """Say what clicks alone leave open."""
    if log.regime == "implicit" and log.has_unrated:
        clicks = int((log.frame["feedback"] == 1).sum())
        yield Finding(
            "clicks_only",
            "warning",
            f"feedback is 1 or null and never 0, so the {len(log) - clicks:,} rows without a click "
            "may be bad, or good and passed over: such a log fixes only the product of being good "
            "and being clicked, and a method must be told what pins the scale",
            {"clicks": clicks, "without": len(log) - clicks},
        )
