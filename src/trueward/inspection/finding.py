"""One thing that a look at a log brought up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

Severity = Literal["error", "warning", "note"]
RANK: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}
SHOWN = 3  # examples of a finding
LONG = 40  # characters of an id or a category in a sentence


@dataclass(frozen=True)
class Finding:
    """One plain sentence about a log, with its figures and where to look.

    error: something no method can repair, or an answer that would be wrong; warning: read this
    before you trust a fit; note: a fact to know.
    """

    name: str
    severity: Severity
    message: str
    figures: Mapping[str, Any] = field(default_factory=dict)  # plain data; shares are in [0, 1]
    examples: tuple[int | str, ...] = ()  # at most 3 row numbers, counted from 1, or ids

    def to_json(self) -> dict[str, Any]:
        """Give plain data."""
        return {
            "name": self.name,
            "severity": self.severity,
            "message": self.message,
            "figures": dict(self.figures),
            "examples": list(self.examples),
        }

    @property
    def order(self) -> tuple[int, str, str]:
        """Worst first, then by name."""
        return RANK[self.severity], self.name, self.message


def percent(share: float) -> str:
    """Write a share of 1 with three figures; neither all nor none unless it is."""
    if 0 < share < 1e-4:
        return "under 0.01%"
    text = f"{100 * share:.3g}%"
    return "over 99.9%" if share < 1 and text == "100%" else text


def many(count: int, what: str) -> str:
    """Write a count with its noun: 1 row, 2,000 rows."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def brief(text: str) -> str:
    """Write a value of the log on one line, shortened, without control characters."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= LONG else f"{line[: LONG - 3]}..."


def rows_where(mask: pl.Series) -> tuple[int, ...]:
    """Row numbers, counted from 1, of the first rows where ``mask`` is true."""
    return tuple(int(i) + 1 for i in mask.arg_true().head(SHOWN))
