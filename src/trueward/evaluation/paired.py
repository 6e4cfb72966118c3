"""Differences of two models in every metric, on the same rows, with paired 95 % intervals.

The influence of a row on a difference is the difference of its influences on both, so that what both models
share (hard rows, rare classes) adds nothing to the interval. It is clustered as the metrics themselves are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trueward.core.estimate import Estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trueward.core.clustering import Clusters

    Array = NDArray[np.float64]

NOT_LINEAR = {"ece"}  # the sum of absolute gaps has no influence of a row


@dataclass(frozen=True)
class Statistic:
    """A metric of one model, and what each row adds to it.

    Attributes
    ----------
    value : float
        The metric; NaN where the data do not define it.
    influence, mass : (n,) array
        Influence of every row, and how much it carries of the metric.
    units : Clusters
        Prompt and user of every row.

    """

    value: float
    influence: Array
    mass: Array
    units: Clusters


@dataclass(frozen=True)
class Statistics:
    """The metrics of one model by name, which `measure` fills."""

    by_name: dict[str, Statistic] = field(default_factory=dict)

    def minus(self, other: Statistics) -> dict[str, Estimate]:
        """Compute the differences to another model on the same rows.

        Parameters
        ----------
        other : Statistics
            Those of the other model.

        Returns
        -------
        dict of str to Estimate
            This model's metric minus the other's, by the name of the metric; none of ece, and none that
            one of both lacks.

        """
        found = {}
        for name, a in self.by_name.items():
            b = other.by_name.get(name)
            value = math.nan if b is None else a.value - b.value
            if b is None or name in NOT_LINEAR or math.isnan(value):
                continue
            difference = a.influence - b.influence
            if not difference.any():  # the same scores
                found[name] = Estimate(value, value, value)
                continue
            found[name] = a.units.estimate(value, difference, "difference", a.mass)
        return found


def difference_line(found: dict[str, Estimate], other_name: str) -> str:
    """Say what the difference in ranking and in level shows; empty where neither is known.

    Parameters
    ----------
    found : dict of str to Estimate
        What `Statistics.minus` returns.
    other_name : str
        Name of the other model.

    Examples
    --------
    >>> difference_line({"auroc": Estimate(0.02, 0.01, 0.03)}, "naive")
    'It ranks better than naive: AUROC +0.020, 95 % interval of the difference +0.010 to +0.030.'

    """
    parts = []
    for name, label, better, verb in (
        ("auroc", "AUROC", 1, "ranks"),
        ("brier", "Brier score", -1, "predicts the labels"),
    ):
        e = found.get(name)
        if e is None or e.value is None or e.low is None or e.high is None:
            continue
        if e.low <= 0 <= e.high:
            how = f"{verb} about as well as"
        else:
            how = f"{verb} {'better' if e.value * better > 0 else 'worse'} than"
        parts.append(
            f"It {how} {other_name}: {label} {e.value:+.3f}, 95 % interval of the difference "
            f"{e.low:+.3f} to {e.high:+.3f}."
        )
    return " ".join(parts)
