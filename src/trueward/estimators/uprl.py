"""UPL: pairwise ranking whose negatives are weighted by a pointwise head."""

from __future__ import annotations

from collections.abc import Iterator
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
from trueward.estimation.losses import log_mixture
from trueward.estimation.method import Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import scar
from trueward.estimation.reward_form import HeadLogit
from trueward.estimation.samplers import pairs, prompt_batches

if TYPE_CHECKING:
    from torch import Tensor

SMALL = 1e-5  # added in denominators and logarithms, as published


class UPRL(Method):
    """L = mean over pairs of clamp( (y_i / theta_i) u_j softplus(-(s_i - s_j)), 0, 100 ) + L_point.

    s: score; y: 1 for a click; theta = max(P(y=1 given r*=1, x), clip). u_j = (1 - y_j)(1 - q_j) /
    (1 - q_j theta_j): P(row j is bad), with q = sigmoid(v) of the head ``point``, held fixed in u. L_point =
    -mean [ t log q + (1 - t) log(1 - q) ], t = y / theta. 1e-5 is added in denominators and logarithms.
    score=pair gives s, which ranks and is no probability; score=point gives v, whose sigmoid is one. The
    authors' code takes probabilities from s.
    """

    theta: Theta = "logged"
    score: Annotated[
        Literal["pair", "point"], Opt("the reward: s, for ranking, or v, for probabilities")
    ] = "pair"
    clip: ThetaClip = 0.1
    prior: ThetaPrior = None
    anchor_quantile: ThetaQuantile = 0.99

    paper = "Ren et al., SIGIR 2023 (UPL)"
    variants = ({}, {"theta": "scar"}, {"score": "point"})

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"clicks", "group"}) | THETA_NEEDS[self.theta]

    @property
    def heads(self) -> dict[str, str]:
        return {"reward": "x", "point": "x"}

    def reward_form(self) -> HeadLogit:
        return HeadLogit("reward" if self.score == "pair" else "point")

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        return scar(self.prior, self.anchor_quantile) if self.theta == "scar" else ()

    @property
    def assumption(self) -> str:
        return (
            "users act on the answers to a prompt independently, theta and the pointwise head are right, a "
            "click always means satisfaction, and with score=pair only the ranking is used"
        )

    def validate(self) -> None:
        used = self.prior is None or self.theta == "scar"
        check_prior_used("uprl", "theta=logged", used=used, instead="take theta=scar")

    def batches(
        self, data: Feedback, rows: Tensor, size: int, g: torch.Generator
    ) -> Iterator[Tensor]:
        return prompt_batches(data, rows, size, g)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        assert b.group is not None
        theta = b.eta[THETA_COLUMN[self.theta]].clamp(min=self.clip)
        s, v, t, (i, j) = out.reward, out.point, b.y / theta, pairs(b.group)
        q = torch.sigmoid(v.detach())
        bad = (1 - b.y) * (1 - q) / (1 - q * theta + SMALL)
        risk = (t[i] * bad[j] * torch.nn.functional.softplus(s[j] - s[i])).clamp(0, 100)
        one, zero = log_mixture(v, SMALL, 1 + SMALL), log_mixture(v, 1 + SMALL, SMALL)
        return risk.sum() / max(1, len(i)) - (t * one + (1 - t) * zero).mean()
