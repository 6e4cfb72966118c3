"""Inverse propensity scoring: each rated row counts 1 / P(rated)."""

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
from trueward.estimation.nuisances import click_propensity, propensity
from trueward.estimation.samplers import every, observed

if TYPE_CHECKING:
    from torch import Tensor


class IPS(Method):
    """L = mean over all rows of (o / p) l(s, r), with p = max(P(o=1 given x, z), clip).

    s: reward logit; r: rating; o: 1 for rated rows; p: propensity given features x and context z; l:
    cross-entropy. A propensity of x cannot correct selection that follows the label (methods 2.8).
    view=clicks, as published for implicit logs: L = mean over all rows of l(s, y) / theta. theta is logged
    or, as published, computed from the click itself, which gives rows without a click a large weight as
    certain negatives. This form is not unbiased; for the propensity of a click use rmf.
    """

    clip: PropensityClip = 0.01
    propensity_from: PropensityFrom = "xz"
    view: View = "ratings"
    alpha: ThetaDecay = 0.5
    rate: ThetaMean = 0.2

    variants = ({}, {"view": "clicks"})
    paper = "Rosenbaum and Rubin, Biometrika 1983; Schnabel et al., ICML 2016"

    @property
    def needs(self) -> frozenset[str]:
        return VIEW_NEEDS[self.view]

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
        return HEURISTIC if self.view == "clicks" else missing_at_random("the propensity is right")

    def rows(self, data: Feedback) -> Tensor:
        return observed(data) if self.view == "ratings" else every(data)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        error = bce(out.reward, b.y)
        if (
            self.view == "clicks"
        ):  # theta comes from no classifier, so the cross-fit does not clip it
            return (error / b.eta.propensity.clamp(min=self.clip)).mean()
        return (b.seen / b.eta.propensity * error).mean()
