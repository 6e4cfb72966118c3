"""Gold labels and everything the log says: its signals as evidence, gold as the scale."""

from dataclasses import replace
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from trueward.core.errors import UsageError
from trueward.core.options import Opt
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.capture_recapture import rate
from trueward.estimation.gold_regression import Prior, anchoring
from trueward.estimation.label_shift import placement
from trueward.estimation.losses import bce
from trueward.estimation.method import Method
from trueward.estimation.nuisance_types import Estimable, Nuisance
from trueward.estimation.nuisances import clicked, noisy, responds

RATINGS, REACTIONS, CLICKS, CHANNEL = "ratings", "reactions", "clicks", "channel."
PLACED = "three_outcome"
FEEDBACK = {
    RATINGS: ("o", replace(noisy, views="both")),
    REACTIONS: ("unrated", replace(responds, views="both")),
    CLICKS: ("clicks", replace(clicked, views="both")),
}


class Anchored(Method):
    """L = mean l(s, g), g = sigmoid(b_0 + b . e(x) + w . x) fitted on the gold labels.

    e: naive's log-odds log P(up)/P(down), log P(up)/P(none) and log P(down)/P(none), given x and out of fold,
    and the log-odds that `three_outcome` makes of the three chances; of clicks, and of each channel, the
    log-odds that it fires. b ~ N(c, 1/ridge), c = 1 for three_outcome's log-odds (where no reactions count:
    naive's, or those of clicks) and 0 for the rest; w ~ N(0, s^2), s averaged over by its marginal
    likelihood. g's 95 % interval speaks of the draw of gold labels and of nothing else.
    """

    signals: Annotated[
        Literal["all", "none"] | tuple[str, ...],
        Opt("what of the log counts: ratings, reactions, clicks, channel.NAME; none: gold alone"),
    ] = "all"
    ridge: Annotated[float, Opt("precision of b, in log-odds", 0, open_low=True)] = 1.0
    monotone: Annotated[
        Literal["none", "up", "both"],
        Opt("a thumb up, or a click, may only count for good; both: and a thumb down against it"),
    ] = "none"

    paper = "ours (methods 4.2); stacking: Wolpert 1992; evidence: MacKay 1992"
    variants = (
        {},
        {"signals": ("clicks", "channel.copy")},
        {"signals": "none"},
        {"signals": ("ratings",), "monotone": "both"},
    )

    @property
    def needs(self) -> frozenset[str]:
        signals = self.signals if isinstance(self.signals, tuple) else ()
        columns = {FEEDBACK[s][0] if s in FEEDBACK else s for s in signals}
        only = signals and not FEEDBACK.keys() & set(signals)
        return frozenset({"gold", *columns, *(["channels"] if only else [])})

    @property
    def composed(self) -> bool:
        return True

    @property
    def assumption(self) -> str:
        return (
            "gold labels are drawn at random from the shown responses (or weighted), and given the features "
            "their log-odds are near a sum of the log's log-odds and a part linear in the features"
        )

    def resolve(self, capabilities: LogCapabilities) -> tuple[Method, tuple[str, ...]]:
        if self.signals != "all":
            return self, ()
        rated = (RATINGS, *((REACTIONS,) if "unrated" in capabilities.offers else ()))
        found = rated if "o" in capabilities.columns else (CLICKS,) if capabilities.rated else ()
        return replace(self, signals=(*found, *(CHANNEL + k for k in capabilities.channels))), ()

    def validate(self) -> None:
        for s in self.signals if isinstance(self.signals, tuple) else ():
            if s not in FEEDBACK and not s.startswith(CHANNEL):
                raise UsageError(
                    f"anchored: signals takes ratings, reactions, clicks or channel.NAME, not {s}"
                )

    @property
    def _signals(self) -> tuple[str, ...]:
        usual = {"all": (RATINGS, REACTIONS), "none": ()}
        return self.signals if isinstance(self.signals, tuple) else usual[self.signals]

    @property
    def pieces(self) -> dict[str, tuple[float, float]]:
        """Of every piece of evidence the centre of its coefficient and the sign it may have."""
        up, down = float(self.monotone != "none"), -float(self.monotone == "both")
        both = {RATINGS, REACTIONS} <= set(self._signals)
        three = {"noisy": (0.0, up), "up": (0.0, up), "down": (0.0, down), PLACED: (1.0, up)}
        pieces = {
            RATINGS: three if both else {"noisy": (1.0, up)},
            REACTIONS: {} if both else {"responds": (0.0, 0.0)},
            CLICKS: {"noisy": (1.0, up)},
        }
        return {k: v for s in self._signals for k, v in pieces.get(s, {s: (0.0, 0.0)}).items()}

    @property
    def _rates(self) -> tuple[Nuisance, ...]:
        """The chance of every signal."""
        return tuple(
            FEEDBACK[s][1]
            if s in FEEDBACK
            else replace(rate(s.removeprefix(CHANNEL)), views="both")
            for s in self._signals
        )

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        centre, sign = zip(*self.pieces.values(), strict=True) if self.pieces else ((), ())
        placed = (placement(0.0, 0.0, PLACED),) if PLACED in self.pieces else ()
        return (*self._rates, *placed, anchoring(self.evidence, Prior(self.ridge, centre, sign)))

    def evidence(self, b: Feedback) -> list[Tensor]:
        """(n,) log-odds, a piece each."""
        odds = self.signalled(b)
        if PLACED in self.pieces:
            odds[PLACED] = torch.logit(b.eta[PLACED].double(), 1e-6)
        return [odds[k] for k in self.pieces]

    def signalled(self, b: Feedback) -> dict[str, Tensor]:
        """(n,) log-odds of the signals themselves, by piece."""
        odds = {nu.name: torch.logit(b.eta[nu.name].double(), 1e-6) for nu in self._rates}
        if {"noisy", "responds"} <= set(odds):
            q, p = odds["noisy"], odds["responds"]
            odds |= {"up": p + F.logsigmoid(q), "down": p + F.logsigmoid(-q)}
        return {k: odds[k] for k in self.pieces if k in odds}

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        return bce(out.reward, b.eta.target).mean()

    def interval(self, out: Columns) -> tuple[Tensor, Tensor] | None:
        return (out.low, out.high) if "low" in out else None
