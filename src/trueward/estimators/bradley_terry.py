"""Comparisons alone: Bradley and Terry's model of which of two responses is preferred."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import torch

from trueward.core.errors import UsageError
from trueward.core.options import Opt
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import weighted_mean
from trueward.estimation.method import Claims, Method
from trueward.estimation.pair_losses import Ties, log_outcomes, with_noise
from trueward.estimation.samplers import compared

if TYPE_CHECKING:
    from torch import Tensor

CONTROLS = ("length", "markdown")


class BradleyTerry(Method):
    """L = -mean over pairs of log P(outcome), P(i beats j) = sigmoid(d), d = t_k (s_i - s_j) - margin + b.

    s: score; k: source of the pair. t_k = 1 for the first source, and e^(a number learned) for each other:
    how clearly the pairs of a source follow the score. b = +-position where it is known which response was
    shown first, plus the coefficients of ``control`` times the differences in style; both are learned and are
    no part of the score. Ties: davidson, P(i) : P(j) : P(tie) = e^(d/2) : e^(-d/2) : nu; rao_kupper, P(i) =
    sigmoid(d - log theta). half: half a win of either. none: ties are left out. A share rho of the outcomes
    without a tie names the wrong response (noise), P'(i) = (1 - rho) P(i) + rho P(j).
    Pairs with a known propensity of being compared count 1 / propensity.
    Only differences within a prompt are learned: sigmoid(s) is no probability until `calibrate` or ratings
    give the level (method joint). Without ties, noise, positions, controls and further sources the loss is
    that of TRL's RewardTrainer.
    """

    ties: Annotated[
        Ties, Opt("model of ties: davidson, rao_kupper, half a win of either, or none (left out)")
    ] = "davidson"
    noise: Annotated[
        float, Opt("rho: P(the worse response is named), of all sources", 0, 0.5, open_high=True)
    ] = 0.0
    noise_of: Annotated[
        tuple[str, ...], Opt("rho by source, as judge:0.2,user:0.1; other sources have noise")
    ] = ()
    position: Annotated[
        bool, Opt("learn how much the response shown first gains, where positions are known")
    ] = True
    control: Annotated[
        tuple[str, ...], Opt("style whose effect is learned apart from the score: length, markdown")
    ] = ()
    sources: Annotated[
        tuple[str, ...], Opt("sources after the first, each with its own scale; none: one scale")
    ] = ()

    paper = (
        "Bradley and Terry 1952; ties: Davidson 1970, Rao and Kupper 1967; noise: Patrini et al., CVPR 2017; "
        "style: Chiang et al., ICML 2024"
    )
    variants = (
        {},
        {"ties": "rao_kupper", "noise": 0.1},
        {"ties": "half", "position": False},
        {"ties": "none", "control": ("length",), "sources": ("judge",), "noise_of": ("judge:0.2",)},
    )

    @property
    def needs(self) -> frozenset[str]:
        named = {word.rpartition(":")[0] for word in self.noise_of} | set(self.sources)
        return frozenset({"pairs", *(f"pairs.{k}" for k in named)})

    @property
    def compares(self) -> bool:
        return True

    @property
    def heads(self) -> dict[str, str]:
        numbers = ["tie"] if self.ties in ("davidson", "rao_kupper") else []
        numbers += ["position"] if self.position else []
        numbers += [f"style_{k}" for k in self.control] + [_scale(k) for k in self.sources]
        return {"reward": "x", **dict.fromkeys(numbers, "one")}

    @property
    def consistent_if(self) -> Claims:
        exact = self.ties != "half" and not self.control and not self.sources
        return (frozenset({"comparisons"}),) if exact else ()

    @property
    def assumption(self) -> str:
        return (
            "the chance that a response is preferred to another depends on the difference of their scores "
            "alone, beside position and the controlled style; which responses are compared does not depend "
            "on the outcome, or its propensity is given; and the given noise is right"
        )

    def validate(self) -> None:
        for name in self.control:
            if name not in CONTROLS:
                raise UsageError(
                    f"bradley_terry: control takes {' and '.join(CONTROLS)}, not {name}"
                )
        for source, rate in (word.rpartition(":")[::2] for word in self.noise_of):
            try:
                good = bool(source) and 0 <= float(rate) < 0.5
            except ValueError:
                good = False
            if not good:
                raise UsageError(
                    "bradley_terry: noise_of takes SOURCE:RATE with a rate from 0 to below .5, such as "
                    f"judge:0.2, not {source}:{rate}"
                )

    def resolve(self, capabilities: LogCapabilities) -> tuple[Method, tuple[str, ...]]:
        chosen: dict[str, Any] = {}
        reasons: list[str] = []
        names = [k for k, _ in capabilities.pair_sources]
        if self.ties in ("davidson", "rao_kupper") and not capabilities.ties:
            chosen["ties"] = "none"
        elif self.ties == "none" and capabilities.ties:
            reasons.append(f"{capabilities.ties:,} ties are left out (ties=none).")
        if self.position and not capabilities.positions:
            chosen["position"] = False
        if not self.sources and len(names) > 1:
            chosen["sources"] = tuple(names[1:])
        return replace(self, **chosen), tuple(reasons)

    def rows(self, data: Feedback) -> Tensor:
        return compared(data)

    def lead(self, out: Columns, b: Feedback) -> Tensor:
        """Return (m,) d, the lead of the winner of every pair."""
        assert b.pairs is not None
        pairs, s = b.pairs, out.reward
        d = s[pairs.winner] - s[pairs.loser]
        for name in self.sources:
            of = pairs.source == pairs.sources.index(name) if name in pairs.sources else None
            if of is not None:
                d = torch.where(of, d * out[_scale(name)][pairs.winner].exp(), d)
        d = d - pairs.margin.to(s)
        if self.position:
            d = d + out.position[pairs.winner] * pairs.position.to(s)
        for name in self.control:
            if name in pairs.styles:
                difference = pairs.style[:, pairs.styles.index(name)].to(s)
                d = d + out[f"style_{name}"][pairs.winner] * difference
        return d

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        if b.pairs is None or not len(b.pairs):
            return 0 * out.reward.sum()
        pairs, d = b.pairs, self.lead(out, b)
        level = out.tie[pairs.winner] if "tie" in out else 0.0
        first, second, tied = log_outcomes(d, self.ties, level)
        first, _ = with_noise(first, second, self._rates(b).to(d))
        tie, weight = pairs.tie.to(d), pairs.importance.to(d)
        if b.weight is not None:
            weight = weight * (b.weight[pairs.winner] * b.weight[pairs.loser]).to(d).sqrt()
        if self.ties == "none":
            weight = weight * (1 - tie)
        return weighted_mean(-torch.where(tie > 0, tied, first), weight)

    def _rates(self, b: Feedback) -> Tensor:
        """(m,) rho of every pair."""
        assert b.pairs is not None
        rates = torch.full_like(b.pairs.weight, self.noise)
        for source, rate in (word.rpartition(":")[::2] for word in self.noise_of):
            if source in b.pairs.sources:
                of = b.pairs.source == b.pairs.sources.index(source)
                rates = torch.where(of, float(rate), rates)
        return rates


def _scale(source: str) -> str:
    """Name of the head that is the log of a source's scale."""
    return "scale_" + "".join(c if c.isalnum() else "_" for c in source)
