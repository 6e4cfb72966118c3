"""Multi-task doubly robust learning: propensity, imputation and reward share a trunk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.declarations import (
    HEURISTIC,
    VIEW_NEEDS,
    ImputationWeight,
    PropensityClip,
    RewardWeight,
    TaskWeight,
    ThetaDecay,
    ThetaMean,
    View,
    missing_at_random,
)
from trueward.estimation.losses import bce, masked_mean
from trueward.estimation.method import Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import click_propensity

if TYPE_CHECKING:
    from torch import Tensor


class MTDR(Method):
    """L = w_prop mean l(a, o) + w_imp mean_O l(b, r) + w_reg mean l(s, tau).

    tau = m + (o / p)(r - m), m = sg sigmoid(b), p = sg max(sigmoid(a), clip). s: reward logit; a:
    propensity logit; b: imputation logit; r: rating; o: 1 for rated rows; mean_O: over rated rows; l:
    cross-entropy; sg: stop-gradient. The three heads share a trunk. In the first ``warm_up`` of the
    training only propensity and imputation are fitted, and no epoch of it is kept. The published code fits
    the propensity by squared error; here it is the log-loss.
    view=clicks, as published for implicit logs: a learns theta by squared error, b learns y on all rows,
    and tau = m + (y / p)(1 - m). This form is not doubly robust.
    """

    w_prop: TaskWeight = 1.0
    w_imp: ImputationWeight = 1.0
    w_reg: RewardWeight = 1.0
    clip: PropensityClip = 0.05
    warm_up: Annotated[
        float, Opt("share of the training that fits the nuisances alone", 0, 1, open_high=True)
    ] = 0.1
    view: View = "ratings"
    alpha: ThetaDecay = 0.5
    rate: ThetaMean = 0.2

    paper = "Zhang et al., WWW 2020 (Multi-DR)"
    variants = ({}, {"view": "clicks"})

    @property
    def needs(self) -> frozenset[str]:
        return VIEW_NEEDS[self.view]

    @property
    def heads(self) -> dict[str, str]:
        return {"reward": "x", "propensity": "x", "imputation": "x"}

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
        right = "the learned propensity or imputation is right"
        return HEURISTIC if self.view == "clicks" else missing_at_random(right, "the features")

    @property
    def bounded_alternative(self) -> str:
        return "causalrm with correction=none risk=brier, which is doubly robust and bounded"

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        p, s, m = torch.sigmoid(out.propensity), out.reward, torch.sigmoid(out.imputation).detach()
        if self.view == "clicks":
            seen, fit = b.y, (p - b.eta.propensity).square().mean()
            impute = bce(out.imputation, b.y).mean()
        else:
            seen, fit = b.seen, bce(out.propensity, b.seen).mean()
            impute = masked_mean(bce(out.imputation, b.y), seen)
        reward = bce(s, m + seen / p.detach().clamp(min=self.clip) * (b.y - m)).mean()
        learned = self.w_reg * reward if b.t >= self.warm_up else 0 * reward
        return self.w_prop * fit + self.w_imp * impute + learned
