"""Doubly robust learning: imputed labels on all rows, corrected on rated rows by 1 / P(rated)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trueward.data.feedback import Columns, Feedback
from trueward.estimation.declarations import (
    HEURISTIC,
    VIEW_NEEDS,
    PropensityClip,
    PropensityFrom,
    ThetaDecay,
    ThetaMean,
    View,
    missing_at_random,
)
from trueward.estimation.losses import bce
from trueward.estimation.method import Claims, Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import click_propensity, clicked, imputation, propensity

if TYPE_CHECKING:
    from torch import Tensor


class DR(Method):
    """L = mean of l(s, tau), tau = m + (o / p)(r - m): cross-entropy on the AIPW pseudo-outcome.

    s: reward logit; r: rating; o: 1 for rated rows; p = max(P(o=1 given x, z), clip); m: imputed P(r=1 given
    x); l: cross-entropy. Since l is linear in its target, L = mean of e^ + (o / p)(e - e^) with e = l(s, r)
    and e^ = l(s, m) (methods 2.4).
    view=clicks, as published for implicit logs: o = r = y, p = theta as in ips, m = P(y=1 given x). This form
    is not doubly robust: it needs both theta and m to be right.
    """

    clip: PropensityClip = 0.01
    propensity_from: PropensityFrom = "xz"
    view: View = "ratings"
    alpha: ThetaDecay = 0.5
    rate: ThetaMean = 0.2

    variants = ({}, {"view": "clicks"})
    paper = "Robins, Rotnitzky and Zhao, JASA 1994; Wang et al., ICML 2019"

    @property
    def needs(self) -> frozenset[str]:
        return VIEW_NEEDS[self.view]

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
        right = "the propensity or the imputation is right"
        return HEURISTIC if self.view == "clicks" else missing_at_random(right)

    @property
    def bounded_alternative(self) -> str:
        return "causalrm with correction=none risk=brier, which is doubly robust and bounded"

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        m, p = b.eta.imputation, b.eta.propensity
        # theta comes from no classifier, so the cross-fit does not clip it
        w = b.y / p.clamp(min=self.clip) if self.view == "clicks" else b.seen / p
        return bce(out.reward, m + w * (b.y - m)).mean()
