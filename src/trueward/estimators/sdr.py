"""Stable doubly robust learning: a propensity trained to balance the imputed errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.declarations import (
    HEURISTIC,
    VIEW_NEEDS,
    PropensityClip,
    ThetaDecay,
    ThetaMean,
    View,
    missing_at_random,
)
from trueward.estimation.losses import bce, weighted_mean
from trueward.estimation.method import Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import click_propensity

if TYPE_CHECKING:
    from torch import Tensor


class SDR(Method):
    """L = L_imp + L_prop + L_rew, each of which trains one of three networks.

    L_imp  = mean_O (e - e^)^2 / p,  e = l(sg s, r), e^ = l(sg s, m), m = sigmoid(b); e - e^ = s (m - r)
    L_prop = mean l(a, o) + balance (mean (1 - o / p)(e^ - mean e^))^2, e^ held fixed, p >= .001
    L_rew  = sum of (o / p) l(s, r) over sum of o / p, p = max(sigmoid(a), clip)
    s: reward logit; a: propensity logit; b: imputation logit; r: rating; o: 1 for rated rows; mean_O: over
    rated rows; l: cross-entropy; sg: stop-gradient. This is the form of the original paper. The published
    code has 1 - o p for 1 - o / p, squares both terms of L_prop together, and divides L_rew by the number
    of rated rows. view=clicks, as published for implicit logs: all rows count as rated, and a learns
    theta. This form is not unbiased.
    """

    balance: Annotated[float, Opt("weight of the balance of imputed errors", 0)] = 1.0
    clip: PropensityClip = 0.05
    view: View = "ratings"
    alpha: ThetaDecay = 0.5
    rate: ThetaMean = 0.2

    paper = "Li, Zheng and Wu, ICLR 2023 (StableDR)"
    variants = ({}, {"view": "clicks"})

    @property
    def needs(self) -> frozenset[str]:
        return VIEW_NEEDS[self.view]

    @property
    def heads(self) -> dict[str, str]:
        return {"reward": "x", "propensity": "x", "imputation": "x"}

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        return () if self.view == "ratings" else (click_propensity(self.alpha, self.rate),)

    @property
    def assumption(self) -> str:
        right = "the learned propensity is right"
        return HEURISTIC if self.view == "clicks" else missing_at_random(right, "the features")

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        s, a, imputed = out.reward, out.propensity, torch.sigmoid(out.imputation)
        clicks = self.view == "clicks"
        o, target = (torch.ones_like(s), b.eta.propensity) if clicks else (b.seen, b.seen)
        p = torch.sigmoid(a)
        w = o / p.detach().clamp(min=self.clip)
        impute = weighted_mean(w * (s.detach() * (imputed - b.y)).square(), o)
        error = bce(s, imputed).detach()
        gap = ((1 - target / p.clamp(min=1e-3)) * (error - error.mean())).mean()
        return (
            impute
            + bce(a, target).mean()
            + self.balance * gap.square()
            + weighted_mean(bce(s, b.y), w)
        )
