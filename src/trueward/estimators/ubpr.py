"""Unbiased pairwise ranking: pairs weighted by the chance that a satisfied user acts."""

from collections.abc import Iterator
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from trueward.core.errors import UsageError
from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.method import Claims, Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import scar
from trueward.estimation.samplers import by_prompt, every, pairs


class UBPR(Method):
    """L = mean over pairs of max( (y_i / theta_i)(1 - y_j / theta_j) softplus(-(s_i - s_j)), -beta ).

    theta = max(P(y=1 given r*=1, x), clip); j is any other row of the prompt of i, clicked or not; beta=none
    has no bound and is unbiased for the pairs (good, bad), beta=0 drops every pair of two clicks. Scores
    are for ranking; sigmoid(s) is no probability. The authors' code reads theta off the true rating.
    """

    theta: Annotated[
        Literal["logged", "scar"],
        Opt("the column propensity of the log, or one constant for all rows"),
    ] = "logged"
    beta: Annotated[
        float | None, Opt("how far below 0 the loss of a pair may fall; none: unbiased", 0)
    ] = 0.0
    clip: Annotated[float, Opt("theta is raised to this", 0, 1, open_low=True)] = 0.1
    prior: Annotated[
        float | None,
        Opt("theta=scar: P(satisfied) over all responses", 0, 1, open_low=True, open_high=True),
    ] = None
    anchor_quantile: Annotated[
        float, Opt("theta=scar without a prior: this quantile of P(click) is theta", 0.5, 1)
    ] = 0.99

    paper = "Saito, ICTIR 2020"
    variants = ({}, {"theta": "scar"}, {"beta": None}, {"theta": "scar", "beta": None})

    @property
    def needs(self) -> frozenset[str]:
        theta = {"propensity"} if self.theta == "logged" else set()
        return frozenset({"clicks", "group"} | theta)

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        return scar(self.prior, self.anchor_quantile) if self.theta == "scar" else ()

    @property
    def unbiased_if(self) -> Claims:
        claims = (frozenset({"propensity" if self.theta == "logged" else "activity_rate"}),)
        return claims if self.beta is None else ()

    @property
    def assumption(self) -> str:
        return (
            "users act on the answers to a prompt independently, theta is right and above the clip, a click "
            "always means satisfaction, and only the ranking is asked for"
        )

    @property
    def bounded_alternative(self) -> str:
        return "beta=0" if self.beta is None else ""

    def validate(self) -> None:
        if self.prior is not None and self.theta == "logged":
            raise UsageError("ubpr: theta=logged would ignore the given prior; take theta=scar")

    def batches(
        self, data: Feedback, rows: Tensor, size: int, g: torch.Generator
    ) -> Iterator[Tensor]:
        group = every(data) if data.group is None else data.group
        return by_prompt(rows, size, g, group, data.weight)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        assert b.group is not None
        theta = b.eta.propensity if self.theta == "logged" else b.eta.activity_rate
        s, t, (i, j) = out.reward, b.y / theta.clamp(min=self.clip), pairs(b.group)
        risk = t[i] * (1 - t[j]) * F.softplus(s[j] - s[i])
        if self.beta is not None:
            risk = risk.clamp(min=-self.beta)
        return risk.sum() / max(1, len(i))
