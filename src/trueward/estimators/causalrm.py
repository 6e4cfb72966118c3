"""CausalRM: noise-corrected, propensity-weighted reward modelling."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import torch

from trueward.core.errors import UsageError
from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.declarations import (
    NoiseRate01,
    NoiseRate10,
    PropensityClip,
    PropensityFrom,
    RateQuantile,
)
from trueward.estimation.losses import bce, brier, capped_bce, noisy_bce, nonnegative
from trueward.estimation.method import Claims, Method
from trueward.estimation.noise_rates import (
    PUBLISHED_QUANTILE,
    batch_rates,
    check_noise_rates,
    flip_rates,
    given_rates,
    noise_rates,
)
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import noisy, propensity
from trueward.estimation.reward_form import odds
from trueward.estimation.samplers import every, observed
from trueward.estimation.user_intercepts import user_column

if TYPE_CHECKING:
    from torch import Tensor

ESTIMATORS = ("none", "ips", "snips", "dr")
CORRECTIONS = ("none", "backward", "forward")
BOUNDED = ("nonnegative", "capped", "brier")


class CausalRM(Method):
    """L = sum of v_i c(s_i, t_i) over the rows.

    s: reward logit; r: rating; o: 1 for rated rows; p = max(P(o=1 given x, z), clip); rho_01 = P(r=0 given
    true 1), rho_10 = P(r=1 given true 0); l: cross-entropy (methods 2.2 to 2.9).
    estimator  none: v = o / sum o; ips: v = o / (n p); snips: v = (o/p) / sum (o/p); dr: v = 1 / n and
               t -> m + (o / p)(t - m), with the imputation m from the noisy proxy eta.
    correction backward: c = l(s, t), t = (r - rho_10) / (1 - rho_01 - rho_10), the paper's surrogate;
               forward: c = CE(rho_10 + (1 - rho_01 - rho_10) sigmoid(s), t), t = r; none: rates are 0.
    risk       plain; nonnegative: max(R_1, 0) + max(R_0, 0) over the parts for l(s,1) and l(s,0);
               capped: the linear part has clamp(s, -6, 6); brier: c = (sigmoid(s) - t)^2.
    Where users differ (option users), r becomes r - (P(r=1 given x, u) - P(r=1 given x)), with u the row's
    user: the rating of a typical user.

    preset=paper is the loss and the nuisances of the authors' code. What remains different there:
    - Rates are quantiles of the proxy over the rows of the batch. The code draws a second batch of 1,024 or
      2,048 rows for them (batch_size=1024 reads as many).
    - The proxy has cross-entropy on rated rows, as in the code. The paper's text weights a squared loss by
      inverse propensities (proxy_loss=squared_ips).
    - One network is proxy and imputation. The code trains two by the same loss.
    - The reward stops on the loss of validation rows. The code's stops on that of training rows, which keeps
      the most overfitted epoch (stop_on=training). The code stops proxy and imputation on validation labels
      that are clean where no user gave feedback; here none is read.
    - Training is that of all methods: standardised features, AdamW, a cosine schedule, clipped gradients.
      The code has Adam at 5e-4, up to 600 epochs, batches of 512, patience 30 (lr, epochs, batch_size,
      patience, lr_warm_up, clip_norm, weight_decay), and weights of whole losses, which Adam cancels.
    """

    estimator: Annotated[
        Literal["none", "ips", "snips", "dr"], Opt("how selection is corrected")
    ] = "dr"
    correction: Annotated[
        Literal["none", "backward", "forward"], Opt("how label noise is corrected")
    ] = "forward"
    risk: Annotated[
        Literal["plain", "nonnegative", "capped", "brier"],
        Opt("how the loss is bounded below; other than plain needs correction none or backward"),
    ] = "plain"
    rho_01: NoiseRate01 = None
    rho_10: NoiseRate10 = None
    rates: Annotated[
        Literal["auto", "gold", "levels", "once", "batch"],
        Opt(
            "source of the rates: gold labels on rated rows (gold), where P(thumb up) levels off (levels), "
            "gold if there are 20 of either class and else levels (auto), quantiles of the proxy (once), or "
            "these in every batch, as the authors' code does (batch)"
        ),
    ] = "auto"
    batch_rows: Annotated[
        Literal["rated", "all"],
        Opt(
            "rows of a batch of none, ips and snips, also of the quantiles of rates=batch: rated, or all "
            "rows, as in the authors' code; dr reads all rows"
        ),
    ] = "rated"
    impute: Annotated[
        Literal["corrected", "noisy"],
        Opt("dr with backward: correct the imputation for noise, or leave it noisy, as published"),
    ] = "corrected"
    quantile: RateQuantile = None
    clip: PropensityClip = 0.01
    propensity_from: PropensityFrom = "xz"
    propensity_loss: Annotated[
        Literal["log", "squared"],
        Opt("loss of the propensity: log-loss, or squared error, as in the authors' code"),
    ] = "log"
    proxy_loss: Annotated[
        Literal["log", "squared_ips"],
        Opt(
            "loss of the proxy eta: log-loss, or squared error weighted by 1 / propensity, as in the paper"
        ),
    ] = "log"
    nuisance_fit: Annotated[
        Literal["out_of_fold", "in_sample"],
        Opt(
            "proxy and propensity: out of fold and calibrated, or one network each on all training rows, as "
            "in the authors' code; not with rates=auto or levels"
        ),
    ] = "out_of_fold"
    stop_on: Annotated[
        Literal["validation", "training"],
        Opt("rows whose loss stops the reward early; training: as in the authors' code"),
    ] = "validation"

    paper = "CausalRM, arXiv 2603.18736; Li et al., KDD 2024; Natarajan et al., NeurIPS 2013"
    presets = {
        "paper": {
            "estimator": "dr",
            "correction": "backward",
            "risk": "plain",
            "rates": "batch",
            "impute": "noisy",
            "quantile": 0.97,
            "clip": 0.1,
            "batch_rows": "all",
            "propensity_loss": "squared",
            "nuisance_fit": "in_sample",
        }
    }
    variants = (
        *({"estimator": e, "correction": c} for e in ESTIMATORS for c in CORRECTIONS),
        *(
            {"estimator": e, "correction": "backward", "risk": r}
            for e in ESTIMATORS
            for r in BOUNDED
        ),
        presets["paper"],
    )

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o"})

    @property
    def _rates_missing(self) -> bool:
        return self.correction != "none" and None in (self.rho_01, self.rho_10)

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        steps: list[Estimable] = []
        out_of_fold = self.nuisance_fit == "out_of_fold"
        reads_proxy = self.estimator == "dr" or self._rates_missing
        weights_proxy = reads_proxy and self.proxy_loss == "squared_ips"
        if self.estimator != "none" or weights_proxy:
            squared = self.propensity_loss == "squared"
            p = replace(propensity, clip=self.clip, reads=self.propensity_from, squared=squared)
            steps.append(replace(p, cross_fit=out_of_fold))
        if reads_proxy:
            weight = "propensity" if weights_proxy else ""
            proxy = replace(noisy, squared=weights_proxy, inverse=weight)
            steps.append(replace(proxy, cross_fit=out_of_fold))
        if self._rates_missing and self.rates == "batch":
            steps.append(batch_rates(self.quantile))
        elif self._rates_missing:
            steps.append(flip_rates(self.quantile, self.rho_01, self.rho_10, self.rates))
        if self.rho_01 is not None and self.rho_10 is not None:
            steps.append(given_rates(self.rho_01, self.rho_10))
        return tuple(steps)

    @property
    def unbiased_if(self) -> Claims:
        plain = self.risk == "plain" and self.correction != "forward" and self.rates != "batch"
        return self._claims if plain and self.estimator in ("ips", "dr") else ()

    @property
    def consistent_if(self) -> Claims:
        sound = self.risk != "capped" and self.rates != "batch" and self.estimator != "none"
        return self._claims if sound and not self.unbiased_if else ()

    @property
    def _claims(self) -> Claims:
        rates = frozenset() if self.correction == "none" else frozenset({"flip_rates"})
        imputed = self.estimator == "dr" and (
            self.impute == "corrected" or self.correction != "backward"
        )
        second = (rates | {"noisy"},) if imputed else ()
        return (rates | {"propensity"}, *second)

    @property
    def assumption(self) -> str:
        return (
            "whether feedback is given depends on the features and the context only, not on the true "
            "preference beyond them; flips have constant rates and rho_01 + rho_10 < 1; the rates are "
            "right, and the propensity (with dr: or the proxy) is right"
        )

    @property
    def bounded_alternative(self) -> str:
        if self.risk != "plain" or (self.correction != "backward" and self.estimator != "dr"):
            return ""
        if self.correction == "forward":
            return "estimator=snips, or correction=backward with risk=brier"
        return "correction=forward, or risk=nonnegative or brier"

    def validate(self) -> None:
        check_noise_rates("causalrm", self.rho_01, self.rho_10)
        if self.correction == "none" and (self.rho_01, self.rho_10) != (None, None):
            raise UsageError(
                "causalrm: correction=none would ignore the given noise rates; drop one"
            )
        if self.quantile is not None and self.rates in ("gold", "levels"):
            raise UsageError(
                f"causalrm: rates={self.rates} would ignore quantile={self.quantile:g}; drop one"
            )
        if (
            self.nuisance_fit == "in_sample"
            and self._rates_missing
            and self.rates in ("auto", "levels")
        ):
            raise UsageError(
                f"causalrm: rates={self.rates} reads a proxy that has not seen its rows, and "
                "nuisance_fit=in_sample gives none; choose rates=batch, once or gold, or give the rates"
            )
        if self.correction == "forward" and self.risk != "plain":
            raise UsageError(
                f"causalrm: risk={self.risk} bounds the backward form; correction=forward is bounded "
                "already, so leave risk=plain"
            )

    def rows(self, data: Feedback) -> Tensor:
        whole = self.estimator == "dr" or self.batch_rows == "all"
        return every(data) if whole else observed(data)

    @property
    def monitor_split(self) -> Literal["validation", "training"]:
        return self.stop_on

    def flips(self, b: Feedback) -> tuple[Tensor, Tensor]:
        """Return (rho_01, rho_10): given, estimated before, or quantiles of the proxy in this batch."""
        if self.correction == "none":
            return b.y.new_zeros(()), b.y.new_zeros(())
        estimated = b.eta
        if self._rates_missing and self.rates == "batch" and len(b):
            u = PUBLISHED_QUANTILE if self.quantile is None else self.quantile
            logits = torch.quantile(odds(b.eta.noisy), b.y.new_tensor([1 - u, u]).double())
            low, high = torch.sigmoid(logits).to(b.y)
            estimated = Columns(rho_01=1 - high, rho_10=low)
        return noise_rates(estimated, b.y, self.rho_01, self.rho_10)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        s, (rho_01, rho_10) = out.reward, self.flips(b)
        y = typical_rating(b)
        d = (1 - rho_01 - rho_10).clamp(min=1e-6)
        forward = self.correction == "forward"
        t = y if forward else (y - rho_10) / d
        w = b.seen if self.estimator == "none" else b.seen / b.eta.propensity
        if self.estimator == "dr":
            raw = forward or self.impute == "noisy"
            m = b.eta.noisy if raw else ((b.eta.noisy - rho_10) / d).clamp(0, 1)
            t, v = m + w * (t - m), torch.full_like(s, 1 / len(s))
        else:
            v = w / (len(s) if self.estimator == "ips" else w.sum().clamp(min=1e-12))
        if forward:
            return (v * noisy_bce(s, t, rho_01, rho_10)).sum()
        if self.risk == "nonnegative":
            good = (v * t * bce(s, s.new_ones(()))).sum()
            bad = (v * (1 - t) * bce(s, s.new_zeros(()))).sum()
            return nonnegative(good) + nonnegative(bad)
        cost = {"plain": bce, "capped": capped_bce, "brier": brier}[self.risk]
        return (v * cost(s, t)).sum()


def typical_rating(b: Feedback) -> Tensor:
    """Return the rating minus what the row's user adds to P(up): r - (P(up given x, u) - P(up given x))."""
    own = b.eta.get(user_column("noisy"))
    return (
        b.y if own is None else b.y + b.eta.noisy - torch.sigmoid(odds(b.eta.noisy) + own).to(b.y)
    )
