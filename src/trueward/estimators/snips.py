"""Self-normalised inverse propensity scoring."""

from dataclasses import replace
from typing import Annotated

from torch import Tensor

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce, weighted_mean
from trueward.estimation.method import Claims, Method
from trueward.estimation.nuisance_types import Nuisance
from trueward.estimation.nuisances import PropensityFrom, propensity
from trueward.estimation.samplers import observed


class SNIPS(Method):
    """L = sum of w l(s, r) / sum of w, with w = o / p and p = max(P(o=1 given x, z), clip).

    Consistent rather than unbiased; does not change when all propensities are scaled.
    """

    clip: Annotated[float, Opt("propensities are raised to this", 0, 1, open_low=True)] = 0.01
    propensity_from: PropensityFrom = "xz"

    paper = "Swaminathan and Joachims, NeurIPS 2015"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o"})

    @property
    def nuisances(self) -> tuple[Nuisance, ...]:
        return (replace(propensity, clip=self.clip, reads=self.propensity_from),)

    @property
    def consistent_if(self) -> Claims:
        return (frozenset({"propensity"}),)

    @property
    def assumption(self) -> str:
        return (
            "whether feedback is given depends on the features and the context only, not on how good "
            "the answer is beyond them; the propensity is right; feedback is never wrong"
        )

    def rows(self, data: Feedback) -> Tensor:
        return observed(data)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        return weighted_mean(bce(out.reward, b.y), b.seen / b.eta.propensity)
