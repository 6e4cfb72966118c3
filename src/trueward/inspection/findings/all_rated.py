"""A log without the responses that nobody rated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.inspection.finding import Finding, many

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log


def find(log: Log) -> Iterator[Finding]:
    """Refuse to say who reacts where every row is a reaction."""
    if not log.has_unrated:
        yield Finding(
            "all_rated",
            "error",
            f"none of the {many(len(log), 'row')} is without feedback: a file with rated rows only "
            "shows what rated answers are like, not who reacts; log every response that was shown",
            {"rows": len(log), "unrated": 0},
        )
