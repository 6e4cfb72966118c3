"""Columns of the source that are not part of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.inspection.finding import SHOWN, Finding, brief, many

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log


def find(log: Log) -> Iterator[Finding]:
    """Name columns that were read by nobody, since a context may be among them."""
    if log.ignored:
        yield Finding(
            "ignored",
            "note",
            f"{many(len(log.ignored), 'column')} of the source went unused: map those that matter, "
            f"such as --map context.NAME={brief(log.ignored[0])}",
            {"columns": len(log.ignored)},
            log.ignored[:SHOWN],
        )
