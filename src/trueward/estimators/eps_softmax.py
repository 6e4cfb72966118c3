"""Epsilon-softmax: labels that the model agrees with hardly pull, those it does not are bounded."""

from typing import Annotated

import torch
from torch import Tensor

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import masked_mean
from trueward.estimation.method import Method
from trueward.estimation.samplers import observed

SMALL = 1e-8


class EpsSoftmax(Method):
    """L = mean over rated rows of -alpha log P~_r + beta 2 (1 - P_r), P~ = (P + m e_top) / (1 + m).

    P = (1 - sigmoid(s), sigmoid(s)), e_top one-hot at its larger part, P~ raised to 1e-8. The second term
    is the symmetric one; with a large m the first has a gradient only where the model disagrees. The
    probabilities come out over-confident.
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
            "below one half, and only the likelier class is asked for, not its probability"
        )

    def rows(self, data: Feedback) -> Tensor:
        return observed(data)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        up = out.reward > 0
        good, bad = torch.sigmoid(out.reward), torch.sigmoid(-out.reward)
        cost = b.y * self.cost(good, up) + (1 - b.y) * self.cost(bad, ~up)
        return masked_mean(cost, b.seen)

    def cost(self, p: Tensor, top: Tensor) -> Tensor:
        """Cost of a class of probability p where it was observed."""
        soft = (p + self.m * top) / (1 + self.m)
        return 2 * self.beta * (1 - p) - self.alpha * soft.clamp(min=SMALL).log()
