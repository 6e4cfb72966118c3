"""Unbiased pairwise ranking: pairs weighted by the chance that a satisfied user acts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

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
from trueward.estimation.method import Claims, Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import scar
from trueward.estimation.samplers import pairs, prompt_batches

if TYPE_CHECKING:
    from torch import Tensor


class UBPR(Method):
    """L = mean over pairs of max( (y_i / theta_i)(1 - y_j / theta_j) softplus(-(s_i - s_j)), -beta ).

    s: score; y: 1 for a click; theta = max(P(y=1 given r*=1, x), clip); j: any other row of the prompt of
    i, clicked or not. beta=none has no bound and is unbiased for pairs (good, bad); beta=0 drops every
    pair of two clicks. Scores are for ranking: sigmoid(s) is no probability. The authors' code computes
    theta from the true rating.
    """

    theta: Theta = "logged"
    beta: Annotated[
        float | None, Opt("lower bound -beta of the loss of a pair; none: no bound, unbiased", 0)
    ] = 0.0
    clip: ThetaClip = 0.1
    prior: ThetaPrior = None
    anchor_quantile: ThetaQuantile = 0.99

    paper = "Saito, ICTIR 2020"
    variants = ({}, {"theta": "scar"}, {"beta": None}, {"theta": "scar", "beta": None})

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"clicks", "group"}) | THETA_NEEDS[self.theta]

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        return scar(self.prior, self.anchor_quantile) if self.theta == "scar" else ()

    @property
    def unbiased_if(self) -> Claims:
        return (frozenset({THETA_COLUMN[self.theta]}),) if self.beta is None else ()

    @property
    def assumption(self) -> str:
        return (
            "users act on the answers to a prompt independently, theta is right and above the clip, a click "
            "always means satisfaction, and only the ranking is used"
        )

    @property
    def bounded_alternative(self) -> str:
        return "beta=0" if self.beta is None else ""

    def validate(self) -> None:
        used = self.prior is None or self.theta == "scar"
        check_prior_used("ubpr", "theta=logged", used=used, instead="take theta=scar")

    def batches(
        self, data: Feedback, rows: Tensor, size: int, g: torch.Generator
    ) -> Iterator[Tensor]:
        return prompt_batches(data, rows, size, g)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        assert b.group is not None
        theta = b.eta[THETA_COLUMN[self.theta]].clamp(min=self.clip)
        s, t, (i, j) = out.reward, b.y / theta, pairs(b.group)
        risk = t[i] * (1 - t[j]) * torch.nn.functional.softplus(s[j] - s[i])
        if self.beta is not None:
            risk = risk.clamp(min=-self.beta)
        return risk.sum() / max(1, len(i))
