"""ILDE: regularise predictions by a memory of earlier predictions of the row and of its class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce, masked_mean
from trueward.estimation.method import Method
from trueward.estimation.samplers import observed

if TYPE_CHECKING:
    from torch import Tensor

SMALL = 1e-4


class ILDE(Method):
    """L = mean_O CE(P, r) + alpha mean_O log(1 - <t, P>) + delta sum_{j != k} M_jk^2.

    s: reward logit; r: rating; mean_O: over rated rows; P = (1 - sigmoid(s), sigmoid(s)) in [1e-4, 1 - 1e-4];
    M: the row-normalised P'P of the rated rows of the batch; t <- beta t + (1 - beta) softmax(P M' / tau): a
    memory of every row, which starts at 0. The original renews t with every batch; here it is renewed after
    every epoch, with the M of all rated rows. Early stopping is on the loss without its second term, since
    validation rows have no memory.
    """

    alpha: Annotated[float, Opt("weight of the agreement with the memory", 0)] = 3.0
    beta: Annotated[
        float, Opt("share of the memory that an update keeps", 0, 1, open_high=True)
    ] = 0.7
    tau: Annotated[float, Opt("temperature of the memory", 0, open_low=True)] = 3.0
    delta: Annotated[float, Opt("weight of the overlap of the classes", 0)] = 1.0

    paper = "Liao et al., IJCV 2024, arXiv 2212.08380"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o"})

    def rows(self, data: Feedback) -> Tensor:
        return observed(data)

    def init_memory(self, data: Feedback) -> Columns:
        return Columns(was_bad=torch.zeros_like(data.y), was_good=torch.zeros_like(data.y))

    def update_memory(self, out: Columns, b: Feedback) -> Columns:
        p = class_probabilities(out.reward)
        new = torch.softmax(p @ class_overlap(p, b.seen).T / self.tau, 1)
        old = torch.stack([b.eta.was_bad, b.eta.was_good], 1)
        bad, good = (self.beta * old + (1 - self.beta) * new).unbind(1)
        return Columns(was_bad=bad, was_good=good)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        p = class_probabilities(out.reward)
        agreement = p[:, 0] * b.eta.was_bad + p[:, 1] * b.eta.was_good
        return self.monitor(out, b) + self.alpha * masked_mean((1 - agreement).log(), b.seen)

    def monitor(self, out: Columns, b: Feedback) -> Tensor:
        p = class_probabilities(out.reward)
        m = class_overlap(p, b.seen)
        fit = masked_mean(bce(torch.logit(p[:, 1]), b.y), b.seen)
        return fit + self.delta * (m[0, 1].square() + m[1, 0].square())


def class_probabilities(s: Tensor) -> Tensor:
    """Return (n, 2): P(bad) and P(good), held in [1e-4, 1 - 1e-4], from logits (n,).

    Parameters
    ----------
    s : Tensor, shape (n,)
        Logits of P(good).

    Returns
    -------
    Tensor, shape (n, 2)
        P(bad) and P(good).

    """
    good = torch.sigmoid(s).clamp(SMALL, 1 - SMALL)
    return torch.stack([1 - good, good], 1)


def class_overlap(p: Tensor, where: Tensor) -> Tensor:
    """Return (2, 2) M, row-normalised p'p of the rows of ``where``, from probabilities (n, 2).

    Parameters
    ----------
    p : Tensor, shape (n, 2)
        P(bad) and P(good).
    where : Tensor, shape (n,)
        1 or True for the rows that count.

    Returns
    -------
    Tensor, shape (2, 2)
        M; each of its rows sums to 1.

    """
    m = (p * where[:, None].to(p)).T @ p
    return m / m.sum(1, keepdim=True).clamp(min=1e-12)
