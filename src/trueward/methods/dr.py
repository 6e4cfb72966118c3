"""Doubly robust learning."""

from dataclasses import replace
from typing import Annotated

from torch import Tensor

from trueward.data import Columns, Feedback
from trueward.losses import bce
from trueward.method import Claims, Method, Nuisance
from trueward.nuisances import imputation, propensity
from trueward.options import Opt


class DR(Method):
    """L = mean of l(s, tau), tau = m + (o / p)(r - m): cross-entropy on the AIPW pseudo-outcome.

    It equals e^ + (o / p)(e - e^) with e = l(s, r) and e^ = l(s, m), since l is linear in its target.
    """

    clip: Annotated[float, Opt("propensities are raised to this", 0, 1, open_low=True)] = 0.01

    paper = "Robins, Rotnitzky and Zhao, JASA 1994; Wang et al., ICML 2019"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o"})

    @property
    def nuisances(self) -> tuple[Nuisance, ...]:
        return (replace(propensity, clip=self.clip), imputation)

    @property
    def unbiased_if(self) -> Claims:
        return (frozenset({"propensity"}), frozenset({"imputation"}))

    @property
    def assumption(self) -> str:
        return (
            "whether feedback is given depends on the features and the context only; the propensity "
            "or the imputation is right; feedback is never wrong"
        )

    @property
    def unbounded(self) -> str:
        return "causalrm with correction=none risk=brier, which is doubly robust and bounded"

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        m, w = b.eta.imputation, b.seen / b.eta.propensity
        return bce(out.reward, m + w * (b.y - m)).mean()
