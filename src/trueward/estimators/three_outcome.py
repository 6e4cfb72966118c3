"""Three outcomes: missing feedback is evidence, like a thumb up or a thumb down."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import torch

from trueward.core.errors import UsageError
from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.asked_nuisances import selection_with_asks
from trueward.estimation.declarations import NOISE_RATE_01, NOISE_RATE_10
from trueward.estimation.label_shift import label_shift
from trueward.estimation.losses import bce, log_mixture
from trueward.estimation.method import Claims, Method
from trueward.estimation.noise_rates import check_noise_rates
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import naive, noisy, responds
from trueward.estimation.reward_form import (
    HeadLogit,
    RewardForm,
    SegmentPlacement,
    SelectionMixture,
)
from trueward.estimation.selection_average import selection_average

if TYPE_CHECKING:
    from torch import Tensor


class ThreeOutcome(Method):
    """L = -mean [ o r log a + o (1-r) log b + (1-o) log n ], or mean l(s, g) with g computed from a, b, n.

    a = (1 - rho_01) m_1 g + rho_10 m_0 (1-g),  b = rho_01 m_1 g + (1 - rho_10) m_0 (1-g),  n = 1 - a - b:
    the probabilities of a thumb up, a thumb down and no rating. g = sigmoid(s); r: rating; o: 1 where rated;
    m_r = P(feedback given r*=r); rho_01 = P(r=0 given true 1), rho_10 = P(r=1 given true 0) (methods 4.1).
    form=averaged: three networks give the out-of-fold log-odds of a thumb up among the rated and of a rating,
    and naive's own logit. Models of who reacts (missing at random, the same with the chance of a rating in
    g, selection by the label, the same with noise) give g each; their evidence weighs them. Unless missing
    at random has a weight below .6, g is naive's logit, shifted to the average level. The report states the
    weights, a sensitivity range of the share of good responses, and the gold labels that would halve it.
    Where users differ (option users), the networks are those of a typical user, and the models of who reacts
    have the intercepts of each row's user, in who reacts and in what they say; two_step has none.
    form=two_step: a, b, n out of fold lie on a segment, which reduced-rank regression finds and a rank test
    checks; the place on it gives g. Where the test rejects, g is that under missing at random. Not rejecting
    is no evidence for the segment at few ratings: prefer averaged. form=joint: the likelihood, with m_1 and
    m_0 learned. selection=label: m_1 and m_0 are numbers; selection=reward (joint only): logit m_r = c_r +
    k s, so that better answers among the good may get more feedback.
    The noise rates are given, not learned: with free rates nothing is identified. They matter little for
    the ranking.
    Where a lottery decided whom to ask (asked=auto), form=averaged fits who reacts in every arm t: logit m_r
    = c_t + h(x) + (b + d 1[asked]) (r - 1/2), with g the same in all arms, and gold labels of any draw. Where
    fewer than 20 % of the asked answer, asks bound the share of good responses and nothing more.
    """

    form: Annotated[
        Literal["averaged", "two_step", "joint"],
        Opt(
            "models of who reacts weighted by evidence (averaged), a segment with a rank test (two_step), or "
            "one likelihood (joint)"
        ),
    ] = "averaged"
    selection: Annotated[
        Literal["label", "reward"],
        Opt("what feedback depends on: the label alone, or the reward as well (joint)"),
    ] = "label"
    rho_01: Annotated[float, NOISE_RATE_01] = 0.0
    rho_10: Annotated[float, NOISE_RATE_10] = 0.0
    asked: Annotated[
        Literal["auto", "no"],
        Opt("use a lottery of asks where the log has one (averaged), or leave it out"),
    ] = "auto"

    paper = (
        "ours (methods 4.1); evidence: MacKay 1992; label shift: Saerens et al. 2002, Lipton et al. 2018; "
        "Anderson 1951"
    )
    variants = (
        {},
        {"form": "two_step"},
        {"form": "joint", "rho_01": 0.1, "rho_10": 0.2},
        {"form": "joint", "selection": "reward"},
    )

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o", "unrated"})

    @property
    def heads(self) -> dict[str, str]:
        if self.form != "joint":
            return {"reward": "x"}
        numbers = ("good", "bad", *(("slope",) if self.selection == "reward" else ()))
        return {"reward": "x", **dict.fromkeys(numbers, "one")}

    def reward_form(self) -> RewardForm:
        forms: dict[str, RewardForm] = {
            "averaged": SelectionMixture(),
            "two_step": SegmentPlacement(),
            "joint": HeadLogit(),
        }
        return forms[self.form]

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        if self.form == "joint":
            return ()
        chances = [replace(nu, views="both") for nu in (noisy, responds)]
        if self.form == "two_step":  # the segment is one of probabilities over all users
            of_all = (replace(nu, of_users="") for nu in chances)
            return (*of_all, label_shift(self.rho_01, self.rho_10))
        average = selection_with_asks if self.asked == "auto" else selection_average
        return (*chances, naive, average(self.rho_01, self.rho_10))

    @property
    def consistent_if(self) -> Claims:
        exact = self.form == "joint" and self.selection == "label"
        return (frozenset({"flip_rates", "label_selection"}),) if exact else ()

    @property
    def assumption(self) -> str:
        return (
            "feedback is missing at random given the features, or depends on how good the answer is and on "
            "nothing else, and the given noise rates are right; where the log does not tell which, the "
            "ranking is that of naive and the level is a range"
        )

    def validate(self) -> None:
        check_noise_rates("three_outcome", self.rho_01, self.rho_10)
        if self.form != "joint" and self.selection == "reward":
            raise UsageError("three_outcome: selection=reward needs form=joint")

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        s = out.reward
        if self.form != "joint":
            return bce(s, b.eta.target).mean()
        more = out.slope * s.detach().clamp(-6, 6) if self.selection == "reward" else 0.0
        m_1, m_0 = torch.sigmoid(out.good - 0.85 + more), torch.sigmoid(out.bad - 2.2 + more)
        up = log_mixture(s, self.rho_10 * m_0, (1 - self.rho_01) * m_1)
        down = log_mixture(s, (1 - self.rho_10) * m_0, self.rho_01 * m_1)
        none = log_mixture(s, 1 - m_0, 1 - m_1)
        return -torch.where(b.seen > 0, b.y * up + (1 - b.y) * down, none).mean()
