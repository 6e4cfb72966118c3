"""Inverse propensity scoring."""

from dataclasses import replace
from typing import Annotated, Literal

from torch import Tensor

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce
from trueward.estimation.method import Claims, Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import PropensityFrom, click_propensity, propensity
from trueward.estimation.samplers import every, observed


class IPS(Method):
    """L = mean of (o / p) l(s, r), with p = max(P(o=1 given x, z), clip).

    view=clicks, as published for implicit logs: L = mean of l(s, y) / theta over all rows, where theta
    is logged or, as published, read off the click itself, which weighs rows without a click up as
    certain negatives. Not unbiased; method rmf is what a click's propensity is for.
    """

    clip: Annotated[float, Opt("propensities are raised to this", 0, 1, open_low=True)] = 0.01
    propensity_from: PropensityFrom = "xz"
    view: Annotated[
        Literal["ratings", "clicks"],
        Opt(
            "what counts as observed; clicks: the published form for implicit logs, without a claim"
        ),
    ] = "ratings"
    alpha: Annotated[
        float, Opt("view=clicks: decay of the published propensity", 0, 1, open_low=True)
    ] = 0.5
    rate: Annotated[float, Opt("view=clicks: its mean", 0, 1, open_low=True)] = 0.2

    variants = ({}, {"view": "clicks"})
    paper = "Rosenbaum and Rubin, Biometrika 1983; Schnabel et al., ICML 2016"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o"} if self.view == "ratings" else {"clicks"})

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        if self.view == "clicks":
            return (click_propensity(self.alpha, self.rate),)
        return (replace(propensity, clip=self.clip, reads=self.propensity_from),)

    @property
    def unbiased_if(self) -> Claims:
        return (frozenset({"propensity"}),) if self.view == "ratings" else ()

    @property
    def assumption(self) -> str:
        if self.view == "clicks":
            return "none: a heuristic"
        return (
            "whether feedback is given depends on the features and the context only, not on how good "
            "the answer is beyond them; the propensity is right; feedback is never wrong"
        )

    def rows(self, data: Feedback) -> Tensor:
        return observed(data) if self.view == "ratings" else every(data)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        seen = b.seen if self.view == "ratings" else 1.0
        return (seen / b.eta.propensity.clamp(min=self.clip) * bce(out.reward, b.y)).mean()
