"""The reward of a model as networks on its features."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from trueward.core.errors import TruewardError
from trueward.estimation.method import Method
from trueward.estimation.reward_form import (
    EvidenceRegression,
    HeadLogit,
    MeanProbability,
    SegmentPlacement,
    SelectionMixture,
)
from trueward.model.composed_model import ComposedModel
from trueward.training.networks import SCALAR_RATE

from .composed_networks import (
    evidence_regression,
    layers_of,
    segment_placement,
    selection_mixture,
)
from .networks import Layers, Networks, Term

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.model.reward_model import RewardModel

    from .networks import Array

LOGIT_LIMIT = 20.7  # |reward| at most: P is held in [1e-9, 1 - 1e-9]
CONSTANT = 1e-6  # sd of a reward below which it is a constant
TOLERANCE = 1e-3  # of sd(reward), between the networks and the model


def networks_of(model: RewardModel, features: Tensor) -> Networks | None:
    """Return the networks that compute the reward which the method declares.

    Parameters
    ----------
    model : RewardModel
        The model, whose method declares in `reward_form` how the reward follows from its networks.
    features : Tensor of shape (n, d)
        Features of reference responses, on which networks and model are compared.

    Returns
    -------
    Networks or None
        None where the reward needs code: that of nuisances (`TargetColumn`), or a method's own ``reward``.

    Raises
    ------
    TruewardError
        If the networks differ from the model: the method computes another reward than it declares.

    """
    networks = _declared(model)
    if networks is None:
        return None
    expected, rows = model_logits(model, features), features.double().numpy()
    carried = networks(rows).clip(-LOGIT_LIMIT, LOGIT_LIMIT)
    sd = max(expected.std(), CONSTANT)
    gap = float(np.abs(carried - expected.clip(-LOGIT_LIMIT, LOGIT_LIMIT)).max(initial=0.0)) / sd
    if not gap <= TOLERANCE:
        raise TruewardError(
            f"the networks of {model.method} differ from its rewards by up to {gap:.2g} sd, and "
            f"{TOLERANCE:g} sd is allowed: correct reward_form() of the method, which declares "
            f"{model.estimator.reward_form()!r}"
        )
    return networks


def require_networks(model: RewardModel, features: Tensor) -> Networks:
    """Return `networks_of`; TruewardError for a reward that has no such form."""
    networks = networks_of(model, features)
    if networks is None:
        raise TruewardError(
            f"the reward of {model.method} needs the method's own code, which no folder carries: export with "
            "--distil, or use the fitted model itself"
        )
    return networks


def model_logits(model: RewardModel, h: Tensor) -> Array:
    """Return the logits (n,) float64 before calibration; TruewardError where there are none."""
    rewards = replace(model, calibration=None).score_features(h).reward
    if rewards is None:
        raise TruewardError(
            f"an export needs a score, and {model.method} identifies only an interval: fit another method"
        )
    return rewards.double().numpy()


def _declared(model: RewardModel) -> Networks | None:
    """Networks in the form that the method declares; None where the form names none."""
    net, form = model.net, model.estimator.reward_form()
    if type(model.estimator).reward is not Method.reward:
        return None  # the method computes its reward in code of its own
    standard = (
        model.standardizer.mean.numpy(),
        model.standardizer.scale.numpy(),
        model.standardizer.limit,
    )
    none = np.zeros(len(standard[0]))
    if isinstance(net, ComposedModel):
        if isinstance(form, EvidenceRegression):
            return evidence_regression(net, form, standard)
        if isinstance(form, SelectionMixture):
            return selection_mixture(net, form, standard)
        if not isinstance(form, SegmentPlacement):
            return None
        return segment_placement(net, form, standard)
    # a composed method may have trained a network of its own, whose head `reward` is the reward
    single = form if isinstance(form, HeadLogit) else HeadLogit()
    heads = form.heads if isinstance(form, MeanProbability) else (single.head,)
    parts = [layers_of(net, k) for k in heads]
    joined = Layers(
        tuple(map(np.concatenate, zip(*(p.weights for p in parts), strict=True))),
        tuple(map(np.concatenate, zip(*(p.biases for p in parts), strict=True))),
    )
    level: Any = 0.0
    if single.level is not None:
        level = SCALAR_RATE * net.numbers[single.level].detach().cpu().numpy()[:, 0]
    offset = np.tile(np.broadcast_to(level, (net.members,)), len(heads))
    term = Term("odds", ("reward",), 1.0)
    return Networks(*standard, {"reward": (joined,)}, (term,), offset, none)
