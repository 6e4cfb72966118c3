"""Result of a sensitivity analysis: conclusions along the odds ratio of reacting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from trueward.core.overview import Overview, Shown

COLUMNS = ("odds ratio", "mean P", "rank", "pairs kept")


@dataclass(frozen=True)
class Conclusions:
    """Scale and ranking of the scores under one departure from the model's assumption."""

    #: The odds ratio of reacting, or the prior P(satisfied), that is assumed.
    at: float
    #: Mean P(preferred) of the logged responses.
    mean: float
    #: Spearman correlation with the model's own ranking.
    rank: float
    #: Share of the pairs of answers to one prompt that stay in the model's order.
    kept: float


@dataclass(frozen=True, repr=False)
class Sensitivity(Shown):
    """Conclusions under departures from the model's assumption on who reacts; ``str()`` is a table.

    See `sensitivity`, which computes it.
    """

    #: Conclusions for 21 odds ratios of reacting, good against bad, from 1/5 to 5; empty for clicks.
    odds: tuple[Conclusions, ...]
    #: Lowest and highest mean P(preferred) under any selection whatever.
    worst: tuple[float, float]
    #: (rho_01, rho_10, mean P(preferred)) at the corners of the plausible noise rates.
    noise: tuple[tuple[float, float, float], ...]
    #: For a log of clicks, conclusions for 5 values of P(satisfied).
    priors: tuple[Conclusions, ...]
    #: Share of the pairs, such as ``"5%"`` -> the smallest odds ratio, 1 or more in either direction, that
    #: reverses so many; None where none in the range does.
    flips: dict[str, float | None]
    #: Odds ratio estimated from gold labels on unrated rows, and its 95 % interval.
    gold: tuple[float, float, float] | None
    #: Number of logged responses.
    rows: int
    #: Estimates at a bound, and what could not be estimated.
    warnings: tuple[str, ...] = ()

    @property
    def band(self) -> tuple[float, float]:
        """Lowest and highest mean P(preferred) over the odds ratios."""
        means = [m.mean for m in self.odds]
        return min(means), max(means)

    def to_json(self) -> dict[str, Any]:
        """Return all conclusions as plain data."""
        return {
            "odds": [vars(m) for m in self.odds],
            "worst": list(self.worst),
            "noise": [dict(zip(("rho_01", "rho_10", "mean"), v, strict=True)) for v in self.noise],
            "priors": [vars(m) for m in self.priors],
            "flips": self.flips,
            "gold": self.gold,
            "rows": self.rows,
            "warnings": list(self.warnings),
        }

    def _overview(self) -> Overview:
        head, *rest = str(self).splitlines()
        low, high = self.band if self.odds else self.worst
        table = [
            [
                f"{m.at:.2f}",
                f"{m.mean:.3f}",
                f"{m.rank:.3f}",
                "-" if np.isnan(m.kept) else f"{m.kept:.1%}",
            ]
            for m in self._shown
        ]
        title = f"{self.rows:,} responses, mean P(preferred) from {low:.3f} to {high:.3f}"
        notes = rest[len(table) :] if table else [head, *rest]
        return Overview(title, COLUMNS if table else (), table, notes)

    @property
    def _shown(self) -> tuple[Conclusions, ...]:
        """Every few odds ratios."""
        return self.odds[:: max(1, len(self.odds) // 8)]

    def __str__(self) -> str:
        """Format some odds ratios as a table, then one sentence for each other departure."""
        lines = (
            [f"{'odds ratio':>10}{'mean P':>9}{'rank':>8}{'pairs kept':>12}"] if self.odds else []
        )
        for m in self._shown:
            kept = "-" if np.isnan(m.kept) else f"{m.kept:.1%}"
            lines.append(f"{m.at:>10.2f}{m.mean:>9.3f}{m.rank:>8.3f}{kept:>12}")
        lines.append(f"any selection: mean P from {self.worst[0]:.3f} to {self.worst[1]:.3f}")
        if self.noise:
            means = [v[2] for v in self.noise]
            lines.append(f"other noise rates: mean P from {min(means):.3f} to {max(means):.3f}")
        lines += [
            f"P(satisfied) {m.at:.2f}: mean P {m.mean:.3f}, same ranking" for m in self.priors
        ]
        for share, ratio in self.flips.items():
            what = (
                "no odds ratio in the range" if ratio is None else f"an odds ratio of {ratio:.2f}"
            )
            lines.append(f"{what} reverses {share} of the pairs")
        if self.gold is not None:
            value, low, high = self.gold
            lines.append(
                f"odds ratio estimated from gold labels: {value:.2f} [{low:.2f}, {high:.2f}]"
            )
        return "\n".join([*lines, *(f"warning: {w}" for w in self.warnings)])
