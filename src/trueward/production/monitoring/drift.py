"""One drift over a window of periods, with its interval and its tolerance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

NAMES = ("traffic", "behaviour", "quality", "calibration")
#: Value of each drift where nothing has changed.
UNCHANGED = {"traffic": 0.5, "behaviour": 1.0, "quality": 0.0, "calibration": 0.0}


@dataclass(frozen=True)
class Drift:
    """One drift over one window of periods.

    Attributes
    ----------
    name : str
        ``traffic``, ``behaviour``, ``quality`` or ``calibration``.
    value, low, high : float or None
        The estimate and its interval, which holds at this look together with all others; None where the data
        cannot tell.
    tolerance : float
        Distance from "unchanged" up to which a change is of no concern; a ratio for ``behaviour``.
    periods : int
        Number of periods in the window.
    since : str
        The first of them.
    reason : str or None
        Why there is no interval.
    source : str
        What it is measured on: ``prompts``, ``rewards``, ``ratings`` or ``gold``.

    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    tolerance: float
    periods: int = 1
    since: str = ""
    reason: str | None = None
    source: str = "ratings"

    @property
    def unchanged(self) -> float:
        """Value where nothing has changed."""
        return UNCHANGED[self.name]

    @property
    def excess(self) -> float:
        """Distance of the nearer end of the interval from ``unchanged``; 0 where it is inside."""
        if self.low is None or self.high is None:
            return 0.0
        if self.name == "behaviour":
            return max(0.0, float(np.log(max(self.low, 1e-12))), -float(np.log(self.high)))
        return max(0.0, self.low - self.unchanged, self.unchanged - self.high)

    @property
    def detected(self) -> bool:
        """Whether the interval excludes "unchanged"."""
        return self.excess > 0

    @property
    def fires(self) -> bool:
        """Whether the whole interval is farther from "unchanged" than the tolerance."""
        limit = float(np.log1p(self.tolerance)) if self.name == "behaviour" else self.tolerance
        return self.detected and self.excess > limit

    @property
    def verdict(self) -> str:
        """What the interval says, in words."""
        if self.low is None:
            return f"cannot be told: {self.reason}"
        if self.fires:
            return "beyond tolerance: retrain"
        return "changed, within tolerance" if self.detected else "no change beyond chance"

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {**vars(self), "detected": self.detected, "fires": self.fires}


def named(drift: Drift, since: str, periods: int) -> Drift:
    """Return the drift with its window.

    Parameters
    ----------
    drift : Drift
        Result of `Comparison.drifts`.
    since : str
        First period of the window.
    periods : int
        Number of its periods.

    Returns
    -------
    Drift
        A copy.

    """
    return replace(drift, since=since, periods=periods)
