"""Ratings and comparisons in one reward: comparisons help to rank, ratings weigh them and give the level."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from trueward.core.errors import UsageError
from trueward.core.options import Opt
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Columns, Feedback
from trueward.data.log_pairs import FEWEST_PAIRS
from trueward.estimation.declarations import NOISE_RATE_01, NOISE_RATE_10
from trueward.estimation.joint_regression import joining
from trueward.estimation.losses import bce
from trueward.estimation.method import Method
from trueward.estimation.noise_rates import check_noise_rates
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import naive, noisy, responds
from trueward.estimation.pair_scores import PAIRS, pair_score
from trueward.estimation.reward_form import Evidence, EvidenceRegression
from trueward.estimation.selection_average import selection_average

if TYPE_CHECKING:
    from torch import Tensor


class Joint(Method):
    """L = mean l(s, g), logit g = c + h(x) + a m(x) + sum_k b_k f_k(x) + w . x, fitted on the ratings.

    s: reward logit; l: cross-entropy; m: log-odds of a good rating; f_k: score of bradley_terry on the
    comparisons of source k, whose differences are log-odds of a win; both out of fold. a, b_k >= 0 and w
    maximise the likelihood of the ratings, each predicted by networks that have not seen its prompt, with a
    ~ N(0, 1/8), b_k ~ N(.7, 1/8), w ~ N(0, s^2) and s averaged over by its marginal likelihood. h: log-odds
    of three_outcome less those of ratings in it (base=three_outcome, where the log has unrated rows), else
    0. c keeps the mean of three_outcome, or of the ratings. So a source counts as far as it predicts unseen
    ratings, and what a biased source gets wrong is corrected along the features; a source with b_k = 0 is
    named. The report has the agreement of every two kinds of feedback, with intervals. With gold labels,
    anchored takes the same scores as evidence.
    """

    sources: Annotated[
        tuple[str, ...], Opt("sources of comparisons; none: all with 20 comparisons or more")
    ] = ()
    base: Annotated[
        Literal["three_outcome", "ratings"],
        Opt("what ratings alone give: three_outcome, or ratings"),
    ] = "three_outcome"
    rho_01: Annotated[float, NOISE_RATE_01] = 0.0
    rho_10: Annotated[float, NOISE_RATE_10] = 0.0

    paper = "ours; stacking: Wolpert 1992; Bradley and Terry 1952"
    variants = (
        {"sources": ("battle",)},
        {"sources": ("battle", "judge"), "base": "ratings"},
    )

    @property
    def needs(self) -> frozenset[str]:
        of = {"o", "pairs", *(PAIRS + k for k in self.sources)}
        return frozenset(of | ({"unrated"} if self.base == "three_outcome" else set()))

    @property
    def assumption(self) -> str:
        return (
            "those of three_outcome (or of naive, base=ratings) on the level; comparisons that predict "
            "ratings out of fold predict what people want, too"
        )

    def validate(self) -> None:
        check_noise_rates("joint", self.rho_01, self.rho_10)
        if self.base == "ratings" and (self.rho_01 or self.rho_10):
            raise UsageError("joint: base=ratings would ignore the noise rates: leave them out")

    def resolve(self, capabilities: LogCapabilities) -> tuple[Method, tuple[str, ...]]:
        if "pairs" not in capabilities.columns:
            return self, ()
        counts = dict(capabilities.pair_sources)
        enough = tuple(k for k, n in counts.items() if n >= FEWEST_PAIRS)
        few = [f"{k} ({n})" for k, n in counts.items() if n < FEWEST_PAIRS]
        base: Literal["three_outcome", "ratings"] = self.base
        if "unrated" not in capabilities.offers:
            base = "ratings"
        told = (
            (f"Left out: comparisons of {', '.join(few)}, fewer than {FEWEST_PAIRS}.",)
            if few
            else ()
        )
        sources = self.sources or enough or tuple(counts)
        return replace(self, sources=sources, base=base), () if self.sources else told

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        chances = [replace(nu, views="both") for nu in (noisy, responds)]
        selection = (chances[1], naive, selection_average(self.rho_01, self.rho_10, "placed"))
        of_ratings = (chances[0], *(selection if self.base == "three_outcome" else ()))
        column = "placed" if self.base == "three_outcome" else "noisy"
        return (*of_ratings, *map(pair_score, self.sources), joining(self.sources, column))

    def reward_form(self) -> EvidenceRegression:
        pieces = [Evidence("noisy", "odds", ("noisy",))]
        if self.base == "three_outcome":
            of = ("noisy", "responds", "naive")
            more = Evidence("placed", "mixture", of, segment="selection")
            pieces = [more, Evidence("naive", "odds", ("naive",)), *pieces]
        scores = (Evidence(PAIRS + k, "odds", (PAIRS + k,)) for k in self.sources)
        return EvidenceRegression("joint", (*pieces, *scores))

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        return bce(out.reward, b.eta.target).mean()
