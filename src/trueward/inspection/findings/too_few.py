"""Too few rows for a fit, or for its validation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.data.capabilities import FEWEST, LogCapabilities
from trueward.estimation.requirements import sparse
from trueward.inspection.finding import Finding, many

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log

HELD_OUT = 0.2  # share of the prompts that validation usually gets


def find(log: Log) -> Iterator[Finding]:
    """Count what a fit needs of each class, in the log and in a validation part of it."""
    facts = LogCapabilities.of_log(log)
    figures = {"prompts": facts.prompts, "rated": facts.rated, "good": facts.good}
    missing = sparse(facts, reads_feedback=log.regime != "channels")
    if missing is not None:
        yield Finding("too_few", "error", f"a fit needs {missing}", figures)
        return
    clicks = "o" not in facts.columns
    counts = {
        "responses with a click" if clicks else "responses rated good": facts.good,
        "responses without a click" if clicks else "responses rated bad": (
            (facts.rows if clicks else facts.rated) - facts.good
        ),
    }
    what, fewest = min(counts.items(), key=lambda item: item[1])
    if log.regime == "channels" or fewest * HELD_OUT >= FEWEST:
        return
    yield Finding(
        "too_few",
        "warning",
        f"with {fewest:,} {what}, a split that holds out {HELD_OUT:.0%} of the "
        f"{many(facts.prompts, 'prompt')} leaves about {fewest * HELD_OUT:.0f} of them to check on, "
        f"and a fit needs {FEWEST}",
        figures,
    )
