"""A fitted model beside naive, on the ratings that were held out of its fit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

from trueward.core.errors import TruewardError
from trueward.core.influence import auroc_influence, clustered_error
from trueward.core.options import options
from trueward.data.capabilities import LogCapabilities
from trueward.data.splits import prompt_numbers
from trueward.estimation.requirements import lacking
from trueward.estimators.naive import Naive
from trueward.model.composed_model import ComposedModel
from trueward.training.config import Train

from .fit import fit
from .held_out import beside_naive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trueward.data.feedback import Feedback
    from trueward.model.reward_model import RewardModel
    from trueward.training.loop import Progress


def held_out_ranking(
    model: RewardModel,
    train: Feedback,
    val: Feedback,
    *,
    progress: Progress | None = None,
    **training: Any,
) -> dict[str, Any] | None:
    """Rank held-out rated responses by a model and by naive, fitted on the same rows.

    A model that holds naive's network as a nuisance is compared with that one; else naive is fitted here.

    Parameters
    ----------
    model : RewardModel
        The fitted model.
    train, val : Feedback
        Its training and validation rows.
    progress : callable, optional
        Reports the epochs of naive, as for `fit`.
    **training
        Options of the fit; naive takes those of `trueward.Train`.

    Returns
    -------
    dict or None
        What `beside_naive` returns, with ``auroc_low`` and ``auroc_high``, a 95 % interval clustered by
        prompt, and ``spread``, the standard deviation of P(preferred) on the validation rows. None where
        the log has no ratings, the model gives no reward, or the held-out ratings are of one class or of
        one prompt. A method that is fitted on gold labels reads those of ``val``, too, so rows with one are
        left out.

    """
    if "gold" in model.estimator.needs and val.gold is not None:
        val = val[val.gold.isnan().nonzero().squeeze(-1)]
    scores = model.score_features(val.x)
    if scores.reward is None or lacking(Naive(), LogCapabilities.from_feedback(train)) is not None:
        return None
    try:
        naive = _naive(model, train, val, training, progress).score_features(val.x).reward
    except TruewardError:  # the model stands; only the comparison is missing
        return None
    assert naive is not None
    compared = beside_naive(scores.reward, naive, val)
    if compared is None:
        return None
    rows = (val.seen > 0).nonzero().squeeze(-1).cpu()
    good = (val.y.cpu()[rows].numpy() > 0.5).astype(np.float64)
    _, unit = np.unique(prompt_numbers(len(val), val.group)[rows].numpy(), return_inverse=True)
    units = int(unit.max()) + 1
    ranking = auroc_influence(scores.reward.double().cpu().numpy()[rows], good)
    wide = float(stdtrit(units - 1, 0.975)) * clustered_error(
        ranking.at(good) / len(good), unit, units
    )
    ends = {
        "auroc_low": max(0.0, ranking.theta - wide),
        "auroc_high": min(1.0, ranking.theta + wide),
    }
    p = scores.preferred
    spread = 0.0 if p is None else float(p.double().std(correction=0))
    return compared | {k: round(v, 4) for k, v in ends.items()} | {"spread": round(spread, 4)}


def _naive(
    model: RewardModel,
    train: Feedback,
    val: Feedback,
    training: Mapping[str, Any],
    progress: Progress | None,
) -> RewardModel:
    """Return naive as the model holds it, or fit it with the options that are its own, too."""
    if model.method == Naive.name:
        return model
    held = model.net.parts.get(Naive.name) if isinstance(model.net, ComposedModel) else None
    if isinstance(held, tuple):
        return replace(model, estimator=Naive(), net=held[0], calibration=None)
    shared = {k: v for k, v in training.items() if k in options(Train)}
    return fit("naive", train, val, method_options=shared, progress=progress)
