"""Stable doubly robust learning: a propensity trained to balance the imputed errors."""

from typing import Annotated, Literal

import torch
from torch import Tensor

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce, weighted_mean
from trueward.estimation.method import Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import click_propensity


class SDR(Method):
    """L = L_imp + L_prop + L_rew, each of which trains one of three networks.

    L_imp  = mean_O (e - e^)^2 / p,  e = l(sg s, r), e^ = l(sg s, m), m = sigmoid(b); e - e^ = s (m - r)
    L_prop = mean l(a, o) + balance (mean (1 - o / p)(e^ - mean e^))^2, e^ held fixed, p >= .001
    L_rew  = sum of (o / p) l(s, r) over sum of o / p, p = max(sigmoid(a), clip)
    The published code has 1 - o p for 1 - o / p, squares both terms of L_prop together, and divides
    L_rew by the number of rated rows; this is the original paper's form.
    view=clicks, as published for implicit logs: no mask anywhere, a learns theta. Not unbiased.
    """

    balance: Annotated[float, Opt("weight of the balance of imputed errors", 0)] = 1.0
    clip: Annotated[float, Opt("propensities are raised to this", 0, 1, open_low=True)] = 0.05
    view: Annotated[
        Literal["ratings", "clicks"],
        Opt(
            "what counts as observed; clicks: the published form for implicit logs, without a claim"
        ),
    ] = "ratings"
    alpha: Annotated[
        float, Opt("view=clicks: decay of the published propensity", 0, 1, open_low=True)
    ] = 0.5
    rate: Annotated[float, Opt("view=clicks: its mean", 0, 1, open_low=True)] = 0.2

    paper = "Li, Zheng and Wu, ICLR 2023 (StableDR)"
    variants = ({}, {"view": "clicks"})

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o"} if self.view == "ratings" else {"clicks"})

    @property
    def heads(self) -> dict[str, str]:
        return {"reward": "x", "propensity": "x", "imputation": "x"}

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        return () if self.view == "ratings" else (click_propensity(self.alpha, self.rate),)

    @property
    def assumption(self) -> str:
        if self.view == "clicks":
            return "none: a heuristic"
        return (
            "whether feedback is given depends on the features only, not on how good the answer is "
            "beyond them; the learned propensity is right; feedback is never wrong"
        )

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
