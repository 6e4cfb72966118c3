"""Rel-MF: clicks weighted by the chance that a satisfied user acts."""

from typing import Annotated, Literal

import torch
from torch import Tensor

from trueward.core.errors import UsageError
from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce
from trueward.estimation.method import Claims, Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import scar


class RMF(Method):
    """L = mean of (y / theta) d1 + (1 - y / theta) d0, theta = max(P(y=1 given r*=1, x), clip).

    cost=squared: d1 = (1 - sigmoid(s))^2, d0 = sigmoid(s)^2; log: d1 = l(s, 1), d0 = l(s, 0).
    theta is logged, or one constant from a prior or an anchor; it is never read off the click, as it is
    in the authors' code. A large clip is the clipped form (their ncrmf); it trades variance for bias.
    """

    theta: Annotated[
        Literal["logged", "scar"],
        Opt("the column propensity of the log, or one constant for all rows"),
    ] = "logged"
    cost: Annotated[Literal["squared", "log"], Opt("of a row; log has no lower bound")] = "squared"
    clip: Annotated[float, Opt("theta is raised to this", 0, 1, open_low=True)] = 0.01
    prior: Annotated[
        float | None,
        Opt("theta=scar: P(satisfied) over all responses", 0, 1, open_low=True, open_high=True),
    ] = None
    anchor_quantile: Annotated[
        float, Opt("theta=scar without a prior: this quantile of P(click) is theta", 0.5, 1)
    ] = 0.99

    paper = "Saito et al., WSDM 2020 (Rel-MF)"
    variants = (
        {"theta": "logged"},
        {"cost": "log"},
        {"theta": "scar"},
        {"theta": "scar", "prior": 0.7},
    )

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"clicks"} | ({"propensity"} if self.theta == "logged" else set()))

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        return scar(self.prior, self.anchor_quantile) if self.theta == "scar" else ()

    @property
    def unbiased_if(self) -> Claims:
        return (frozenset({"propensity" if self.theta == "logged" else "activity_rate"}),)

    @property
    def assumption(self) -> str:
        return (
            "whether a satisfied user acts depends on what theta was computed from only, theta is right "
            "and above the clip, and a click always means satisfaction"
        )

    @property
    def bounded_alternative(self) -> str:
        return "cost=squared" if self.cost == "log" else ""

    def validate(self) -> None:
        if self.prior is not None and self.theta == "logged":
            raise UsageError("rmf: theta=logged would ignore the given prior; take theta=scar")

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        theta = b.eta.propensity if self.theta == "logged" else b.eta.activity_rate
        s, t = out.reward, b.y / theta.clamp(min=self.clip)
        if self.cost == "log":
            return bce(s, t).mean()
        r = torch.sigmoid(s)
        return (t * (1 - r).square() + (1 - t) * r.square()).mean()
