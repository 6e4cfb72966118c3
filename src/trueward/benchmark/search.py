"""Random search: the same number of trials for every method, selected by one observable criterion.

The losses of different hyperparameters are not comparable, because a weight in the loss scales it. So
all methods share one criterion: the log-loss of the feedback on validation rows after Platt scaling on
the same rows. The rows are those with feedback; on a click log all rows, with the click as the target.
No true label is used.

Notes
-----
The criterion prefers models of the users who react, noise included, so it can select options that undo
the correction. For that reason there are few trials, the first trial is the method as configured, and
the selection on the test set is reported in a separate column.

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

from .validation import known_keys, number

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.feedback import Feedback
    from trueward.estimation.method import Method
    from trueward.model.reward_model import RewardModel


@dataclass(frozen=True)
class Between:
    """A number, uniform in [low, high].

    Attributes
    ----------
    low, high : float
        Ends of the interval.
    log : bool
        Log-uniform in place of uniform.
    whole : bool
        Rounded to a whole number.

    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def at(self, u: float) -> float | int:
        """Return the quantile ``u`` in [0, 1]."""
        if self.log:
            value = math.exp(math.log(self.low) + u * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + u * (self.high - self.low)
        return round(value) if self.whole else min(self.high, max(self.low, value))


@dataclass(frozen=True)
class OneOf:
    """A value of a list, with equal probabilities.

    Attributes
    ----------
    values : tuple
        The values.

    """

    values: tuple[Any, ...]

    def at(self, u: float) -> Any:
        """Return the quantile ``u`` in [0, 1]."""
        return self.values[min(len(self.values) - 1, int(u * len(self.values)))]


Space = Mapping[str, Between | OneOf]

#: Search space of every method.
TRAINING: Space = {
    "lr": Between(1e-4, 3e-3, log=True),
    "weight_decay": Between(1e-4, 1e-1, log=True),
    "hidden": OneOf(((256, 64), (64,), (256,))),
}
#: Search space of every method with an option of that name.
FIELDS: Space = {"clip": Between(0.01, 0.2, log=True), "quantile": Between(0.95, 0.999)}


def read_space(read: Any, method: str) -> Space:
    """Read a search space.

    Parameters
    ----------
    read : object
        Value of the YAML: {option: [values]} or {option: {low: .., high: .., log: true}}.
    method : str
        Name of the method, for messages.

    Returns
    -------
    Space

    Raises
    ------
    UsageError
        If a value is invalid.

    """
    if not isinstance(read, dict):
        raise UsageError(f"method {method}: space must map options to values, found {read!r}")
    space: dict[str, Between | OneOf] = {}
    for name, value in read.items():
        where = f"method {method}: space of {name}"
        if isinstance(value, list) and value:
            space[name] = OneOf(tuple(tuple(v) if isinstance(v, list) else v for v in value))
            continue
        known_keys(value, ("low", "high", "log", "whole"), where)
        low, high = (number(value.get(k), f"{where}: {k}") for k in ("low", "high"))
        if not low < high or (value.get("log") and low <= 0):
            raise UsageError(
                f"{where}: low must be below high, and above 0 for log; found {low:g} and {high:g}"
            )
        space[name] = Between(low, high, bool(value.get("log")), bool(value.get("whole")))
    return space


def space_of(method: type[Method], given: Mapping[str, Any], own: Space) -> Space:
    """Return the search space of a method.

    Parameters
    ----------
    method : type of Method
        The class of the method.
    given : mapping
        Options that the config sets; they are not searched, unless ``own`` has them.
    own : mapping
        Search space of the config's entry.

    Returns
    -------
    Space

    """
    fields = {k: v for k, v in FIELDS.items() if k in options(method)}
    return {k: v for k, v in {**TRAINING, **fields, **own}.items() if k not in given or k in own}


def draws(space: Space, count: int) -> list[dict[str, Any]]:
    """Draw the options of the trials.

    Trial k has the same value of an option in every method and seed.

    Parameters
    ----------
    space : mapping
        The search space.
    count : int
        Number of trials.

    Returns
    -------
    list of dict
        Options of each trial; the first is empty.

    """

    def at(k: int, name: str) -> float:
        return float(numpy_stream(0, "search", name, k).random())

    trials = [
        {name: space[name].at(at(k, name)) for name in sorted(space)} for k in range(1, count)
    ]
    return [{}, *trials]


def criterion(model: RewardModel, val: Feedback | Labelled) -> float:
    """Return the log-loss of the observed target after Platt scaling; lower is better.

    Parameters
    ----------
    model : RewardModel
        A fitted model.
    val : Feedback or Labelled
        Validation rows; Labelled for methods that are trained on true labels.

    Returns
    -------
    float
        Infinite if a score is not finite.

    """
    rows, target = observed_target(val)
    scores = model.score_features(val.x[rows])
    if scores.reward is None or not scores.reward.isfinite().all() or len(rows) == 0:
        return math.inf
    weight = None if val.weight is None else val.weight[rows]
    slope, offset = platt(scores.reward, target, weight)
    p = torch.sigmoid(slope * scores.reward.double() + offset).numpy()
    counted = None if weight is None else weight.double().numpy()
    return float(np.average(nll(p, target.double().numpy()), weights=counted))


def observed_target(val: Feedback | Labelled) -> tuple[Tensor, Tensor]:
    """Return the target of the criterion: the rating, the click, or a click in any channel.

    Parameters
    ----------
    val : Feedback or Labelled
        Validation rows.

    Returns
    -------
    rows : Tensor of int
        Row numbers with a target.
    target : Tensor, as long as ``rows``
        Values in [0, 1].

    """
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
