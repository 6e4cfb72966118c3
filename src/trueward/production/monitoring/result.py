"""The result of a monitor: periods with their drifts, as a table, as JSON and as Prometheus metrics."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trueward.core.estimate import Estimate

from .drift import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .drift import Drift

SHOWN = 12  # newest periods in the table
HELP = {
    "drift": "Drift at the newest period: traffic (AUROC), behaviour (ratio), quality, calibration.",
    "drift_low": "Lower end of its interval.",
    "drift_high": "Upper end of its interval.",
    "drift_detected": "1 where the interval excludes no change.",
    "drift_fires": "1 where the interval is beyond the tolerance: retrain.",
    "monitor_rows": "Responses of the newest period.",
    "monitor_ratings": "Ratings of the newest period.",
    "monitor_mean_reward": "Mean P(preferred) of the newest period.",
    "monitor_expected_auroc": "AUROC that the model's own P implies for the newest period.",
}


@dataclass(frozen=True)
class Period:
    """One period of a log.

    Attributes
    ----------
    name : str
        Its first day, or ``all``.
    rows, ratings : int
        Number of its responses, and of those with a rating.
    drifts : dict of str to Drift
        Drifts of this period alone, by name.
    strongest : dict of str to Drift
        Of each drift the window that ends here and shows the surest change, else the longest window.
    mean_reward : float or None
        Mean P(preferred); None where the model identifies only an interval.
    expected_auroc : float or None
        AUROC of these responses if P were right for each: what the mix alone does to it.

    """

    name: str
    rows: int
    ratings: int
    drifts: dict[str, Drift]
    strongest: dict[str, Drift]
    mean_reward: float | None = None
    expected_auroc: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return vars(self) | {
            part: {k: d.to_json() for k, d in getattr(self, part).items()}
            for part in ("drifts", "strongest")
        }


@dataclass(frozen=True)
class Monitor:
    """Drifts of a log against a reference, period by period; ``str()`` is a table.

    See Also
    --------
    trueward.monitor : Computes it.

    """

    #: The periods of the log, oldest first.
    periods: tuple[Period, ...]
    #: ``day``, ``week``, ``month``, or None for one period.
    by: str | None
    #: Probability that any interval misses.
    alpha: float
    #: Number of rows of the reference.
    reference_rows: int
    #: Metrics of an audit on the gold labels of the log, with 95 % intervals; empty without gold labels.
    metrics: dict[str, Estimate] = field(default_factory=dict)
    #: What the log cannot tell, and rows that were left out.
    warnings: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Drift:
        """Return a drift at the newest period, over the window that shows the surest change."""
        return self.periods[-1].strongest[name]

    @property
    def detected(self) -> tuple[str, ...]:
        """Names of the drifts whose interval excludes "unchanged" at the newest period."""
        return tuple(k for k in NAMES if self[k].detected)

    @property
    def fires(self) -> tuple[str, ...]:
        """Names of the drifts that are beyond their tolerance at the newest period: retrain."""
        return tuple(k for k in NAMES if self[k].fires)

    def estimates(self) -> dict[str, Estimate]:
        """Return the drifts of the newest period and the metrics on gold labels, as conditions read them.

        ``expected_auroc`` and ``mean_reward`` are of the newest period, without an interval. Without gold
        labels ``auroc`` has no value.
        """
        newest = self.periods[-1]
        only_interval = "the model identifies only an interval of P(preferred)"
        drifts = {
            k: Estimate(d.value, d.low, d.high, d.reason) for k, d in newest.strongest.items()
        }
        plain = {
            k: Estimate(v, reason=None if v is not None else only_interval)
            for k, v in (
                ("expected_auroc", newest.expected_auroc),
                ("mean_reward", newest.mean_reward),
            )
        }
        unknown = Estimate(None, reason="it needs gold labels: give --gold, or use expected_auroc")
        return {"auroc": unknown, **plain, **self.metrics, **drifts}

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data; aggregates only, no texts and no ids."""
        return {
            "by": self.by,
            "alpha": self.alpha,
            "reference_rows": self.reference_rows,
            "detected": list(self.detected),
            "fires": list(self.fires),
            "drifts": {k: self[k].to_json() for k in NAMES},
            "metrics": {k: e.to_json() for k, e in self.metrics.items()},
            "periods": [p.to_json() for p in self.periods],
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        """Format the newest periods as a table, and the drifts at the newest with their intervals."""
        return "\n".join([*self._history(), *self._verdicts(), *self._notes()])

    def prometheus(self) -> str:
        """Return the newest period as text for the textfile collector of Prometheus' node exporter."""
        newest = self.periods[-1]
        values: dict[str, dict[str, float | None]] = {
            f"drift{part}": {f'{{drift="{k}"}}': getattr(self[k], name) for k in NAMES}
            for part, name in (
                ("", "value"),
                ("_low", "low"),
                ("_high", "high"),
                ("_detected", "detected"),
                ("_fires", "fires"),
            )
        }
        values["monitor_rows"] = {"": newest.rows}
        values["monitor_ratings"] = {"": newest.ratings}
        values["monitor_mean_reward"] = {"": newest.mean_reward}
        values["monitor_expected_auroc"] = {"": newest.expected_auroc}
        lines = []
        for name, by_label in values.items():
            there = {k: v for k, v in by_label.items() if v is not None and math.isfinite(v)}
            if there:
                lines += [f"# HELP trueward_{name} {HELP[name]}", f"# TYPE trueward_{name} gauge"]
                lines += [f"trueward_{name}{label} {float(v):.10g}" for label, v in there.items()]
        return "\n".join(lines) + "\n"

    def _history(self) -> Iterator[str]:
        head = "".join(f"{name:>13}" for name in NAMES)
        yield f"{self.by or 'period':<12}{'rows':>8}{'ratings':>9}{head}"
        for period in self.periods[-SHOWN:]:
            cells = "".join(
                f"{_value(period.drifts[k]) + _mark(period.strongest[k]):>13}" for k in NAMES
            )
            yield f"{period.name:<12}{period.rows:>8,}{period.ratings:>9,}{cells}"
        hidden = len(self.periods) - SHOWN
        more = f"; {hidden} earlier periods are in --json" if hidden > 0 else ""
        yield f"* beyond chance, ! beyond tolerance, - cannot be told{more}"

    def _verdicts(self) -> Iterator[str]:
        yield ""
        yield f"{'drift':<13}{'value':>8}  {'interval':<20}{'unchanged':>9}  {'since':<12}verdict"
        for name in NAMES:
            d = self[name]
            span = "-" if d.low is None or d.high is None else f"{d.low:.3f} to {d.high:.3f}"
            yield (
                f"{name:<13}{_value(d):>8}  {span:<20}{d.unchanged:>9g}  {d.since:<12}{d.verdict}"
            ).rstrip()

    def _notes(self) -> Iterator[str]:
        share = f"{100 * (1 - self.alpha):g} %"
        yield (
            f"all intervals of all drifts and looks hold together with probability {share}; "
            f"{self.reference_rows:,} reference rows"
        )
        if self.metrics:
            e = self.metrics["auroc"]
            yield f"on the gold labels of the log: AUROC {e}"
        yield from (f"warning: {w}" for w in self.warnings)


def _value(d: Drift) -> str:
    if d.value is None:
        return "-"
    return f"{d.value:+.3f}" if d.unchanged == 0 else f"{d.value:.3f}"


def _mark(d: Drift) -> str:
    return "!" if d.fires else "*" if d.detected else " "
