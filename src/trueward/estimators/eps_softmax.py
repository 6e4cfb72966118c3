"""Epsilon-softmax: bounds the loss of labels that the model disagrees with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import masked_mean
from trueward.estimation.method import Method
from trueward.estimation.samplers import observed

if TYPE_CHECKING:
    from torch import Tensor

SMALL = 1e-8


class EpsSoftmax(Method):
    """L = mean over rated rows of -alpha log P~_r + beta 2 (1 - P_r), P~ = (P + m e_top) / (1 + m).

    s: reward logit; r: rating; P = (1 - sigmoid(s), sigmoid(s)); e_top: one-hot vector of the larger part
    of P; P~ is at least 1e-8. The second term is symmetric. With a large m the first term has a gradient
    only where the model disagrees with the label. The probabilities are over-confident.
    """

    m: Annotated[float, Opt("weight of the one-hot part", 0)] = 1e4
    alpha: Annotated[float, Opt("weight of the cross-entropy", 0)] = 0.05
    beta: Annotated[float, Opt("weight of the absolute error", 0)] = 1.0

    paper = "Wang et al., NeurIPS 2024, arXiv 2508.02387"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o"})

    @property
    def assumption(self) -> str:
        return (
            "feedback is given completely at random, good and bad answers are flipped at the same rate "
            "below one half, and only the likelier class is used, not its probability"
        )

    def rows(self, data: Feedback) -> Tensor:
        return observed(data)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        up = out.reward > 0
        good, bad = torch.sigmoid(out.reward), torch.sigmoid(-out.reward)
        cost = b.y * self.cost(good, up) + (1 - b.y) * self.cost(bad, ~up)
        return masked_mean(cost, b.seen)

    def cost(self, p: Tensor, top: Tensor) -> Tensor:
        """Return the cost of observing a class of probability ``p``; ``top``: it is the likelier class."""
        softened = (p + self.m * top) / (1 + self.m)
        return 2 * self.beta * (1 - p) - self.alpha * softened.clamp(min=SMALL).log()
