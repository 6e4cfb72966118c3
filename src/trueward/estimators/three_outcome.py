"""Three outcomes: whether anybody reacted is evidence, besides what was said."""

from dataclasses import replace
from typing import Annotated, Literal

import torch
from torch import Tensor

from trueward.core.errors import UsageError
from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.label_shift import label_shift
from trueward.estimation.losses import bce, log_mixture
from trueward.estimation.method import Claims, Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import noisy, responds
from trueward.estimation.reward_form import HeadLogit, RewardForm, SegmentPlacement

RATE = Opt("", 0, 1, open_high=True)


class ThreeOutcome(Method):
    """L = -mean [ o r log a + o (1-r) log b + (1-o) log n ], or mean l(s, g) with g by algebra from a, b, n.

    a = (1 - rho_01) m_1 g + rho_10 m_0 (1-g),  b = rho_01 m_1 g + (1 - rho_10) m_0 (1-g),  n = 1 - a - b,
    the chances of a thumb up, a thumb down and neither; g = sigmoid(s), m_r = P(feedback given r*=r).
    form  two_step: a, b, n by a three-class model, out of fold; they lie on a segment, which is found by
    reduced-rank regression and tested, and give g (`trueward.estimation.label_shift`). Where the test
    says that selection follows more than the label, g is what it is under MAR.  joint: the likelihood, with
    m_1 and m_0 learned.
    selection  label: m_1 and m_0 are numbers;  reward (joint only): logit m_r = c_r + k s, so
    that better answers among the good may draw more feedback, too.
    The rates are given, not learned: with them free nothing is identified. The ranking hardly needs them.
    """

    form: Annotated[
        Literal["two_step", "joint"], Opt("algebra on a three-class model, or likelihood")
    ] = "two_step"
    selection: Annotated[
        Literal["label", "reward"], Opt("what feedback follows: good or bad, or how good as well")
    ] = "label"
    rho_01: Annotated[float, replace(RATE, help="P(observed 0 given true 1)")] = 0.0
    rho_10: Annotated[float, replace(RATE, help="P(observed 1 given true 0)")] = 0.0

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
        rates = (replace(nu, views="both") for nu in (noisy, responds))
        return (*rates, label_shift(self.rho_01, self.rho_10))

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
        if self.rho_01 + self.rho_10 >= 1:
            raise UsageError(
                f"three_outcome: rho_01 + rho_10 must be below 1, not {self.rho_01 + self.rho_10:g}"
            )
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
