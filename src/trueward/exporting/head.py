"""One linear head on a language model's activations: folded, or distilled where it must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from scipy.stats import spearmanr
from torch import Tensor

from trueward.core.errors import TruewardError

from .to_networks import networks_of, rewards

if TYPE_CHECKING:
    from trueward.model.reward_model import RewardModel

FEWEST = 200  # responses that a head is distilled from
LOST = 0.02  # of sd(r) that absorbing the constant may cost
RIDGES = tuple(10.0**k for k in range(-4, 4))


@dataclass(frozen=True)
class Head:
    """z = w . h and r = z + c, (d,) and a number; how they came about."""

    w: Tensor
    c: float
    home: str  # of the constant: absorbed (c is 0, because w makes it), or card
    absorb_rmse: float
    kind: str  # linear: as it was fitted; distilled: from what was fitted
    rank: float = 1.0  # rank correlation with the model on responses the head was not fitted on

    def of(self, h: Tensor) -> Tensor:
        """R of activations, float64 (n,)."""
        return h.double() @ self.w.double() + self.c


def head_of(model: RewardModel, h: Tensor, *, distil: bool) -> Head:
    """Fold standardisation into the head: w' = w / sd, c = b - sum w mu / sd; or fit one to what it says.

    ``h``, (n, d), are activations of reference responses. A head with hidden layers, several members or a
    composed reward is no linear one, and is refused unless ``distil``.
    """
    exact = linear(model, h)
    if exact is not None:
        return _absorbed(*exact, h, "linear", 1.0)
    if not distil:
        raise TruewardError(
            f"the reward of {model.method} is no linear head (it has hidden layers, members or is composed), "
            "and stock loaders take nothing else: fit with --tune or -o hidden=, export with --distil, or "
            "let the folder bring code of its own with --allow-remote-code"
        )
    return distilled(model, h)


def linear(model: RewardModel, h: Tensor) -> tuple[Tensor, float] | None:
    """(w, c) of a reward w . h + c; None where it is more than that."""
    found = networks_of(model, h)
    layers = None if found is None else found.plain()
    if found is None or layers is None or len(layers.weights) > 1:
        return None
    w = layers.weights[0][0, :, 0] * found.scale
    return torch.from_numpy(w), float(layers.biases[0].sum() - w @ found.mean)


def distilled(model: RewardModel, h: Tensor) -> Head:
    """Fit a linear head to what the model says of (n, d) reference activations."""
    if len(h) < FEWEST:
        raise TruewardError(
            f"distilling takes at least {FEWEST} reference responses, and {len(h)} were given"
        )
    w, c, rank = _distilled(h.double(), torch.from_numpy(rewards(model, h)))
    return _absorbed(w, c, h, "distilled", rank)


def _distilled(h: Tensor, r: Tensor) -> tuple[Tensor, float, float]:
    """Ridge of r on h, the ridge chosen on every fifth row; the rank correlation there."""
    held = torch.arange(len(h)) % 5 == 0
    mean, sd = h[~held].mean(0), h[~held].std(0).clamp(min=1e-9)
    x, y = (h - mean) / sd, r - r[~held].mean()
    left, size, right = torch.linalg.svd(x[~held], full_matrices=False)
    best: tuple[float, Tensor] | None = None
    for ridge in RIDGES:
        w = right.T @ (size / (size**2 + ridge * len(x)) * (left.T @ y[~held]))
        loss = float((x[held] @ w - y[held]).square().mean())
        if best is None or loss < best[0]:
            best = loss, w
    assert best is not None
    w = best[1]
    rank = float(spearmanr((x[held] @ w).numpy(), r[held].numpy()).statistic)
    return w / sd, float(r[~held].mean() - (w / sd * mean).sum()), rank


def _absorbed(w: Tensor, c: float, h: Tensor, kind: str, rank: float) -> Head:
    """w + c v with v . h near 1 (ridge), where that costs next to nothing; else c stays outside."""
    x = h.double()
    gram = x.T @ x + 1e-6 * x.square().mean() * torch.eye(x.shape[1], dtype=torch.float64)
    v = torch.linalg.solve(gram, x.sum(0))
    r = x @ w + c
    rmse = float((abs(c) * (x @ v - 1).square().mean().sqrt()) / r.std().clamp(min=1e-12))
    if rmse <= LOST:
        return Head(w + c * v, 0.0, "absorbed", rmse, kind, rank)
    return Head(w, c, "card", rmse, kind, rank)
