"""Unbiased learning from clicks as positives and all rows as unlabelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from torch import Tensor


class UPU(Method):
    """L = mean softplus(s) - prior mean_P s = mean l(s, y / c), with c = mean(y) / prior.

    s: reward logit; y: 1 for a click; mean_P: over clicks; prior = P(satisfied); c = P(act given satisfied),
    computed once, so that a batch without a click is no exception. The unlabelled sample is all rows. The
    authors' code takes the rows without a click, which is biased on a log of clicks.
    """

    prior: ClassPrior = None
    prior_from: PriorFrom = "anchor"
    anchor_quantile: AnchorQuantile = 0.99

    paper = "du Plessis, Niu and Sugiyama, ICML 2015; prior: Elkan and Noto, KDD 2008"
    variants = ({"prior_from": "anchor"}, {"prior": 0.7}, {"prior_from": "gold"})

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"clicks"} | ({"gold"} if self.prior_from == "gold" else set()))

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        return scar(self.prior, self.anchor_quantile, gold=self.prior_from == "gold")

    @property
    def unbiased_if(self) -> Claims:
        return (frozenset({"activity_rate"}),)

    @property
    def assumption(self) -> str:
        return SCAR_ASSUMPTION

    @property
    def bounded_alternative(self) -> str:
        return "nnpu, which bounds the part of the loss that diverges"

    def validate(self) -> None:
        used = self.prior is None or self.prior_from == "anchor"
        check_prior_used("upu", "prior_from=gold", used=used, instead="drop one")

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        return bce(out.reward, b.y / b.eta.activity_rate).mean()
