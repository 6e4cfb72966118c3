"""Self-normalised inverse propensity scoring: weights 1 / P(rated), divided by their sum."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trueward.data.feedback import Columns, Feedback
from trueward.estimation.declarations import PropensityClip, PropensityFrom, missing_at_random
from trueward.estimation.losses import bce, weighted_mean
from trueward.estimation.method import Claims, Method
from trueward.estimation.nuisance_types import Nuisance
from trueward.estimation.nuisances import propensity
from trueward.estimation.samplers import observed

if TYPE_CHECKING:
    from torch import Tensor


class SNIPS(Method):
    """L = sum of w l(s, r) / sum of w, with w = o / p and p = max(P(o=1 given x, z), clip).

    s: reward logit; r: rating; o: 1 for rated rows; p: propensity given features x and context z; l:
    cross-entropy. Consistent, not unbiased; scaling all propensities changes nothing.
    """

    clip: PropensityClip = 0.01
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
        return missing_at_random("the propensity is right")

    def rows(self, data: Feedback) -> Tensor:
        return observed(data)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        return weighted_mean(bce(out.reward, b.y), b.seen / b.eta.propensity)
