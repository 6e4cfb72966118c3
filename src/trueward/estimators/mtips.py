"""Multi-task inverse propensity scoring: propensity and reward share a trunk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.declarations import (
    HEURISTIC,
    VIEW_NEEDS,
    PropensityClip,
    RewardWeight,
    TaskWeight,
    ThetaDecay,
    ThetaMean,
    View,
    missing_at_random,
)
from trueward.estimation.losses import bce
from trueward.estimation.method import Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import click_propensity

if TYPE_CHECKING:
    from torch import Tensor


class MTIPS(Method):
    """L = w_prop mean l(a, o) + w_reg mean of (o / sg p) l(s, r), p = max(sigmoid(a), clip).

    s: reward logit; a: propensity logit; r: rating; o: 1 for rated rows; l: cross-entropy; sg:
    stop-gradient. The two heads share a trunk. In the first ``warm_up`` of the training only the
    propensity is fitted, and no epoch of it is kept. The published code fits the propensity by squared
    error; here it is the log-loss. view=clicks, as published for implicit logs: L = w_prop mean
    (sigmoid(a) - theta)^2 + w_reg mean l(s, y) / sg p, with theta logged or computed from the click. This
    form is not unbiased.
    """

    w_prop: TaskWeight = 1.0
    w_reg: RewardWeight = 1.0
    clip: PropensityClip = 0.05
    warm_up: Annotated[
        float, Opt("share of the training that fits the propensity alone", 0, 1, open_high=True)
    ] = 0.1
    view: View = "ratings"
    alpha: ThetaDecay = 0.5
    rate: ThetaMean = 0.2

    paper = "Zhang et al., WWW 2020 (Multi-IPW)"
    variants = ({}, {"view": "clicks"})

    @property
    def needs(self) -> frozenset[str]:
        return VIEW_NEEDS[self.view]

    @property
    def heads(self) -> dict[str, str]:
        return {"reward": "x", "propensity": "x"}

    @property
    def shared(self) -> bool:
        return True

    @property
    def warm_up_fraction(self) -> float:
        return self.warm_up

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        return () if self.view == "ratings" else (click_propensity(self.alpha, self.rate),)

    @property
    def assumption(self) -> str:
        right = "the learned propensity is right"
        return HEURISTIC if self.view == "clicks" else missing_at_random(right, "the features")

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        p = torch.sigmoid(out.propensity)
        if self.view == "clicks":
            seen, fit = torch.ones_like(p), (p - b.eta.propensity).square().mean()
        else:
            seen, fit = b.seen, bce(out.propensity, b.seen).mean()
        w = seen / p.detach().clamp(min=self.clip)
        reward = (w * bce(out.reward, b.y)).mean()
        return self.w_prop * fit + (self.w_reg * reward if b.t >= self.warm_up else 0 * reward)
