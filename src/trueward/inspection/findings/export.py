"""What kind of export a log was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.data.export_scope import MEANING
from trueward.inspection.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log


def find(log: Log) -> Iterator[Finding]:
    """Say what the export covers, and where the responses nobody rated are if it has none."""
    if log.export_scope is None:
        return
    kind = log.export_scope
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
