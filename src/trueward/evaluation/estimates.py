"""Results of evaluations: estimates by the name of their metric, with what an interval says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from trueward.core.overview import Overview, Shown

from .prediction_powered import interval_width

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.core.estimate import Estimate


NO_WIDTH = 1e-9  # width of an interval that is only rounding, as of labels that one score separates


@dataclass(frozen=True, repr=False)
class Estimates(Shown, Mapping[str, "Estimate"]):
    """Estimates by the name of their metric; a read-only mapping."""

    #: Estimates by the name of their metric.
    estimates: dict[str, Estimate]

    def __getitem__(self, name: str) -> Estimate:
        """Return the estimate of one metric."""
        return self.estimates[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self.estimates)

    def __len__(self) -> int:
        """Return the number of metrics."""
        return len(self.estimates)

    def _overview(self) -> Overview:
        rows = [
            [name, "-" if e.value is None else f"{e.value:.4f}", _span(e) or e.reason or ""]
            for name, e in self.estimates.items()
        ]
        return Overview(self._title(), ("metric", "value", "95 % interval"), rows, self._notes())

    def _title(self) -> str:
        return f"{len(self)} metrics"

    def _notes(self) -> list[str]:
        return []

    def _lines(self, heading: str) -> list[str]:
        """Format a table with one estimate a line; ``heading`` is that of the names."""
        wide = 2 + max(len(name) for name in self.estimates)
        lines = [f"{heading:<{wide}}{'value':>9}  95 % interval"]
        for name, e in self.estimates.items():
            value = "-" if e.value is None else f"{e.value:.4f}"
            span = "" if e.low is None else f"{e.low:.4f} to {e.high:.4f}"
            note = "" if e.reason is None else f"({e.reason})"
            lines.append(f"{name:<{wide}}{value:>9}  {span}{note}".rstrip())
        return lines


@dataclass(frozen=True, repr=False)
class Metrics(Estimates):
    """Estimates by the name of their metric, with the size of the test; ``str()`` is a table.

    See Also
    --------
    trueward.evaluate : Computes them, and lists the metrics.

    """

    #: Number of rows of the test.
    rows: int
    #: Number of prompts of the test.
    prompts: int
    #: Number of users of the test; None without ids of users.
    users: int | None = None
    #: Effective number of the units that intervals are clustered by: (sum n_c)^2 / sum n_c^2, by unit.
    effective: dict[str, float] = field(default_factory=dict)
    #: Reasons why intervals may be too narrow.
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, dict[str, float | str | None]]:
        """Return ``{"auroc": {"value": .., "low": .., "high": ..}, ...}``; undefined values are null."""
        return {name: e.to_json() for name, e in self.estimates.items()}

    def _title(self) -> str:
        users = "" if self.users is None else f", {self.users:,} users"
        return f"{self.rows:,} rows, {self.prompts:,} prompts{users}" + _first(self)

    def _notes(self) -> list[str]:
        return [f"warning: {w}" for w in self.warnings]

    def __str__(self) -> str:
        """Format a table with one metric a line."""
        lines = [f"{'metric':<15}{'value':>9}  95 % interval"]
        for name, e in self.estimates.items():
            value = "-" if e.value is None else f"{e.value:.4f}"
            span = "" if e.low is None else f"{e.low:.4f} to {e.high:.4f}"
            note = "" if e.reason is None else f"({e.reason})"
            lines.append(f"{name:<15}{value:>9}  {span}{note}".rstrip())
        users = "" if self.users is None else f", {self.users} users"
        by = " and ".join(f"{size:.0f} effective {unit}s" for unit, size in self.effective.items())
        clustered = f"; intervals clustered by {by}" if by else ""
        lines.append(f"{self.rows} rows, {self.prompts} prompts{users}{clustered}")
        return "\n".join([*lines, *(f"warning: {w}" for w in self.warnings)])


@dataclass(frozen=True, repr=False)
class Audit(Estimates):
    """Estimates of an audit by the name of their metric; ``str()`` is a table.

    See `audit`, which computes them and lists the metrics.
    """

    #: The same metrics estimated from the gold labels alone, without the log.
    gold_alone: dict[str, Estimate]
    #: Number of logged responses.
    rows: int
    #: Number of responses with a gold label.
    gold: int
    #: Reasons why the estimates may be biased.
    warnings: tuple[str, ...] = ()
    #: Number of equal weights that the gold labels are worth; None where it was not computed.
    effective_gold: float | None = None

    def narrower(self, name: str) -> float | None:
        """Return by which share the log narrows the interval of a metric; negative where it widens it.

        Parameters
        ----------
        name : str
            Name of the metric.

        Returns
        -------
        float or None
            1 - width with the log / width from gold labels alone; None where one has no interval.

        """
        now, before = (interval_width(e[name]) for e in (self.estimates, self.gold_alone))
        return 1 - now / before if NO_WIDTH < before < np.inf and now < np.inf else None

    def to_json(self) -> dict[str, Any]:
        """Return every estimate with both intervals, the counts and the warnings as plain data."""
        return {
            "metrics": {k: e.to_json() for k, e in self.estimates.items()},
            "gold_alone": {k: e.to_json() for k, e in self.gold_alone.items()},
            "rows": self.rows,
            "gold": self.gold,
            "effective_gold": self.effective_gold,
            "warnings": list(self.warnings),
        }

    def _overview(self) -> Overview:
        rows = []
        for name, e in self.estimates.items():
            alone, share = self.gold_alone[name], self.narrower(name)
            gain = "" if share is None else f"{-share:+.0%}"
            value = "-" if e.value is None else f"{e.value:.4f}"
            rows.append([name, value, _span(e) or e.reason or "", _span(alone), gain])
        title = f"{self.rows:,} logged responses, {self.gold:,} with a gold label" + _first(self)
        head = ("metric", "value", "95 % interval", "gold labels alone", "width by the log")
        return Overview(title, head, rows, [f"warning: {w}" for w in self.warnings])

    def __str__(self) -> str:
        """Format a table with one metric a line, beside the interval from the gold labels alone."""
        lines = [f"{'metric':<15}{'value':>9}  {'95 % interval':<20}{'gold labels alone':<20}"]
        for name, e in self.estimates.items():
            if e.value is None:
                lines.append(f"{name:<15}{'-':>9}  ({e.reason})")
                continue
            alone, share = self.gold_alone[name], self.narrower(name)
            gain = ""
            if share is not None:
                gain = f"{abs(share):.0%} {'wider' if share < 0 else 'narrower'}"
            lines.append(
                f"{name:<15}{e.value:>9.4f}  {_span(e) or '-':<20}{_span(alone) or '-':<20}{gain}".rstrip()
            )
        worth = self.effective_gold
        uneven = worth is not None and worth < 0.999 * self.gold
        worth_text = f", worth {worth:.0f} of equal weight" if uneven else ""
        lines.append(f"{self.rows} logged responses, {self.gold} with a gold label{worth_text}")
        return "\n".join([*lines, *(f"warning: {w}" for w in self.warnings)])


def _span(e: Estimate) -> str:
    return "" if e.low is None else f"{e.low:.4f} to {e.high:.4f}"


def _first(result: Estimates) -> str:
    """The first metric that has a value, for the line of the result."""
    for name, e in result.items():
        if e.value is not None:
            return f", {name} {e}"
    return ""
