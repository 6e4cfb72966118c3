"""What kind of export a log was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.coverage import MEANING

from ._finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.log import Log


def find(log: Log) -> Iterator[Finding]:
    """Say what the export covers, and where the responses nobody rated are if it has none."""
    if log.covers is None:
        return
    kind = log.covers
    of = f" of {kind.source}" if kind.source else ""
    message = f"this export{of} is {kind.level}: {MEANING[kind.level]}"
    if kind.level != "full":
        message += f"; for the others: {kind.remedy}"
    yield Finding(
        "export",
        "note" if kind.level == "full" else "warning" if kind.shows_unrated else "error",
        message,
        {"coverage": kind.level, "source": kind.source},
    )
