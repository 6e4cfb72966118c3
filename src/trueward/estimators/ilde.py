"""ILDE: predictions are held to what the row, and rows like it, have been predicted before."""

from typing import Annotated

import torch
from torch import Tensor

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce, masked_mean
from trueward.estimation.method import Method
from trueward.estimation.samplers import observed

SMALL = 1e-4


class ILDE(Method):
    """L = mean_O CE(P, r) + alpha mean_O log(1 - <t, P>) + delta sum_{j != k} M_jk^2.

    P = (1 - sigmoid(s), sigmoid(s)) in [1e-4, 1 - 1e-4]; M the row-normalised P'P of the rated rows of the
    batch; t <- beta t + (1 - beta) softmax(P M' / tau), a memory of every row that starts at 0. The original
    renews t with every batch, here after every epoch, with the M of all rated rows. Stops on the
    loss without its second term, for which validation rows have no memory.
    """

    alpha: Annotated[float, Opt("weight of the agreement with the memory", 0)] = 3.0
    beta: Annotated[float, Opt("how much of the memory is kept", 0, 1, open_high=True)] = 0.7
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
        p = classes(out.reward)
        new = torch.softmax(p @ overlap(p, b.seen).T / self.tau, 1)
        old = torch.stack([b.eta.was_bad, b.eta.was_good], 1)
        bad, good = (self.beta * old + (1 - self.beta) * new).unbind(1)
        return Columns(was_bad=bad, was_good=good)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        p = classes(out.reward)
        agreed = p[:, 0] * b.eta.was_bad + p[:, 1] * b.eta.was_good
        return self.monitor(out, b) + self.alpha * masked_mean((1 - agreed).log(), b.seen)

    def monitor(self, out: Columns, b: Feedback) -> Tensor:
        p = classes(out.reward)
        m = overlap(p, b.seen)
        fit = masked_mean(bce(torch.logit(p[:, 1]), b.y), b.seen)
        return fit + self.delta * (m[0, 1].square() + m[1, 0].square())


def classes(s: Tensor) -> Tensor:
    """(n, 2): P(bad), P(good), neither of them certain."""
    good = torch.sigmoid(s).clamp(SMALL, 1 - SMALL)
    return torch.stack([1 - good, good], 1)


def overlap(p: Tensor, where: Tensor) -> Tensor:
    """(2, 2) M: how much of class k there is where class j is predicted."""
    m = (p * where[:, None].to(p)).T @ p
    return m / m.sum(1, keepdim=True).clamp(min=1e-12)
