"""How many of the ratings are good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.inspection.finding import Finding, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log

RARE = 0.05


def find(log: Log) -> Iterator[Finding]:
    """Give the share of good ratings, and warn where one class is rare."""
    feedback = log.frame["feedback"]
    good, bad = int((feedback == 1).sum()), int((feedback == 0).sum())
    if log.regime != "observational" or good + bad == 0:
        return
    share = good / (good + bad)
    message = f"{good:,} of {good + bad:,} ratings are good ({percent(share)})"
    rare = min(share, 1 - share) < RARE
    if rare:
        usual, other = ("good", "bad") if good > bad else ("bad", "good")
        message += (
            f": calling every response {usual} would agree with {percent(max(share, 1 - share))} of "
            f"them, so what is learned about {other} ones rests on {min(good, bad):,}"
        )
    yield Finding(
        "balance",
        "warning" if rare else "note",
        message,
        {"good": good, "bad": bad, "share_good": share},
    )
