"""Random search: the same number of trials for every method, judged by one observable criterion.

Losses of different hyper-parameters are not comparable (a weight in the loss scales it), so trials are not
ranked by the method's own loss but by one criterion for all methods: the log-loss of the *feedback* on the
validation rows that have it (rated rows; on a click log every row, the click being the target), after Platt's
calibration on these same rows. Nothing clean enters.

Its weakness is known and is the price of honesty: it prefers models of the population that reacts, noise
included, so it can favour options that undo the correction. That is why the trials are few, why the first
trial is always the method as it is configured, and why `selected on test` is shown in a column of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trueward.core.errors import UsageError
from trueward.core.options import options
from trueward.core.random import numpy_stream
from trueward.data.feedback import Labelled
from trueward.estimation.nuisances import platt
from trueward.evaluation.metrics import nll

from .names import known_keys, number

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.feedback import Feedback
    from trueward.estimation.method import Method
    from trueward.model.reward_model import RewardModel


@dataclass(frozen=True)
class Between:
    """A number between two ends, uniform or, with ``log``, log-uniform; ``whole`` rounds it."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def at(self, u: float) -> float | int:
        """Give the value at the share ``u`` of the way."""
        if self.log:
            value = math.exp(math.log(self.low) + u * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + u * (self.high - self.low)
        return round(value) if self.whole else min(self.high, max(self.low, value))


@dataclass(frozen=True)
class OneOf:
    """One of some values, each as likely."""

    values: tuple[Any, ...]

    def at(self, u: float) -> Any:
        """Give the value at the share ``u`` of the list."""
        return self.values[min(len(self.values) - 1, int(u * len(self.values)))]


Space = Mapping[str, Between | OneOf]

# what is searched for every method, and for every method with a field of that name
TRAINING: Space = {
    "lr": Between(1e-4, 3e-3, log=True),
    "weight_decay": Between(1e-4, 1e-1, log=True),
    "hidden": OneOf(((256, 64), (64,), (256,))),
}
FIELDS: Space = {"clip": Between(0.01, 0.2, log=True), "quantile": Between(0.95, 0.999)}


def read_space(read: Any, method: str) -> Space:
    """Read {option: [values]} or {option: {low: .., high: .., log: true}}."""
    if not isinstance(read, dict):
        raise UsageError(f"method {method}: space takes option: values, not {read!r}")
    space: dict[str, Between | OneOf] = {}
    for name, wanted in read.items():
        where = f"method {method}: space of {name}"
        if isinstance(wanted, list) and wanted:
            space[name] = OneOf(tuple(tuple(v) if isinstance(v, list) else v for v in wanted))
            continue
        known_keys(wanted, ("low", "high", "log", "whole"), where)
        low, high = (number(wanted.get(k), f"{where}: {k}") for k in ("low", "high"))
        if not low < high or (wanted.get("log") and low <= 0):
            raise UsageError(f"{where}: low must be below high, and above 0 for log")
        space[name] = Between(low, high, bool(wanted.get("log")), bool(wanted.get("whole")))
    return space


def space_of(method: type[Method], given: Mapping[str, Any], own: Space) -> Space:
    """What is searched: the training of every method, its own known fields, and ``own``.

    An option that the config sets (``given``) stands.
    """
    fields = {k: v for k, v in FIELDS.items() if k in options(method)}
    return {k: v for k, v in {**TRAINING, **fields, **own}.items() if k not in given or k in own}


def draws(space: Space, count: int) -> list[dict[str, Any]]:
    """The options of each of ``count`` trials; the first trial changes nothing.

    Trial k has the same value of an option in every method and seed that searches it.
    """

    def at(k: int, name: str) -> float:
        return float(numpy_stream(0, "search", name, k).random())

    drawn = [{name: space[name].at(at(k, name)) for name in sorted(space)} for k in range(1, count)]
    return [{}, *drawn]


def criterion(model: RewardModel, val: Feedback | Labelled) -> float:
    """Log-loss of what validation rows show, after Platt's calibration on them; lower is better.

    val: Feedback; or Labelled for the methods that are fitted on truth. A model whose scores are
    not finite is the worst there is.
    """
    rows, target = shown(val)
    scores = model.score_features(val.x[rows])
    if scores.reward is None or not scores.reward.isfinite().all() or len(rows) == 0:
        return math.inf
    slope, offset = platt(scores.reward, target)
    p = torch.sigmoid(slope * scores.reward.double() + offset).numpy()
    return float(np.mean(nll(p, target.double().numpy())))


def shown(val: Feedback | Labelled) -> tuple[Tensor, Tensor]:
    """Row numbers that show something, and what they show: a rating, a click, any channel's click."""
    if isinstance(val, Labelled):
        assert val.r is not None
        return torch.arange(len(val)), val.r
    if val.o is not None:
        rows = (val.o > 0).nonzero().squeeze(-1)
        return rows, val.y[rows]
    if val.channels:
        clicks = torch.stack([c.nan_to_num(0) for c in val.channels.values()]).amax(0)
        return torch.arange(len(val)), torch.maximum(clicks, val.y).clamp(0, 1)
    return torch.arange(len(val)), val.y
