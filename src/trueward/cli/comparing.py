"""A second model beside the one that `trueward evaluate` measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from trueward.core.estimate import Estimate
    from trueward.data.truth import Test
    from trueward.evaluation.measure import Metrics
    from trueward.evaluation.paired import Statistics
    from trueward.model.reward_model import RewardModel


class Against(NamedTuple):
    """A second model: its name, its metrics, and the first model's minus these."""

    name: str
    metrics: Metrics
    differences: dict[str, Estimate]

    def to_json(self) -> dict[str, Any]:
        """Return metrics and differences as plain data."""
        differences = {name: e.to_json() for name, e in self.differences.items()}
        return {"beside": self.metrics.to_json(), "difference": differences}


def against_of(
    other: RewardModel, name: str, test: Test, first: Statistics, how: dict[str, Any]
) -> Against:
    """Evaluate a second model on the rows of the first, and compare."""
    from trueward.evaluation.evaluate import evaluated
    from trueward.evaluation.paired import Statistics

    theirs = Statistics()
    metrics = evaluated(other, test, **how, kept=theirs)
    return Against(name, metrics, first.minus(theirs))
