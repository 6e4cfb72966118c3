"""Forward correction of label noise on rated rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.data.feedback import Columns, Feedback
from trueward.estimation.declarations import NoiseRate01, NoiseRate10, RateQuantile
from trueward.estimation.losses import masked_mean, noisy_bce
from trueward.estimation.method import Method
from trueward.estimation.noise_rates import (
    check_noise_rates,
    flip_rates,
    given_rates,
    noise_rates,
)
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import noisy
from trueward.estimation.samplers import observed

if TYPE_CHECKING:
    from torch import Tensor


class FCorrection(Method):
    """L = mean over rated rows of CE(rho_10 + (1 - rho_01 - rho_10) sigmoid(s), r).

    s: reward logit; r: rating; rho_01 = P(r=0 given true 1), rho_10 = P(r=1 given true 0). Equal to causalrm
    with estimator=none and correction=forward. The rates are given, or estimated once: by gold labels on
    rated rows, or by the levels of an out-of-fold proxy. With a quantile they are read off its extremes; the
    original reads them at the 97th percentile of an in-sample proxy.
    """

    rho_01: NoiseRate01 = None
    rho_10: NoiseRate10 = None
    quantile: RateQuantile = None

    paper = "Patrini et al., CVPR 2017"
    variants = ({}, {"rho_01": 0.1, "rho_10": 0.2}, {"rho_01": 0.1})

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o"})

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        if self.rho_01 is not None and self.rho_10 is not None:
            return (given_rates(self.rho_01, self.rho_10),)
        return (noisy, flip_rates(self.quantile, self.rho_01, self.rho_10))

    @property
    def assumption(self) -> str:
        return (
            "feedback is given completely at random, flips have constant rates with rho_01 + rho_10 < 1, "
            "and the rates are right (estimated: some rated answers are certainly good, some certainly bad)"
        )

    def validate(self) -> None:
        check_noise_rates("f_correction", self.rho_01, self.rho_10)

    def rows(self, data: Feedback) -> Tensor:
        return observed(data)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        rates = noise_rates(b.eta, b.y, self.rho_01, self.rho_10)
        return masked_mean(noisy_bce(out.reward, b.y, *rates), b.seen)
