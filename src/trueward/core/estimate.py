"""A number with its interval."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A value with the ends of its interval.

    Attributes
    ----------
    value : float or None
        The point estimate; None where the data do not define it.
    low, high : float or None
        Lower and upper end of the interval, in the unit of ``value``; None without an interval.
    reason : str or None
        Why the value or the interval is missing.

    Examples
    --------
    >>> print(Estimate(0.8, 0.75, 0.84))
    0.800 [0.750, 0.840]
    >>> print(Estimate(None, reason="all labels are equal"))
    -

    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None

    def __str__(self) -> str:
        """Format value and interval with three decimals; ``-`` without a value."""
        if self.value is None:
            return "-"
        interval = (
            "" if self.low is None or self.high is None else f" [{self.low:.3f}, {self.high:.3f}]"
        )
        return f"{self.value:.3f}{interval}"

    def to_json(self) -> dict[str, float | str | None]:
        """Return ``value``, ``low``, ``high`` and, if there is one, ``reason``."""
        fields: dict[str, float | str | None] = {
            "value": self.value,
            "low": self.low,
            "high": self.high,
        }
        return fields if self.reason is None else fields | {"reason": self.reason}
