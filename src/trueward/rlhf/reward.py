"""A reward that may be optimised: centred, clipped, and cautious where the model is unsure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from trueward.core.errors import TruewardError, UsageError
from trueward.data.readers.messages import Malformed, flatten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from trueward.model.reward_model import RewardModel, Scores

NEAR = 1e-6  # P is kept so far from 0 and 1
SURE = 1.96  # of an interval's half width, in standard deviations


@dataclass(frozen=True, eq=False)
class Reward:
    """R = clip((s - centre) / scale, -limit, limit), s = logit(P - caution * sd).

    Centre and scale are the mean and the standard deviation of s on reference responses, so that a typical
    answer is worth 0 and a policy gains little by running off the reference: optimising an unclipped reward
    hard finds its errors (Gao, Schulman and Hilton, ICML 2023). sd is the spread of P over the members, or
    that of the model's interval; ``caution`` 1 rewards the lower confidence bound at one sd (Coste et al.,
    ICLR 2024). Text that is farther out than the log (`Scores.out_of_distribution`) is worth -limit where
    ``far`` is "worst".
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
        """Measure centre and scale on reference responses, such as those of the log."""
        if limit <= 0 or caution < 0 or far not in ("as it is", "worst"):
            raise UsageError(
                "a reward takes a limit above 0, a caution of 0 or more, and far 'as it is' or 'worst', not "
                f"{limit:g}, {caution:g} and {far!r}"
            )
        scores = model.score(prompts, responses)
        if caution and not bool(_sd(scores).any()):
            raise UsageError(
                "caution needs to know how sure the model is, and this one has a single member and no "
                "interval: fit with --members 5, or leave caution at 0"
            )
        s = _logit(scores, caution)
        if len(s) < 2 or float(s.std()) == 0:
            raise TruewardError(
                f"centre and scale need reference responses that differ in score, and {len(s)} were given"
            )
        return Reward(model, float(s.mean()), float(s.std()), limit, caution, far)

    def __call__(self, prompts: Sequence[object], responses: Sequence[object]) -> Tensor:
        """(n,) rewards of texts or lists of messages, float32, always finite."""
        return self.scored(prompts, responses)[0]

    def scored(
        self, prompts: Sequence[object], responses: Sequence[object]
    ) -> tuple[Tensor, Scores]:
        """Rewards, and what the model says."""
        scores = self.model.score(texts(prompts, "user"), texts(responses, "assistant"))
        s = (_logit(scores, self.caution) - self.centre) / self.scale
        r = s.clamp(-self.limit, self.limit)
        return (
            torch.where(scores.out_of_distribution, -self.limit, r) if self.far == "worst" else r
        ), scores


def best_of_n(reward: Reward, prompt: object, candidates: Sequence[object]) -> int:
    """Number of the candidate with the highest reward; the first of equals."""
    if not candidates:
        raise TruewardError("best of n takes at least one candidate, and found none")
    return int(reward([prompt] * len(candidates), candidates).argmax())


def texts(values: Sequence[object], speaker: str) -> list[str]:
    """Texts as they are, messages as logs have them."""
    try:
        return [flatten(v, speaker) for v in values]
    except Malformed as e:
        raise TruewardError(
            f"a prompt or a response is text or a list of messages, and one {e}"
        ) from e


def _sd(scores: Scores) -> Tensor:
    if scores.preferred is None:
        raise TruewardError(
            "a reward needs one P(preferred), and this model identifies an interval"
        )
    if scores.low is None:
        return scores.spread
    return ((scores.preferred - scores.low) / SURE).clamp(min=0)


def _logit(scores: Scores, caution: float) -> Tensor:
    sd = _sd(scores)
    assert scores.preferred is not None
    return torch.logit((scores.preferred - caution * sd).clamp(NEAR, 1 - NEAR))
