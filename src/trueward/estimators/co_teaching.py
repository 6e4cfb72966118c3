"""Co-teaching: two networks, each trained on the rows that the other finds easy."""

from typing import Annotated

from torch import Tensor

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce, masked_mean, smallest
from trueward.estimation.method import Method
from trueward.estimation.reward_form import MeanProbability
from trueward.estimation.samplers import observed


class CoTeaching(Method):
    """L = mean over K' of l(s, r) + mean over K of l(s', r), K the ceil((1 - F) n) smallest l(s, r).

    n counts the rated rows of the batch, K' is made from s' alike, F rises from 0 to ``forget`` over the
    first ``ramp`` of the training. The authors' code takes n over all rows of the batch, after which hardly
    anything is dropped. The answer is the mean of the two probabilities.
    """

    forget: Annotated[
        float, Opt("share of the rows dropped: the share of wrong labels", 0, 1, open_high=True)
    ] = 0.2
    ramp: Annotated[
        float, Opt("share of the training until that many are dropped", 0, 1, open_low=True)
    ] = 0.25

    paper = "Han et al., NeurIPS 2018"

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
        mine, other = bce(out.reward, b.y), bce(out.peer, b.y)
        easy, easy_other = smallest(mine, b.seen, share), smallest(other, b.seen, share)
        return masked_mean(mine, easy_other) + masked_mean(other, easy)

    def reward_form(self) -> MeanProbability:
        return MeanProbability(("reward", "peer"))
