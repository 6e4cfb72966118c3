"""Co-teaching: two networks, each trained on the rows with the smallest loss under the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.data.feedback import Columns, Feedback
from trueward.estimation.declarations import ForgetRamp, ForgetRate
from trueward.estimation.losses import bce, masked_mean, smallest
from trueward.estimation.method import Method
from trueward.estimation.reward_form import MeanProbability
from trueward.estimation.samplers import observed

if TYPE_CHECKING:
    from torch import Tensor


class CoTeaching(Method):
    """L = mean over K' of l(s, r) + mean over K of l(s', r), K the ceil((1 - F) n) smallest l(s, r).

    s, s': logits of two networks; r: rating; l: cross-entropy; n: number of rated rows of the batch; K' is
    selected by s' in the same way. F rises from 0 to ``forget`` over the first ``ramp`` of the training. The
    authors' code counts n over all rows of the batch and so drops almost none. The reward is the mean of the
    two probabilities.
    """

    forget: ForgetRate = 0.2
    ramp: ForgetRamp = 0.25

    paper = "Han et al., NeurIPS 2018"

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
        loss, peer_loss = bce(out.reward, b.y), bce(out.peer, b.y)
        easy, peer_easy = smallest(loss, b.seen, share), smallest(peer_loss, b.seen, share)
        return masked_mean(loss, peer_easy) + masked_mean(peer_loss, easy)
