"""CoDis: co-teaching that prefers rows on which the two networks differ."""

from typing import Annotated

from torch import Tensor

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce, entropy, masked_mean, mean_logit, smallest
from trueward.estimation.method import Method
from trueward.estimation.reward_form import MeanProbability
from trueward.estimation.samplers import observed


class CoDis(Method):
    """L = mean over K' of k(s) + mean over K of k(s'), k(s) = l(s, r) - weight JS, K the smallest k(s).

    JS = H((p + p')/2) - (H(p) + H(p'))/2 of the two probabilities, in nats, the other network held fixed.
    K, K', F and n as in co_teaching, n counted over rated rows. penalise=false trains on plain l(s, r),
    as the authors' code does.
    """

    forget: Annotated[
        float, Opt("share of the rows dropped: the share of wrong labels", 0, 1, open_high=True)
    ] = 0.2
    ramp: Annotated[
        float, Opt("share of the training until that many are dropped", 0, 1, open_low=True)
    ] = 0.25
    weight: Annotated[float, Opt("of the Jensen-Shannon divergence", 0)] = 0.1
    penalise: Annotated[bool, Opt("also train on k; otherwise it only selects")] = True

    paper = "Xia et al., ICCV 2023"
    variants = ({}, {"penalise": False})

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o"})

    @property
    def heads(self) -> dict[str, str]:
        return {"reward": "x", "peer": "x"}

    def rows(self, data: Feedback) -> Tensor:
        return observed(data)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        share = 1 - self.forget * min(1.0, b.t / self.ramp)
        s, v = out.reward, out.peer
        mine, other = self.key(s, v.detach(), b.y), self.key(v, s.detach(), b.y)
        easy, easy_other = smallest(mine, b.seen, share), smallest(other, b.seen, share)
        if not self.penalise:
            mine, other = bce(s, b.y), bce(v, b.y)
        return masked_mean(mine, easy_other) + masked_mean(other, easy)

    def key(self, s: Tensor, other: Tensor, y: Tensor) -> Tensor:
        """What a row is chosen by: small where its label fits and the networks differ."""
        apart = entropy(mean_logit(s, other)) - (entropy(s) + entropy(other)) / 2
        return bce(s, y) - self.weight * apart

    def reward_form(self) -> MeanProbability:
        return MeanProbability(("reward", "peer"))
