"""A reward as one linear head, exact or distilled, and its constant in the weights where that is cheap."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from scipy.stats import spearmanr

from trueward.core.errors import TruewardError
from trueward.data.splits import fold_of

from .to_networks import model_logits, networks_of

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.model.reward_model import RewardModel

MIN_REFERENCE = 200  # responses on which anything is fitted for an export
MIN_PROMPTS = 20  # different prompts among them
MAX_ABSORB_RMSE = 0.02  # of sd(r), on held-out rows: the cost at which the constant is absorbed
MAX_ABSORB_WORST = 0.1  # of sd(r), on the worst held-out row
FOLDS = 5
PENALTIES = tuple(10.0**k for k in range(-8, 4))


@dataclass(frozen=True)
class LinearHead:
    """r = z + c, z = w . h."""

    #: w, (d,) float64
    weight: Tensor
    #: c; 0 where w absorbs it
    constant: float
    #: ``absorbed`` into w, or kept in the ``card``
    constant_home: str
    #: root mean square error on held-out rows that absorbing costs, in sd(r); None where it was not measured
    absorb_rmse: float | None
    #: the largest such error
    absorb_worst: float | None
    #: ``linear`` as fitted, or ``distilled`` from the rewards of the model
    kind: str
    #: Spearman correlation with the model on held-out reference responses
    rank_correlation: float = 1.0
    #: mean and sd of the rewards of the model, where r is (reward - mean) / sd
    mean: float = 0.0
    std: float = 1.0

    def rewards(self, features: Tensor) -> Tensor:
        """Return r, (n,) float64, of (n, d) features."""
        return features.double() @ self.weight.double() + self.constant


def linear_head(
    model: RewardModel,
    features: Tensor,
    group: Tensor,
    *,
    distil: bool,
    normalize: bool = False,
) -> LinearHead:
    """Fold the standardisation into a linear reward: w' = w / sd, c = b - sum_j w_j mu_j / sd_j.

    Parameters
    ----------
    model : RewardModel
        The model.
    features : Tensor of shape (n, d)
        Features of reference responses.
    group : Tensor of shape (n,)
        Number of each row's prompt.
    distil : bool
        Fit a linear head to a reward that is not linear.
    normalize : bool, default=False
        Give (reward - mean) / sd, with the mean and the standard deviation of the reference responses.

    Returns
    -------
    LinearHead
        The head. The constant is absorbed where that costs at most 2 % of sd(r), and 10 % in the worst row,
        on held-out prompts.

    Raises
    ------
    TruewardError
        If the reward has hidden layers, several members or is composed, unless ``distil``.

    """
    exact = exact_linear(model, features)
    if exact is None and not distil:
        raise TruewardError(
            f"stock loaders take one linear head, and the reward of {model.method} is none (hidden layers, "
            "members or nuisances): fit with --tune or -o hidden=, or add --distil or --allow-remote-code"
        )
    head = (
        distilled_head(model, features, group)
        if exact is None
        else LinearHead(*exact, "card", None, None, "linear")
    )
    return _absorbed(normalised(head, features) if normalize else head, features, group)


def normalised(head: LinearHead, features: Tensor) -> LinearHead:
    """Return the head of (reward - mean) / sd, with mean and sd of the rewards of (n, d) features."""
    rewards = head.rewards(features)
    mean, std = float(rewards.mean()), max(float(rewards.std()), 1e-12)
    constant = (head.constant - mean) / std
    return replace(head, weight=head.weight / std, constant=constant, mean=mean, std=std)


def exact_linear(model: RewardModel, features: Tensor) -> tuple[Tensor, float] | None:
    """Return (w, c) of a reward that is w . h + c; None for any other reward."""
    networks = networks_of(model, features)
    layers = None if networks is None else networks.single_mlp()
    if networks is None or layers is None or len(layers.weights) > 1:
        return None
    w = layers.weights[0][0, :, 0] * networks.scale
    return torch.from_numpy(w), float(layers.biases[0].sum() - w @ networks.mean)


def distilled_head(model: RewardModel, features: Tensor, group: Tensor) -> LinearHead:
    """Fit a linear head to the rewards of a model by ridge regression.

    Parameters
    ----------
    model : RewardModel
        The model.
    features : Tensor of shape (n, d)
        Features of at least 200 reference responses to at least 20 prompts.
    group : Tensor of shape (n,)
        Number of each row's prompt. The rank correlation is that of rows whose prompts neither fitted the
        head nor chose its penalty.

    Returns
    -------
    LinearHead
        The head, with its constant apart.

    Raises
    ------
    TruewardError
        If there are fewer responses or prompts.

    """
    few = _too_few(group, MIN_REFERENCE)
    if few:
        raise TruewardError(f"--distil needs {few}: add --reference")
    rewards = torch.from_numpy(model_logits(model, features))
    w, c, held_out = _cross_fitted(features.double(), rewards, group, intercept=True)
    rank = float(spearmanr(held_out.numpy(), rewards.numpy()).statistic)
    return LinearHead(w, c, "card", None, None, "distilled", rank)


def _absorbed(head: LinearHead, features: Tensor, group: Tensor) -> LinearHead:
    """Replace w by w + c v with v . h near 1 where held-out rows show that this is cheap."""
    h, c = features.double(), head.constant
    if c == 0:
        return LinearHead(head.weight, 0.0, "absorbed", 0.0, 0.0, head.kind, head.rank_correlation)
    if _too_few(group, max(MIN_REFERENCE, h.shape[1])):
        return head
    v, _, held_out = _cross_fitted(h, torch.ones_like(h[:, 0]), group, intercept=False)
    error = (abs(c) / head.rewards(h).std().clamp(min=1e-12)) * (held_out - 1).abs()
    rmse, worst = float(error.square().mean().sqrt()), float(error.max())
    cheap = rmse <= MAX_ABSORB_RMSE and worst <= MAX_ABSORB_WORST
    measured = replace(head, absorb_rmse=rmse, absorb_worst=worst)
    if not cheap:
        return measured
    return replace(measured, weight=head.weight + c * v, constant=0.0, constant_home="absorbed")


def _too_few(group: Tensor, rows: int) -> str:
    """Words for what is missing where there are fewer rows or prompts; else nothing."""
    prompts = len(group.unique())
    if len(group) >= rows and prompts >= MIN_PROMPTS:
        return ""
    return f"{rows} reference responses to {MIN_PROMPTS} prompts, found {len(group)} responses to {prompts}"


def _cross_fitted(
    h: Tensor, y: Tensor, group: Tensor, *, intercept: bool
) -> tuple[Tensor, float, Tensor]:
    """Ridge regression of y on h: w, c, and predictions (n,) of rows by fits that never saw their prompts.

    One fold is predicted, the next chooses the penalty, and the others are fitted. The last fit takes all
    rows, with the penalty of the smallest error over all choosing folds.
    """
    fold = fold_of(len(h), FOLDS, 0, group)
    held_out, errors = torch.empty_like(y), torch.zeros(len(PENALTIES), dtype=torch.float64)
    for k in range(FOLDS):
        test, choose = fold == k, fold == (k + 1) % FOLDS
        rest = ~(test | choose)
        fits = _ridge(h[rest], y[rest], intercept=intercept)
        found = torch.stack([(h[choose] @ w + c - y[choose]).square().sum() for w, c in fits])
        errors += found
        w, c = fits[int(found.argmin())]
        held_out[test] = h[test] @ w + c
    w, c = _ridge(h, y, intercept=intercept)[int(errors.argmin())]
    return w, c, held_out


def _ridge(h: Tensor, y: Tensor, *, intercept: bool) -> list[tuple[Tensor, float]]:
    """Return (w, c) for every penalty; with an intercept, of centred and scaled columns, else c = 0."""
    centre = h.mean(0) if intercept else torch.zeros_like(h[0])
    scale = h.std(0).clamp(min=1e-9) if intercept else torch.ones_like(h[0])
    level = y.mean() if intercept else torch.zeros_like(y[0])
    x = (h - centre) / scale
    n, d = x.shape
    gram = x.T @ x if d <= n else x @ x.T
    right = x.T @ (y - level) if d <= n else y - level
    unit = x.square().sum() / d * torch.eye(len(gram), dtype=x.dtype)
    fits = []
    for penalty in PENALTIES:
        w = torch.linalg.solve(gram + penalty * unit, right)
        w = (w if d <= n else x.T @ w) / scale
        fits.append((w, float(level - w @ centre)))
    return fits
