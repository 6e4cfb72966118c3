"""Non-negative learning from clicks as positives and all rows as unlabelled."""

from collections.abc import Iterator
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
from trueward.estimation.samplers import population


class NNPU(Method):
    """L = R_p + R_n where R_n >= -beta, else a step of size zeta that raises R_n and leaves R_p alone.

    R_p = prior mean_P l(s, 1), R_n = mean l(s, 0) - prior mean_P l(s, 0), P the clicks; in code
    w = y / c, c = mean(y) / prior, R_p = mean w l(s, 1), R_n = mean (1 - w) l(s, 0), over all rows.
    Clicks are dealt evenly to the batches. The authors' code clamps without the step back and takes the
    rows without a click for all rows.
    """

    prior: Annotated[
        float | None, Opt("P(satisfied) over all responses", 0, 1, open_low=True, open_high=True)
    ] = None
    prior_from: Annotated[
        Literal["anchor", "gold"],
        Opt("without a prior: the top of P(click) is c, or the share of good gold labels is it"),
    ] = "anchor"
    anchor_quantile: Annotated[float, Opt("which quantile is the top", 0.5, 1)] = 0.99
    beta: Annotated[float, Opt("how far below 0 R_n may fall in a batch", 0)] = 0.0
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
        return (
            "every satisfied user is equally likely to act, a click always means satisfaction, and the "
            "prior (or the anchor, or a random gold sample) is right"
        )

    def validate(self) -> None:
        if self.prior is not None and self.prior_from == "gold":
            raise UsageError("nnpu: prior_from=gold would ignore the given prior; drop one")

    def batches(
        self, data: Feedback, rows: Tensor, size: int, g: torch.Generator
    ) -> Iterator[Tensor]:
        order = population(rows, data.weight, g)
        order = order[torch.randperm(len(order), generator=g)]
        order = order[data.y[order].cpu().argsort(descending=True, stable=True)]
        count = -(-len(order) // size)
        for k in range(
            count
        ):  # like cards: every batch has the same share of clicks, to within one
            yield order[k::count]

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        s, w = out.reward, b.y / b.eta.activity_rate
        good = (w * bce(s, torch.ones_like(s))).mean()
        bad = ((1 - w) * bce(s, torch.zeros_like(s))).mean()
        back = good.detach() - self.beta + self.zeta * (bad.detach() - bad)
        return torch.where(bad < -self.beta, back, good + bad)
