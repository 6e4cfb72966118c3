"""Three outcomes: missing feedback is evidence, like a thumb up or a thumb down."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import torch

from trueward.core.errors import UsageError
from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.declarations import NOISE_RATE_01, NOISE_RATE_10
from trueward.estimation.label_shift import label_shift
from trueward.estimation.losses import bce, log_mixture
from trueward.estimation.method import Claims, Method
from trueward.estimation.noise_rates import check_noise_rates
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import noisy, responds
from trueward.estimation.reward_form import HeadLogit, RewardForm, SegmentPlacement

if TYPE_CHECKING:
    from torch import Tensor


class ThreeOutcome(Method):
    """L = -mean [ o r log a + o (1-r) log b + (1-o) log n ], or mean l(s, g) with g by algebra from a, b, n.

    a = (1 - rho_01) m_1 g + rho_10 m_0 (1-g),  b = rho_01 m_1 g + (1 - rho_10) m_0 (1-g),  n = 1 - a - b:
    the probabilities of a thumb up, a thumb down and no rating. g = sigmoid(s); r: rating; o: 1 where rated;
    m_r = P(feedback given r*=r); rho_01 = P(r=0 given true 1), rho_10 = P(r=1 given true 0) (methods 4.1).
    form=two_step: a three-class model gives a, b, n out of fold. They lie on a segment, which reduced-rank
    regression finds and a rank test checks; the place on it gives g. Where the test rejects, selection
    follows more than the label, and g is that under missing at random. form=joint: the likelihood, with
    m_1 and m_0 learned. selection=label: m_1 and m_0 are numbers; selection=reward (joint only): logit m_r
    = c_r + k s, so that better answers among the good may get more feedback.
    The noise rates are given, not learned: with free rates nothing is identified. They matter little for
    the ranking.
    """

    form: Annotated[
        Literal["two_step", "joint"],
        Opt("algebra on a three-class model (two_step), or one likelihood (joint)"),
    ] = "two_step"
    selection: Annotated[
        Literal["label", "reward"],
        Opt("what feedback depends on: the label alone, or the reward as well (joint)"),
    ] = "label"
    rho_01: Annotated[float, NOISE_RATE_01] = 0.0
    rho_10: Annotated[float, NOISE_RATE_10] = 0.0

    paper = (
        "ours (methods 4.1); label shift: Saerens et al. 2002, Lipton et al. 2018; Anderson 1951"
    )
    variants = (
        {},
        {"form": "joint", "rho_01": 0.1, "rho_10": 0.2},
        {"form": "joint", "selection": "reward"},
    )

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o", "unrated"})

    @property
    def heads(self) -> dict[str, str]:
        if self.form == "two_step":
            return {"reward": "x"}
        numbers = ("good", "bad", *(("slope",) if self.selection == "reward" else ()))
        return {"reward": "x", **dict.fromkeys(numbers, "one")}

    def reward_form(self) -> RewardForm:
        return SegmentPlacement() if self.form == "two_step" else HeadLogit()

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        if self.form == "joint":
            return ()
        chances = (replace(nu, views="both") for nu in (noisy, responds))
        return (*chances, label_shift(self.rho_01, self.rho_10))

    @property
    def consistent_if(self) -> Claims:
        exact = self.form == "joint" and self.selection == "label"
        return (frozenset({"flip_rates", "label_selection"}),) if exact else ()

    @property
    def assumption(self) -> str:
        return (
            "whether feedback is given depends on how good the answer is and on nothing else in the "
            "features, and the given noise rates are right; without the first, two_step falls back to MAR"
        )

    def validate(self) -> None:
        check_noise_rates("three_outcome", self.rho_01, self.rho_10)
        if self.form == "two_step" and self.selection == "reward":
            raise UsageError("three_outcome: selection=reward needs form=joint")

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        s = out.reward
        if self.form == "two_step":
            return bce(s, b.eta.target).mean()
        more = out.slope * s.detach().clamp(-6, 6) if self.selection == "reward" else 0.0
        m_1, m_0 = torch.sigmoid(out.good - 0.85 + more), torch.sigmoid(out.bad - 2.2 + more)
        up = log_mixture(s, self.rho_10 * m_0, (1 - self.rho_01) * m_1)
        down = log_mixture(s, (1 - self.rho_10) * m_0, self.rho_01 * m_1)
        none = log_mixture(s, 1 - m_0, 1 - m_1)
        return -torch.where(b.seen > 0, b.y * up + (1 - b.y) * down, none).mean()
