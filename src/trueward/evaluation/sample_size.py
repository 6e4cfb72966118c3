"""How many gold labels an audit takes, and which responses to label next."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from trueward.core.errors import UsageError
from trueward.core.random import torch_stream
from trueward.estimation.gold_regression import FEWEST

from .audit import rows_of
from .prediction_powered import MEASURES

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.feedback import Feedback
    from trueward.model.reward_model import RewardModel


@dataclass(frozen=True)
class Plan:
    """How many gold labels an interval of the wanted width needs, and which responses to label next."""

    metric: str
    width: float
    now: int
    needed: int
    rows: Tensor  # numbers of the responses to label, a uniform draw of those without a label

    def __str__(self) -> str:
        """Say it in a sentence."""
        more = f"{len(self.rows)} more" if len(self.rows) else "no more"
        return (
            f"an interval of {self.metric} {self.width:g} wide takes about {self.needed} gold labels: "
            f"{self.now} are there, {more} to be had"
        )


def plan(model: RewardModel, log: Feedback, metric: str, width: float, *, seed: int = 0) -> Plan:
    """n = N v / (N + v), v = V (2 * 1.96 / width)^2, V the variance of one label's worth at the best lambda.

    V is that of an audit with the gold labels there are; without any, the model's P(preferred) is believed.
    What is labelled next is drawn uniformly, as an audit needs it.
    """
    if metric not in MEASURES:
        raise UsageError(f"a plan is for one of {', '.join(MEASURES)}, not {metric!r}")
    if not 0 < width < 1:
        raise UsageError(f"the width of an interval lies between 0 and 1, and is {width:g}")
    rows, _ = rows_of(model, log, future=False, seed=seed)
    v, n = rows.variance(metric) * (2 * 1.96 / width) ** 2, len(log)
    needed = max(FEWEST, math.ceil(n * v / (n + v)))
    rest = torch.from_numpy(np.flatnonzero(~rows.known))
    order = torch.randperm(len(rest), generator=torch_stream(seed, "plan"))
    now = int(rows.known.sum())
    return Plan(metric, width, now, needed, rest[order[: max(0, needed - now)]])
