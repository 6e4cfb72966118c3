"""Rel-MF: clicks weighted by the chance that a satisfied user acts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import torch

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.declarations import (
    THETA_COLUMN,
    THETA_NEEDS,
    Theta,
    ThetaClip,
    ThetaPrior,
    ThetaQuantile,
    check_prior_used,
)
from trueward.estimation.losses import bce
from trueward.estimation.method import Claims, Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import scar

if TYPE_CHECKING:
    from torch import Tensor


class RMF(Method):
    """L = mean of (y / theta) d1 + (1 - y / theta) d0, theta = max(P(y=1 given r*=1, x), clip).

    s: reward logit; y: 1 for a click. cost=squared: d1 = (1 - sigmoid(s))^2, d0 = sigmoid(s)^2; cost=log:
    d1 = l(s, 1), d0 = l(s, 0). theta is logged, or one constant from a prior or an anchor; the authors'
    code computes it from the click. A large clip is the published clipped form (ncrmf): less variance,
    more bias.
    """

    theta: Theta = "logged"
    cost: Annotated[Literal["squared", "log"], Opt("cost of a row; log has no lower bound")] = (
        "squared"
    )
    clip: ThetaClip = 0.01
    prior: ThetaPrior = None
    anchor_quantile: ThetaQuantile = 0.99

    paper = "Saito et al., WSDM 2020 (Rel-MF)"
    variants = (
        {"theta": "logged"},
        {"cost": "log"},
        {"theta": "scar"},
        {"theta": "scar", "prior": 0.7},
    )

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"clicks"}) | THETA_NEEDS[self.theta]

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        return scar(self.prior, self.anchor_quantile) if self.theta == "scar" else ()

    @property
    def unbiased_if(self) -> Claims:
        return (frozenset({THETA_COLUMN[self.theta]}),)

    @property
    def assumption(self) -> str:
        return (
            "whether a satisfied user acts depends only on what theta was computed from, theta is right "
            "and above the clip, and a click always means satisfaction"
        )

    @property
    def bounded_alternative(self) -> str:
        return "cost=squared" if self.cost == "log" else ""

    def validate(self) -> None:
        used = self.prior is None or self.theta == "scar"
        check_prior_used("rmf", "theta=logged", used=used, instead="take theta=scar")

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        s, t = out.reward, b.y / b.eta[THETA_COLUMN[self.theta]].clamp(min=self.clip)
        if self.cost == "log":
            return bce(s, t).mean()
        r = torch.sigmoid(s)
        return (t * (1 - r).square() + (1 - t) * r.square()).mean()
