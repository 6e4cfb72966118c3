"""Non-negative learning from clicks as positives and all rows as unlabelled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import torch

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.declarations import (
    SCAR_ASSUMPTION,
    AnchorQuantile,
    ClassPrior,
    PriorFrom,
    check_prior_used,
)
from trueward.estimation.losses import bce
from trueward.estimation.method import Claims, Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import scar
from trueward.estimation.samplers import population

if TYPE_CHECKING:
    from torch import Tensor


class NNPU(Method):
    """L = R_p + R_n where R_n >= -beta, else a step of size zeta that raises R_n and leaves R_p alone.

    R_p = prior mean_P l(s, 1), R_n = mean l(s, 0) - prior mean_P l(s, 0). s: reward logit; mean_P: over
    clicks; prior = P(satisfied). With w = y / c and c = mean(y) / prior, R_p = mean w l(s, 1) and R_n =
    mean (1 - w) l(s, 0) over all rows. Every batch gets the same share of clicks. The authors' code clamps
    R_n without the step back, and takes the rows without a click as all rows.
    """

    prior: ClassPrior = None
    prior_from: PriorFrom = "anchor"
    anchor_quantile: AnchorQuantile = 0.99
    beta: Annotated[float, Opt("lower bound -beta of R_n in a batch", 0)] = 0.0
    zeta: Annotated[float, Opt("size of the step back", 0, 1)] = 1.0

    paper = "Kiryo, Niu, du Plessis and Sugiyama, NeurIPS 2017, Algorithm 1"
    variants = ({"prior_from": "anchor"}, {"prior": 0.7}, {"prior_from": "gold"})

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"clicks"} | ({"gold"} if self.prior_from == "gold" else set()))

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        return scar(self.prior, self.anchor_quantile, gold=self.prior_from == "gold")

    @property
    def consistent_if(self) -> Claims:
        return (frozenset({"activity_rate"}),)

    @property
    def assumption(self) -> str:
        return SCAR_ASSUMPTION

    def validate(self) -> None:
        used = self.prior is None or self.prior_from == "anchor"
        check_prior_used("nnpu", "prior_from=gold", used=used, instead="drop one")

    def batches(
        self, data: Feedback, rows: Tensor, size: int, g: torch.Generator
    ) -> Iterator[Tensor]:
        order = population(rows, data.weight, g)
        order = order[torch.randperm(len(order), generator=g)]
        order = order[data.y[order].cpu().argsort(descending=True, stable=True)]
        count = -(-len(order) // size)
        for k in range(count):  # clicks come first, so every batch gets the same share of them
            yield order[k::count]

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        s, w = out.reward, b.y / b.eta.activity_rate
        good = (w * bce(s, torch.ones_like(s))).mean()
        bad = ((1 - w) * bce(s, torch.zeros_like(s))).mean()
        back = good.detach() - self.beta + self.zeta * (bad.detach() - bad)
        return torch.where(bad < -self.beta, back, good + bad)
