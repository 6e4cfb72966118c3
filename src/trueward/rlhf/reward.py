"""A learned reward made safe to optimise: standardised, clipped, and lower where the model is unsure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from trueward.core.errors import TruewardError, UsageError
from trueward.data.pairs import texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from trueward.model.reward_model import RewardModel, Scores

P_MARGIN = 1e-6  # P is clipped to [1e-6, 1 - 1e-6]
Z_95 = 1.96  # half width of a 95 % interval, in standard deviations
FAR = ("as it is", "worst")


@dataclass(frozen=True, eq=False)
class Reward:
    """R = clip((s - centre) / scale, -limit, limit), s = logit(P - caution sd).

    Centre and scale are the mean and the standard deviation of s on reference responses. A typical response
    has the reward 0, and the clip bounds the gain of text far from the reference. The standard deviation sd
    of P is that over the members of the model, or (P - low) / 1.96, where the model has a 95 % interval
    of the true P of each response.

    Attributes
    ----------
    model : RewardModel
        The fitted model.
    centre, scale : float
        Mean and standard deviation of s on the reference, in logits.
    limit : float, default=4
        Bound of R, above 0.
    caution : float, default=0
        Standard deviations that are subtracted from P; 1 rewards a lower confidence bound.
    far : {"as it is", "worst"}, default="as it is"
        Reward of out-of-distribution text (`Scores.far`): unchanged, or -limit.

    References
    ----------
    Gao, Schulman and Hilton, ICML 2023: optimising an unclipped reward finds its errors.
    Coste et al., ICLR 2024: lower confidence bounds of ensembles.

    """

    model: RewardModel
    centre: float
    scale: float
    limit: float = 4.0
    caution: float = 0.0
    far: str = "as it is"

    @staticmethod
    def of(
        model: RewardModel,
        prompts: Sequence[str],
        responses: Sequence[str],
        *,
        limit: float = 4.0,
        caution: float = 0.0,
        far: str = "as it is",
    ) -> Reward:
        """Measure centre and scale on reference responses.

        Parameters
        ----------
        model : RewardModel
            A model that reads text.
        prompts, responses : sequences of str
            n typical prompts with their responses, such as those of the log.
        limit, caution, far
            See the attributes of `Reward`.

        Returns
        -------
        Reward
            The reward.

        Raises
        ------
        UsageError
            If an option is out of its range, or the model gives no standard deviation for ``caution``.
        TruewardError
            If the reference responses do not differ in score.

        """
        if limit <= 0 or caution < 0 or far not in FAR:
            raise UsageError(
                f"expected limit > 0, caution >= 0 and far {FAR[0]!r} or {FAR[1]!r}, found {limit:g}, "
                f"{caution:g} and {far!r}"
            )
        scores = model.score(prompts, responses)
        if caution and not bool(_sd(scores).any()):
            raise UsageError(
                "caution needs a standard deviation, and this model has one member and no interval: fit with "
                "--members 5, or leave caution at 0"
            )
        s = cautious_logit(scores, caution)
        if len(s) < 2 or float(s.std()) == 0:
            raise TruewardError(
                f"centre and scale need reference responses that differ in score, found {len(s)} responses: "
                "give more typical ones"
            )
        return Reward(model, float(s.mean()), float(s.std()), limit, caution, far)

    def __call__(self, prompts: Sequence[object], responses: Sequence[object]) -> Tensor:
        """Return R, (n,) float32 and finite, of n texts or lists of messages."""
        return self.scored(prompts, responses)[0]

    def scored(
        self, prompts: Sequence[object], responses: Sequence[object]
    ) -> tuple[Tensor, Scores]:
        """Return R and the scores of the model.

        Parameters
        ----------
        prompts, responses : sequences of length n
            Texts or lists of messages.

        Returns
        -------
        tuple of Tensor of shape (n,) and Scores
            R, float32, and the scores.

        """
        scores = self.model.score(texts(prompts, "user"), texts(responses, "assistant"))
        s = (cautious_logit(scores, self.caution) - self.centre) / self.scale
        r = s.clamp(-self.limit, self.limit)
        return (
            torch.where(scores.out_of_distribution, -self.limit, r) if self.far == "worst" else r
        ), scores


def best_of_n(reward: Reward, prompt: object, candidates: Sequence[object]) -> int:
    """Return the index of the candidate with the highest reward, the first of equal ones.

    Parameters
    ----------
    reward : Reward
        The reward.
    prompt : str or list of messages
        The prompt.
    candidates : sequence of str or lists of messages
        Responses to it.

    Returns
    -------
    int
        Index into ``candidates``.

    Raises
    ------
    TruewardError
        If there are no candidates.

    """
    if not candidates:
        raise TruewardError("expected at least one candidate, found none")
    return int(reward([prompt] * len(candidates), candidates).argmax())


def _sd(scores: Scores) -> Tensor:
    """Standard deviation of P: over the members, or from the lower end of the interval of the response."""
    if scores.preferred is None:
        raise TruewardError(
            "a reward needs one P(preferred) for each response, and this model identifies only an interval: "
            "fit another method"
        )
    if scores.low is None:
        return scores.spread
    return ((scores.preferred - scores.low) / Z_95).clamp(min=0)


def cautious_logit(scores: Scores, caution: float) -> Tensor:
    """S = logit(P - caution sd), P clipped."""
    sd = _sd(scores)
    assert scores.preferred is not None
    return torch.logit((scores.preferred - caution * sd).clamp(P_MARGIN, 1 - P_MARGIN))
