"""Trusted labels that found no row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.inspection.finding import Finding, many

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log


def find(log: Log) -> Iterator[Finding]:
    """Count rows of a gold table whose texts the log lacks."""
    if log.gold_unmatched:
        yield Finding(
            "gold_unmatched",
            "warning",
            f"{many(log.gold_unmatched, 'gold label')} could not be used: no row of the log has the "
            "same prompt and response, character by character",
            {"rows": log.gold_unmatched},
        )
