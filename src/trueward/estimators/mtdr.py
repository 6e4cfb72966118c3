"""Multi-task doubly robust learning: propensity, imputation and reward share a trunk."""

from typing import Annotated, Literal

import torch
from torch import Tensor

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce, masked_mean
from trueward.estimation.method import Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import click_propensity


class MTDR(Method):
    """L = w_prop mean l(a, o) + w_imp mean_O l(b, r) + w_reg mean l(s, tau).

    tau = m + (o / p)(r - m), m = sg sigmoid(b), p = sg max(sigmoid(a), clip); one trunk, three heads.
    The first ``warm_up`` of the training fits propensity and imputation alone and is never kept.
    The published code fits the propensity by squared error; here it is the log-loss.
    view=clicks, as published for implicit logs: o -> theta (squared error), the imputation learns y on
    all rows, tau = m + (y / p)(1 - m). Not doubly robust.
    """

    w_prop: Annotated[float, Opt("weight of the propensity's loss", 0)] = 1.0
    w_imp: Annotated[float, Opt("weight of the imputation's loss", 0)] = 1.0
    w_reg: Annotated[float, Opt("weight of the reward's loss", 0, open_low=True)] = 1.0
    clip: Annotated[float, Opt("propensities are raised to this", 0, 1, open_low=True)] = 0.05
    warm_up: Annotated[
        float, Opt("share of the training for the nuisances alone", 0, 1, open_high=True)
    ] = 0.1
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

    paper = "Zhang et al., WWW 2020 (Multi-DR)"
    variants = ({}, {"view": "clicks"})

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o"} if self.view == "ratings" else {"clicks"})

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
        if self.view == "clicks":
            return "none: a heuristic"
        return (
            "whether feedback is given depends on the features only, not on how good the answer is "
            "beyond them; the learned propensity or imputation is right; feedback is never wrong"
        )

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
