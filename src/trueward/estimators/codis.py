"""CoDis: co-teaching that prefers rows on which the two networks differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.declarations import ForgetRamp, ForgetRate
from trueward.estimation.losses import bce, entropy, masked_mean, mean_logit, smallest
from trueward.estimation.method import Method
from trueward.estimation.reward_form import MeanProbability
from trueward.estimation.samplers import observed

if TYPE_CHECKING:
    from torch import Tensor


class CoDis(Method):
    """L = mean over K' of k(s) + mean over K of k(s'), k(s) = l(s, r) - weight JS, K the smallest k(s).

    JS = H((p + p')/2) - (H(p) + H(p'))/2: Jensen-Shannon divergence of the two probabilities, in nats, with
    the other network held fixed. s, K, K', F and n as in co_teaching; n counts rated rows. penalise=false
    trains on plain l(s, r), as the authors' code does.
    """

    forget: ForgetRate = 0.2
    ramp: ForgetRamp = 0.25
    weight: Annotated[float, Opt("weight of the Jensen-Shannon divergence", 0)] = 0.1
    penalise: Annotated[bool, Opt("train on k, too; false: k only selects rows")] = True

    paper = "Xia et al., ICCV 2023"
    variants = ({}, {"penalise": False})

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o"})

    @property
    def heads(self) -> dict[str, str]:
        return {"reward": "x", "peer": "x"}

    def reward_form(self) -> MeanProbability:
        return MeanProbability(("reward", "peer"))

    def rows(self, data: Feedback) -> Tensor:
        return observed(data)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        share = 1 - self.forget * min(1.0, b.t / self.ramp)
        s, v = out.reward, out.peer
        loss, peer_loss = self.key(s, v.detach(), b.y), self.key(v, s.detach(), b.y)
        easy, peer_easy = smallest(loss, b.seen, share), smallest(peer_loss, b.seen, share)
        if not self.penalise:
            loss, peer_loss = bce(s, b.y), bce(v, b.y)
        return masked_mean(loss, peer_easy) + masked_mean(peer_loss, easy)

    def key(self, s: Tensor, other: Tensor, y: Tensor) -> Tensor:
        """Return k of every row: small where the label fits and the networks differ."""
        divergence = entropy(mean_logit(s, other)) - (entropy(s) + entropy(other)) / 2
        return bce(s, y) - self.weight * divergence
