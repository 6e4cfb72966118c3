"""The reward of a model as networks on its features, and as one linear head."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

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
    from trueward.model.reward_model import RewardModel

    from .networks import Array

LOGIT_LIMIT = 20.7  # |reward| at most: P is held in [1e-9, 1 - 1e-9]
TOLERANCE = 1e-3  # of sd(reward), between the networks and the model
MIN_REFERENCE = 200  # responses that a distilled head is fitted on
MAX_ABSORB_RMSE = 0.02  # of sd(reward), the cost at which the constant is still absorbed
RIDGES = tuple(10.0**k for k in range(-4, 4))


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
    expected, rows = _rewards(model, features), features.double().numpy()
    carried = networks(rows).clip(-LOGIT_LIMIT, LOGIT_LIMIT)
    sd = max(expected.std(), 1e-9)
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


@dataclass(frozen=True)
class LinearHead:
    """r = z + c, z = w . h."""

    #: w, (d,) float64
    weight: Tensor
    #: c; 0 where w absorbs it
    constant: float
    #: ``absorbed`` into w, or kept in the ``card``
    constant_home: str
    #: root mean square error that absorbing the constant costs, in sd(r)
    absorb_rmse: float
    #: ``linear`` as fitted, or ``distilled`` from the rewards of the model
    kind: str
    #: Spearman correlation with the model on held-out reference responses
    rank_correlation: float = 1.0

    def rewards(self, features: Tensor) -> Tensor:
        """Return r, (n,) float64, of (n, d) features."""
        return features.double() @ self.weight.double() + self.constant


def linear_head(model: RewardModel, features: Tensor, *, distil: bool) -> LinearHead:
    """Fold the standardisation into a linear reward: w' = w / sd, c = b - sum_j w_j mu_j / sd_j.

    Parameters
    ----------
    model : RewardModel
        The model.
    features : Tensor of shape (n, d)
        Features of reference responses.
    distil : bool
        Fit a linear head to a reward that is not linear.

    Returns
    -------
    LinearHead
        The head. The constant is absorbed where that costs at most 2 % of sd(r).

    Raises
    ------
    TruewardError
        If the reward has hidden layers, several members or is composed, unless ``distil``.

    """
    exact = exact_linear(model, features)
    if exact is not None:
        return _with_constant(*exact, 1.0, features, "linear")
    if not distil:
        raise TruewardError(
            f"stock loaders take one linear head, and the reward of {model.method} is none (hidden layers, "
            "members or nuisances): fit with --tune or -o hidden=, or add --distil or --allow-remote-code"
        )
    return distilled_head(model, features)


def exact_linear(model: RewardModel, features: Tensor) -> tuple[Tensor, float] | None:
    """Return (w, c) of a reward that is w . h + c; None for any other reward."""
    networks = networks_of(model, features)
    layers = None if networks is None else networks.single_mlp()
    if networks is None or layers is None or len(layers.weights) > 1:
        return None
    w = layers.weights[0][0, :, 0] * networks.scale
    return torch.from_numpy(w), float(layers.biases[0].sum() - w @ networks.mean)


def distilled_head(model: RewardModel, features: Tensor) -> LinearHead:
    """Fit a linear head to the rewards of a model by ridge regression.

    Parameters
    ----------
    model : RewardModel
        The model.
    features : Tensor of shape (n, d)
        Features of at least 200 reference responses; every fifth one chooses the penalty.

    Returns
    -------
    LinearHead
        The head.

    """
    if len(features) < MIN_REFERENCE:
        raise TruewardError(
            f"--distil needs {MIN_REFERENCE} reference responses, found {len(features)}: add --reference"
        )
    rewards = torch.from_numpy(_rewards(model, features))
    return _with_constant(*_ridge(features.double(), rewards), features, "distilled")


def _rewards(model: RewardModel, h: Tensor) -> Array:
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


def _ridge(h: Tensor, r: Tensor) -> tuple[Tensor, float, float]:
    """Ridge regression of r on h: w, c and the Spearman correlation on every fifth, held-out row."""
    held = torch.arange(len(h)) % 5 == 0
    mean, sd = h[~held].mean(0), h[~held].std(0).clamp(min=1e-9)
    x, y = (h - mean) / sd, r - r[~held].mean()
    left, size, right = torch.linalg.svd(x[~held], full_matrices=False)
    fits = [right.T @ (size / (size**2 + ridge * len(x)) * (left.T @ y[~held])) for ridge in RIDGES]
    w = min(fits, key=lambda w: float((x[held] @ w - y[held]).square().mean()))
    rank = float(spearmanr((x[held] @ w).numpy(), r[held].numpy()).statistic)
    return w / sd, float(r[~held].mean() - (w / sd * mean).sum()), rank


def _with_constant(w: Tensor, c: float, rank: float, h: Tensor, kind: str) -> LinearHead:
    """Replace w by w + c v with v . h near 1 (ridge) where that is cheap; else keep c outside."""
    x = h.double()
    gram = x.T @ x + 1e-6 * x.square().mean() * torch.eye(x.shape[1], dtype=torch.float64)
    v = torch.linalg.solve(gram, x.sum(0))
    r = x @ w + c
    rmse = float((abs(c) * (x @ v - 1).square().mean().sqrt()) / r.std().clamp(min=1e-12))
    if rmse <= MAX_ABSORB_RMSE:
        return LinearHead(w + c * v, 0.0, "absorbed", rmse, kind, rank)
    return LinearHead(w, c, "card", rmse, kind, rank)
