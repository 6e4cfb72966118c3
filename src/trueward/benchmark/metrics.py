"""Metrics of a job: of a fitted model, and of the estimated loss of synthetic predictions.

For synthetic predictions (`trueward.simulation.predictions`) the metric is |L^ - L| / L. L = mean l(s, r*)
is the true loss over the log, and L^ the method's loss on the feedback. Nuisances are known (if the entry
says so) or estimated out of fold; no model is trained on the feedback.
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
from trueward.evaluation.measure import measure
from trueward.fitting.fit import configure, fit
from trueward.model.nuisance_columns import fill_nuisances
from trueward.simulation import PREDICTIONS

from .draw import labels, options_of
from .entries import CLEAN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trueward.data.feedback import Labelled
    from trueward.estimation.nuisance_types import Derived, Parameters
    from trueward.model.nuisance_columns import Splits
    from trueward.model.reward_model import RewardModel

    from .draw import Draw
    from .jobs import Job

#: Metrics of a fit.
METRICS = ("auroc", "pair_accuracy", "r2", "brier", "nll", "ece", "mae", "bias")
#: R2 after Platt scaling on the gold labels of the log.
ON_GOLD = "r2_gold"
#: Metric that the papers' code maximises on the test set.
ON_TEST = "r2"


def scaled_on_gold(model: RewardModel, draw: Draw, test: Labelled) -> dict[str, float | None]:
    """Return R2 of sigmoid(a score + b), with a and b fitted on the gold labels of the log.

    Platt scaling does not change the ranking.

    Parameters
    ----------
    model : RewardModel
        A fitted model.
    draw : Draw
        The draw, with the gold labels.
    test : Labelled
        The test set.

    Returns
    -------
    dict of str to float or None
        ``r2_gold``; empty without gold labels; None if a score is not finite.

    """
    x, label, weight = draw.gold()
    if not len(label):
        return {}
    on_gold, on_test = model.score_features(x).reward, model.score_features(test.x).reward
    if on_gold is None or on_test is None or test.r is None or not on_gold.isfinite().all():
        return {ON_GOLD: None}
    slope, offset = platt(on_gold, label, weight)
    p = torch.sigmoid(slope * on_test.double() + offset)
    counted = None if test.weight is None else test.weight.numpy()
    return {ON_GOLD: measure(p.numpy(), r=test.r.numpy(), weight=counted, draws=0)["r2"].value}


def loss_errors(job: Job, draw: Draw) -> dict[str, float] | str:
    """Return the relative error of the estimated loss on the training rows.

    Parameters
    ----------
    job : Job
        The job.
    draw : Draw
        Its draw.

    Returns
    -------
    dict of str to float, or str
        Error for each kind of predictions and their mean, or the reason why there is none.

    """
    rating = draw.truth_train.rating.double().numpy()
    if len(rating) != len(draw.train):
        return "needs the true rating of every row, and this log is real"
    estimate = _estimator(job, draw)
    if isinstance(estimate, str):
        return estimate
    result = {}
    for name, predict in PREDICTIONS.items():
        p = torch.from_numpy(predict(rating, numpy_stream(job.seed, "predictions", name)))
        s = torch.logit(p).float()
        ideal = float(bce(s, draw.truth_train.label).mean())
        if not math.isfinite(estimated := estimate(s)):
            raise TruewardError(
                f"the loss of {job.method.label} on the predictions {name} is not finite"
            )
        result[name.lower()] = abs(estimated - ideal) / ideal
    return {"mean": sum(result.values()) / len(result), **result}


def _estimator(job: Job, draw: Draw) -> Callable[[Tensor], float] | str:
    """Return the function from logits to the estimated loss, or the reason why there is none."""
    label, options = draw.truth_train.label, options_of(job.method, draw)
    if isinstance(options, str):
        return options
    try:
        method, _ = configure(job.method.method, {**job.train, **options})
    except UsageError as e:
        return str(e)
    if method.takes_truth:
        count = labels(draw.train) if job.method.name == CLEAN else len(label)
        order = numpy_stream(job.seed, "clean-mcar", 0).permutation(len(label))[:count]
        rows = torch.from_numpy(np.sort(order))
        return lambda s: float(bce(s[rows], label[rows]).mean())
    if method.composed:
        return "computes its score from nuisances and has no loss to estimate"
    if set(method.heads) != {"reward"}:
        return f"has heads of its own ({', '.join(method.heads)}), which synthetic predictions do not have"
    train, _ = draw.feedback(known="propensity" in job.method.known)
    if missing := lacking(method, LogCapabilities.from_feedback(train)):
        return f"needs {missing}"
    (filled,) = fill_nuisances(method.nuisances, (train,), _Estimates(job))
    b = replace(filled, x=filled.x[:, :0])
    return lambda s: float(method.loss(Columns(reward=s), b))


@dataclass(frozen=True)
class _Estimates:
    """Estimates of the nuisances that the log lacks, on its training rows."""

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


def _out_of_fold(nuisance: Nuisance, b: Feedback, job: Job) -> Tensor:
    """Return P(target | x), fitted on the other half of the prompts, after Platt scaling."""
    observed = torch.zeros(len(b))
    observed[nuisance.where(b)] = 1.0
    target = nuisance.target(b) * observed
    supervised = Feedback(b.x, target, observed, group=b.group)
    fold, p = fold_of(len(b), 2, job.seed, b.group), torch.empty(len(b))
    for k in (0, 1):
        held_out, rest = (fold == k).nonzero().squeeze(-1), (fold != k).nonzero().squeeze(-1)
        train, val = supervised[rest].split(0.2, job.seed)
        model = fit("naive", train, val, seed=job.seed, **job.train)
        on_val = model.score_features(val.x).reward
        scores = model.score_features(b.x[held_out]).reward
        assert on_val is not None
        assert scores is not None
        seen = val.seen > 0
        slope, offset = platt(on_val[seen], val.y[seen], val.row_weight[seen])
        p[held_out] = torch.sigmoid(slope * scores + offset)
    return p
