"""Doubly robust learning."""

from dataclasses import replace
from typing import Annotated, Literal

from torch import Tensor

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce
from trueward.estimation.method import Claims, Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import (
    PropensityFrom,
    click_propensity,
    clicked,
    imputation,
    propensity,
)


class DR(Method):
    """L = mean of l(s, tau), tau = m + (o / p)(r - m): cross-entropy on the AIPW pseudo-outcome.

    It equals e^ + (o / p)(e - e^) with e = l(s, r) and e^ = l(s, m), since l is linear in its target.
    view=clicks, as published for implicit logs: o = r = y, p = theta as in ips, m = P(y=1 given x). Not
    doubly robust: theta and m must both be right in every case.
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
    paper = "Robins, Rotnitzky and Zhao, JASA 1994; Wang et al., ICML 2019"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o"} if self.view == "ratings" else {"clicks"})

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        if self.view == "clicks":
            return (click_propensity(self.alpha, self.rate), replace(clicked, name="imputation"))
        return (replace(propensity, clip=self.clip, reads=self.propensity_from), imputation)

    @property
    def unbiased_if(self) -> Claims:
        claims = (frozenset({"propensity"}), frozenset({"imputation"}))
        return claims if self.view == "ratings" else ()

    @property
    def assumption(self) -> str:
        if self.view == "clicks":
            return "none: a heuristic"
        return (
            "whether feedback is given depends on the features and the context only; the propensity "
            "or the imputation is right; feedback is never wrong"
        )

    @property
    def bounded_alternative(self) -> str:
        return "causalrm with correction=none risk=brier, which is doubly robust and bounded"

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        seen = b.seen if self.view == "ratings" else b.y
        m, w = b.eta.imputation, seen / b.eta.propensity.clamp(min=self.clip)
        return bce(out.reward, m + w * (b.y - m)).mean()
