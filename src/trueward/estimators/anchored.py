"""Few gold labels fix the scale; feedback, as evidence for them, gives the ranking."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from trueward.core.errors import UsageError
from trueward.core.options import Opt
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.gold_regression import anchoring
from trueward.estimation.label_shift import placement
from trueward.estimation.losses import bce
from trueward.estimation.method import Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.pair_scores import PAIRS
from trueward.estimation.reward_form import EvidenceRegression
from trueward.estimation.ridge_logistic import CoefficientPrior
from trueward.estimation.signals import (
    CHANNEL,
    FEEDBACK,
    PLACE,
    RATINGS,
    REACTIONS,
    LogSignals,
)

if TYPE_CHECKING:
    from torch import Tensor


class Anchored(Method):
    """L = mean l(s, g), g = sigmoid(b_0 + b . e(x) + w . x) fitted on the gold labels.

    s: reward logit; l: cross-entropy; e: evidence, out-of-fold log-odds given features x: log
    P(up)/P(down) (naive's), log P(up)/P(none), log P(down)/P(none), and the log-odds that three_outcome
    computes from these three probabilities; of clicks and of each channel, the log-odds that it fires; of
    each source of comparisons, the score whose differences are log-odds of a win. b ~ N(c, 1/ridge), with c =
    1 for three_outcome's log-odds (without unrated rows: naive's, or those of clicks) and 0 for the rest; w ~
    N(0, s^2), with s averaged over by its marginal likelihood (methods 4.2). ``low`` and ``high`` are a 95 %
    interval of P(preferred given the response): posterior of b, w and s, and a prior for what evidence and
    features do not explain of the true log-odds.
    Where a lottery decided whom to ask (asked=auto), it gives the ends of three_outcome's segment; and where
    most gold labels are on the asked who stayed silent, answers to asks count as labels beside them, each
    weighted by what it represents, so that the labels are a draw of all responses.
    """

    signals: Annotated[
        Literal["all", "none"] | tuple[str, ...],
        Opt(
            "evidence from the log: ratings, reactions, clicks, channel.NAME, pairs.SOURCE; none: gold "
            "labels alone"
        ),
    ] = "all"
    ridge: Annotated[float, Opt("prior precision of b", 0, open_low=True)] = 1.0
    monotone: Annotated[
        Literal["none", "up", "both"],
        Opt(
            "up: thumbs up and clicks may only raise the reward; both: thumbs down may only lower it, too"
        ),
    ] = "none"
    asked: Annotated[
        Literal["auto", "no"],
        Opt("use a lottery of asks where the log has one, or leave it out"),
    ] = "auto"

    paper = "ours (methods 4.2); stacking: Wolpert 1992; evidence: MacKay 1992"
    variants = (
        {},
        {"signals": ("clicks", "channel.copy")},
        {"signals": "none"},
        {"signals": ("ratings",), "monotone": "both"},
    )

    @property
    def needs(self) -> frozenset[str]:
        names = self.signals if isinstance(self.signals, tuple) else ()
        only_channels = any(s.startswith(CHANNEL) for s in names) and not FEEDBACK.keys() & set(
            names
        )
        return LogSignals(names).needs | {"gold"} | ({"channels"} if only_channels else set())

    def reward_form(self) -> EvidenceRegression:
        return EvidenceRegression(evidence=self._signals.evidence)

    @property
    def assumption(self) -> str:
        return (
            "gold labels are drawn at random from the shown responses (or weighted), and given the features "
            "their log-odds are near a weighted sum of the log's log-odds plus a part linear in the features"
        )

    def resolve(self, capabilities: LogCapabilities) -> tuple[Method, tuple[str, ...]]:
        if self.signals != "all":
            return self, ()
        return replace(self, signals=LogSignals.of(capabilities).names), ()

    def validate(self) -> None:
        for s in self.signals if isinstance(self.signals, tuple) else ():
            if s not in FEEDBACK and not s.startswith((CHANNEL, PAIRS)):
                raise UsageError(
                    "anchored: signals takes ratings, reactions, clicks, channel.NAME or pairs.SOURCE, not "
                    f"{s}"
                )

    @property
    def _signals(self) -> LogSignals:
        usual = {"all": (RATINGS, REACTIONS), "none": ()}
        return LogSignals(self.signals if isinstance(self.signals, tuple) else usual[self.signals])

    @property
    def coefficient_prior(self) -> CoefficientPrior:
        """The prior of the coefficients of the evidence, and the sign that each may have."""
        up, down = float(self.monotone != "none"), -float(self.monotone == "both")
        pieces = [e.name for e in self._signals.evidence]
        lead = PLACE if PLACE in pieces else "noisy"
        signs = {"noisy": up, "up": up, "down": down, PLACE: up}
        centre = tuple(float(name == lead) for name in pieces)
        return CoefficientPrior(self.ridge, centre, tuple(signs.get(name, 0.0) for name in pieces))

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        places = any(e.kind == "place" for e in self._signals.evidence)
        asks = self.asked == "auto"
        placed = (placement(0.0, 0.0, PLACE, asks=asks),) if places else ()
        anchor = anchoring(self.evidence, self.coefficient_prior, asks=asks)
        return (*self._signals.nuisances, *placed, anchor)

    def evidence(self, b: Feedback) -> list[Tensor]:
        """Return the (n,) log-odds of every piece of evidence."""
        return [e.log_odds(b.eta) for e in self._signals.evidence]

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        return bce(out.reward, b.eta.target).mean()

    def interval(self, out: Columns) -> tuple[Tensor, Tensor] | None:
        return (out.low, out.high) if "low" in out else None
