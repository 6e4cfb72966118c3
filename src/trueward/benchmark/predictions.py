"""No training: how far is a method's estimated loss from the ideal one, for predictions that are given?

|L^ - L| / L with L = mean of l(s, r*) over the log and L^ the method's own loss on what the log shows. The
predictions are the matrices of `trueward.simulation.predictions`.
Nuisances are known (entries that say so), or
estimated out of fold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from trueward.core.errors import TruewardError, UsageError
from trueward.core.random import numpy_stream
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Columns, Feedback
from trueward.data.splits import fold_of
from trueward.estimation.losses import bce
from trueward.estimation.nuisance_types import Computed, Nuisance
from trueward.estimation.nuisances import platt
from trueward.estimation.requirements import lacking
from trueward.fitting.fit import configure, fit
from trueward.model.nuisance_columns import fill_nuisances
from trueward.simulation import PREDICTIONS

from .draw import labels, options_of
from .entries import CLEAN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trueward.estimation.nuisance_types import Derived, Parameters
    from trueward.model.nuisance_columns import Splits

    from .draw import Draw
    from .jobs import Job


def errors(job: Job, draw: Draw) -> dict[str, float] | str:
    """Relative error of the estimated loss on the training rows, by matrix; or why there is none."""
    rating = draw.truth_train.rating.double().numpy()
    if len(rating) != len(draw.train):
        return "needs the true rating of every row, and this log is real"
    estimate = _estimator(job, draw)
    if isinstance(estimate, str):
        return estimate
    found = {}
    for name, made in PREDICTIONS.items():
        p = torch.from_numpy(made(rating, numpy_stream(job.seed, "predictions", name)))
        s = torch.logit(p).float()
        ideal = float(bce(s, draw.truth_train.label).mean())
        if not math.isfinite(estimated := estimate(s)):
            raise TruewardError(
                f"the loss of {job.method.label} on the predictions {name} is not finite"
            )
        found[name.lower()] = abs(estimated - ideal) / ideal
    return {"mean": sum(found.values()) / len(found), **found}


def _estimator(job: Job, draw: Draw) -> Callable[[Tensor], float] | str:
    """Give what turns logits into the estimated loss."""
    label, options = draw.truth_train.label, options_of(job.method, draw)
    if isinstance(options, str):
        return options
    try:
        made, _ = configure(job.method.method, {**job.train, **options})
    except UsageError as e:
        return str(e)
    if made.takes_truth:
        count = labels(draw.train) if job.method.name == CLEAN else len(label)
        order = numpy_stream(job.seed, "clean-mcar", 0).permutation(len(label))[:count]
        rows = torch.from_numpy(np.sort(order))
        return lambda s: float(bce(s[rows], label[rows]).mean())
    if made.composed:
        return "is composed of its nuisances: there is no loss to judge predictions by"
    if set(made.heads) != {"reward"}:
        return f"has heads of its own ({', '.join(made.heads)}), which given predictions lack"
    train, _ = draw.feedback(known="propensity" in job.method.known)
    if missing := lacking(made, LogCapabilities.from_feedback(train)):
        return f"needs {missing}"
    (filled,) = fill_nuisances(made.nuisances, (train,), _Estimates(job))
    b = replace(filled, x=filled.x[:, :0])
    return lambda s: float(made.loss(Columns(reward=s), b))


@dataclass(frozen=True)
class _Estimates:
    """Estimates the nuisances that the log lacks, on its training rows."""

    job: Job

    def probabilities(self, nuisance: Nuisance, splits: Splits) -> Sequence[Tensor]:
        return [_out_of_fold(nuisance, splits[0], self.job)]

    def parameters(self, nuisance: Derived | Computed, splits: Splits) -> Parameters:
        (rows,) = splits
        if isinstance(nuisance, Computed):
            return nuisance.fit(rows, rows, self.job.seed)[0]
        numbers, _ = nuisance.compute(rows, self.job.seed)
        return {k: torch.tensor(v) for k, v in numbers.items()}

    def rows(self, _nuisance: Computed, splits: Splits) -> Splits:
        return splits


def _out_of_fold(wanted: Nuisance, b: Feedback, job: Job) -> Tensor:
    """P(target) of each row by a fit of x on the other half of the prompts, calibrated by Platt."""
    carries = torch.zeros(len(b))
    carries[wanted.where(b)] = 1.0
    target = wanted.target(b) * carries
    supervised = Feedback(b.x, target, carries, group=b.group)
    fold, p = fold_of(len(b), 2, job.seed, b.group), torch.empty(len(b))
    for k in (0, 1):
        there, here = (fold == k).nonzero().squeeze(-1), (fold != k).nonzero().squeeze(-1)
        train, val = supervised[here].split(0.2, job.seed)
        model = fit("naive", train, val, seed=job.seed, **job.train)
        held, said = model.score_features(val.x).reward, model.score_features(b.x[there]).reward
        assert held is not None
        assert said is not None
        seen = val.seen > 0
        slope, offset = platt(held[seen], val.y[seen])
        p[there] = torch.sigmoid(slope * said + offset)
    return p
