"""The training loop that people write by hand: what `fit_speed` measures trueward against.

It follows the published stages of CausalRM: TensorDataset and DataLoader, features as one float32 tensor,
Adam at a constant rate for each stage, the whole validation set after each epoch, patience 30, the
best weights restored. No standardisation, no cross-fitting, no calibration.

Every stage stops on its own objective over the validation rows, which needs no clean label. The
authors stop the reward stage on its *training* loss, which goes on falling, so their runs are longer:
this choice is the shorter one for the loop. The propensity and the proxy are predicted once for all
rows, where the authors' code runs their networks again in every step: shorter again.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

BATCH, RATE, DECAY, PATIENCE = 512, 5e-4, 1e-6, 30
QUANTILE, CLIP = 0.97, 0.1

Loss = Callable[..., Tensor]  # (logits, *columns of the batch) -> scalar


def network(width: int) -> nn.Module:
    """The head of both papers: d-256-64-1 with LeakyReLU."""
    return nn.Sequential(
        nn.Linear(width, 256), nn.LeakyReLU(), nn.Linear(256, 64), nn.LeakyReLU(), nn.Linear(64, 1)
    )


def train_stage(
    name: str, loss: Loss, train: TensorDataset, val: TensorDataset, max_epochs: int, seed: int
) -> nn.Module:
    """Minimise ``loss`` over (x, *columns); keep the epoch that is best on the validation rows."""
    torch.manual_seed(seed)
    net = network(train.tensors[0].shape[1])
    optimiser = torch.optim.Adam(net.parameters(), lr=RATE, weight_decay=DECAY)
    loader = DataLoader(train, batch_size=BATCH, shuffle=True)
    best, lowest, waited, epoch = copy.deepcopy(net.state_dict()), math.inf, 0, 0
    while epoch < max_epochs and waited < PATIENCE:
        epoch += 1
        for x, *columns in loader:
            optimiser.zero_grad()
            loss(net(x).squeeze(-1), *columns).backward()
            optimiser.step()
        with torch.no_grad():
            x, *columns = val.tensors
            now = float(loss(net(x).squeeze(-1), *columns))
        if now < lowest:
            best, lowest, waited = copy.deepcopy(net.state_dict()), now, 0
        else:
            waited += 1
    print(f"  loop {name}: {epoch} epochs, best {epoch - waited}", file=sys.stderr, flush=True)
    net.load_state_dict(best)
    return net


def naive(
    x: Tensor, y: Tensor, o: Tensor, x_val: Tensor, y_val: Tensor, o_val: Tensor, epochs: int
) -> nn.Module:
    """Cross-entropy on rated rows."""
    train = TensorDataset(x[o == 1].float(), y[o == 1])
    val = TensorDataset(x_val[o_val == 1].float(), y_val[o_val == 1])
    return train_stage("reward", F.binary_cross_entropy_with_logits, train, val, epochs, seed=42)


def causalrm(
    x: Tensor, y: Tensor, o: Tensor, x_val: Tensor, y_val: Tensor, o_val: Tensor, epochs: int
) -> nn.Module:
    """Propensity, noise proxy, imputation, then the doubly robust backward surrogate."""
    x, x_val, seen, seen_val = x.float(), x_val.float(), o == 1, o_val == 1
    bce = F.binary_cross_entropy_with_logits
    rated = TensorDataset(x[seen], y[seen])
    rated_val = TensorDataset(x_val[seen_val], y_val[seen_val])
    squared = lambda s, t: F.mse_loss(torch.sigmoid(s), t)  # noqa: E731
    every, every_val = TensorDataset(x, o), TensorDataset(x_val, o_val)
    propensity = train_stage("propensity", squared, every, every_val, epochs, seed=42)
    proxy = train_stage("proxy", bce, rated, rated_val, epochs, seed=43)
    imputation = train_stage("imputation", bce, rated, rated_val, epochs, seed=44)

    def columns(x: Tensor, y: Tensor, o: Tensor) -> TensorDataset:
        with torch.no_grad():
            nets = (propensity, proxy, imputation)
            p, eta, m = (torch.sigmoid(net(x).squeeze(-1)) for net in nets)
        return TensorDataset(x, y, o, p.clamp(min=CLIP), eta, m)

    train, val = columns(x, y, o), columns(x_val, y_val, o_val)
    return train_stage("reward", doubly_robust, train, val, epochs, seed=45)


def doubly_robust(s: Tensor, y: Tensor, o: Tensor, p: Tensor, eta: Tensor, m: Tensor) -> Tensor:
    """L = mean e^ + o/p (l~ - e^), e^ = l(s, m), l~ the backward surrogate at this batch's rates."""
    rho_10, rho_01 = torch.quantile(eta, 1 - QUANTILE), 1 - torch.quantile(eta, QUANTILE)
    one, zero = F.softplus(-s), F.softplus(s)
    scale = (1 - rho_01 - rho_10).clamp(min=1e-6)
    good = ((1 - rho_10) * one - rho_01 * zero) / scale
    bad = ((1 - rho_01) * zero - rho_10 * one) / scale
    surrogate = torch.where(y == 1, good, bad)
    imputed = m * one + (1 - m) * zero
    return (imputed + o / p * (surrogate - imputed)).mean()


def predict(net: nn.Module, x: Tensor) -> Tensor:
    """(n,) P(preferred)."""
    with torch.no_grad():
        return torch.sigmoid(net(x.float()).squeeze(-1))
