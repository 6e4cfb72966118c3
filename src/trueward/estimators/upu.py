"""Unbiased learning from clicks as positives and all rows as unlabelled."""

from typing import Annotated, Literal

from torch import Tensor

from trueward.core.errors import UsageError
from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce
from trueward.estimation.method import Claims, Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import scar


class UPU(Method):
    """L = mean softplus(s) - prior mean_P s = mean l(s, y / c), with c = mean(y) / prior.

    mean_P runs over clicks, prior = P(satisfied); c = P(act given satisfied) is computed once, so that a
    batch without a click is no exception. The unlabelled sample is all rows; the authors' code takes the
    rows without a click, which in a log of clicks is biased.
    """

    prior: Annotated[
        float | None, Opt("P(satisfied) over all responses", 0, 1, open_low=True, open_high=True)
    ] = None
    prior_from: Annotated[
        Literal["anchor", "gold"],
        Opt("without a prior: the top of P(click) is c, or the share of good gold labels is it"),
    ] = "anchor"
    anchor_quantile: Annotated[float, Opt("which quantile is the top", 0.5, 1)] = 0.99

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
        return (
            "every satisfied user is equally likely to act, a click always means satisfaction, and the "
            "prior (or the anchor, or a random gold sample) is right"
        )

    @property
    def bounded_alternative(self) -> str:
        return "nnpu, which clamps the part that runs away"

    def validate(self) -> None:
        if self.prior is not None and self.prior_from == "gold":
            raise UsageError("upu: prior_from=gold would ignore the given prior; drop one")

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        return bce(out.reward, b.y / b.eta.activity_rate).mean()
