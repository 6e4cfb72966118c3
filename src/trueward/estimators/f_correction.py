"""Forward correction of label noise on rated rows."""

from typing import Annotated

from torch import Tensor

from trueward.core.errors import UsageError
from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import log_mixture, masked_mean
from trueward.estimation.method import Method
from trueward.estimation.noise_rates import flip_rates
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import noisy
from trueward.estimation.samplers import observed


class FCorrection(Method):
    """L = mean over rated rows of CE(rho_10 + (1 - rho_01 - rho_10) sigmoid(s), r).

    It is causalrm with estimator=none and correction=forward, under its own name. The rates are given, or
    read once from an out-of-fold proxy; the original reads them at the 97th percentile of an in-sample one.
    """

    rho_01: Annotated[
        float | None, Opt("P(observed 0 given true 1); none: estimated", 0, 1, open_high=True)
    ] = None
    rho_10: Annotated[
        float | None, Opt("P(observed 1 given true 0); none: estimated", 0, 1, open_high=True)
    ] = None
    quantile: Annotated[
        float, Opt("the rates are read from the (1-u) and u quantile of eta", 0.5, 1)
    ] = 0.99

    paper = "Patrini et al., CVPR 2017"
    variants = ({}, {"rho_01": 0.1, "rho_10": 0.2}, {"rho_01": 0.1})

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o"})

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        if None not in (self.rho_01, self.rho_10):
            return ()
        return (noisy, flip_rates(self.quantile, self.rho_01, self.rho_10))

    @property
    def assumption(self) -> str:
        return (
            "feedback is given completely at random, flips have constant rates with rho_01 + rho_10 < 1, "
            "and the rates are right (estimated: some rated answers are certainly good, some certainly bad)"
        )

    def validate(self) -> None:
        given = [r for r in (self.rho_01, self.rho_10) if r is not None]
        if sum(given) >= 1:
            raise UsageError(f"f_correction: rho_01 + rho_10 must be below 1, not {sum(given):g}")

    def rows(self, data: Feedback) -> Tensor:
        return observed(data)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        rho_01 = b.eta.rho_01 if self.rho_01 is None else b.y.new_tensor(self.rho_01)
        rho_10 = b.eta.rho_10 if self.rho_10 is None else b.y.new_tensor(self.rho_10)
        one = log_mixture(out.reward, rho_10, 1 - rho_01)
        zero = log_mixture(out.reward, 1 - rho_10, rho_01)
        return masked_mean(-(b.y * one + (1 - b.y) * zero), b.seen)
