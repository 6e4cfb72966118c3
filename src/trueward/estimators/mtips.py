"""Multi-task inverse propensity scoring: the propensity and the reward share a trunk."""

from typing import Annotated, Literal

import torch
from torch import Tensor

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce
from trueward.estimation.method import Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import click_propensity


class MTIPS(Method):
    """L = w_prop mean l(a, o) + w_reg mean of (o / sg p) l(s, r), p = max(sigmoid(a), clip).

    One trunk, two heads; the first ``warm_up`` of the training fits the propensity alone and is never
    kept. The published code fits the propensity by squared error; here it is the log-loss.
    view=clicks, as published for implicit logs: o -> theta, read off the click or logged, and
    L = w_prop mean (sigmoid(a) - theta)^2 + w_reg mean l(s, y) / sg p. Not unbiased.
    """

    w_prop: Annotated[float, Opt("weight of the propensity's loss", 0)] = 1.0
    w_reg: Annotated[float, Opt("weight of the reward's loss", 0, open_low=True)] = 1.0
    clip: Annotated[float, Opt("propensities are raised to this", 0, 1, open_low=True)] = 0.05
    warm_up: Annotated[
        float, Opt("share of the training for the propensity alone", 0, 1, open_high=True)
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

    paper = "Zhang et al., WWW 2020 (Multi-IPW)"
    variants = ({}, {"view": "clicks"})

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o"} if self.view == "ratings" else {"clicks"})

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
        if self.view == "clicks":
            return "none: a heuristic"
        return (
            "whether feedback is given depends on the features only, not on how good the answer is "
            "beyond them; the learned propensity is right; feedback is never wrong"
        )

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        p = torch.sigmoid(out.propensity)
        if self.view == "clicks":
            seen, fit = torch.ones_like(p), (p - b.eta.propensity).square().mean()
        else:
            seen, fit = b.seen, bce(out.propensity, b.seen).mean()
        w = seen / p.detach().clamp(min=self.clip)
        reward = (w * bce(out.reward, b.y)).mean()
        return self.w_prop * fit + (self.w_reg * reward if b.t >= self.warm_up else 0 * reward)
