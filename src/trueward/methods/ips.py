"""Inverse propensity scoring."""

from dataclasses import replace
from typing import Annotated

from torch import Tensor

from trueward.data import Columns, Feedback
from trueward.losses import bce
from trueward.method import Claims, Method, Nuisance
from trueward.nuisances import propensity
from trueward.options import Opt
from trueward.samplers import observed


class IPS(Method):
    """L = mean of (o / p) l(s, r), with p = max(P(o=1 given x, z), clip)."""

    clip: Annotated[float, Opt("propensities are raised to this", 0, 1, open_low=True)] = 0.01

    paper = "Rosenbaum and Rubin, Biometrika 1983; Schnabel et al., ICML 2016"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o"})

    @property
    def nuisances(self) -> tuple[Nuisance, ...]:
        return (replace(propensity, clip=self.clip),)

    @property
    def unbiased_if(self) -> Claims:
        return (frozenset({"propensity"}),)

    @property
    def assumption(self) -> str:
        return (
            "whether feedback is given depends on the features and the context only, not on how good "
            "the answer is beyond them; the propensity is right; feedback is never wrong"
        )

    def rows(self, data: Feedback) -> Tensor:
        return observed(data)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        return (b.seen / b.eta.propensity * bce(out.reward, b.y)).mean()
