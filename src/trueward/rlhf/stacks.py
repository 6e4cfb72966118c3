"""The reward function that each stack calls, in the shape that it calls it in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch

from trueward.core.errors import TruewardError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .reward import Reward

# marks of common chat templates: <|im_start|>assistant, <start_of_turn>model, [INST], </s> ...
HEADER = re.compile(
    r"<\|(?:im_start|start_header_id)\|>\s*\w+\s*(?:<\|end_header_id\|>)?|<start_of_turn>\s*\w+\s*"
)
MARK = re.compile(
    r"<\|[^|<>]{1,40}\|>|</?s>|<(?:bos|eos|pad|start_of_turn|end_of_turn)>|\[/?INST\]"
)


def trl(reward: Reward, name: str = "trueward") -> Callable[..., list[float]]:
    """``GRPOTrainer(reward_funcs=trl(reward))``: one value a completion, of texts or of chats.

    P(preferred) and the share of far text go to ``log_metric`` where the trainer offers it; ``name`` is
    what the trainer's metrics call the reward, and must differ where there are several.
    """

    def trueward(
        prompts: Sequence[Any],
        completions: Sequence[Any],
        log_metric: Callable[[str, float], None] | None = None,
        **_columns: Any,
    ) -> list[float]:
        values, scores = reward.scored(prompts, completions)
        if log_metric is not None and scores.preferred is not None and len(values):
            log_metric(f"{name}/preferred", float(scores.preferred.mean()))
            log_metric(f"{name}/far", float(scores.out_of_distribution.float().mean()))
        return [float(v) for v in values]

    trueward.__name__ = name
    return trueward


def openrlhf(reward: Reward) -> Callable[..., dict[str, Any]]:
    """Give the ``reward_func`` of the file that ``--reward.remote_url`` names.

    A query is the templated prompt and what followed it. The prompt that the model reads is ``labels``' own
    "prompt" where it has one, else the templated prompt without the marks of the template. Rewards are R,
    scores P(preferred), which dynamic filtering takes.
    """

    def reward_func(
        queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any], **_more: Any
    ) -> dict[str, Any]:
        asked = [
            label["prompt"] if isinstance(label, dict) and "prompt" in label else plain(prompt)
            for label, prompt in zip(labels, prompts, strict=True)
        ]
        said = [plain(q.removeprefix(p)) for q, p in zip(queries, prompts, strict=True)]
        values, scores = reward.scored(asked, said)
        p = torch.empty(0) if scores.preferred is None else scores.preferred
        return {"rewards": values, "scores": p, "extra_logs": {"p_preferred": p}}

    return reward_func


def verl(reward: Reward) -> Callable[..., dict[str, float]]:
    """Give the ``compute_score`` of the file that ``reward.custom_reward_function.path`` names.

    veRL gives the response alone: the prompt must be in ``extra_info["prompt"]``, where `training_data` puts
    it.
    """

    def compute_score(
        data_source: str,
        solution_str: str,
        ground_truth: Any,
        extra_info: dict[str, Any] | None = None,
        **_more: Any,
    ) -> dict[str, float]:
        del data_source, ground_truth
        if not extra_info or "prompt" not in extra_info:
            raise TruewardError(
                "veRL gives a reward function the response alone: put the prompt into extra_info['prompt'] "
                "of the data (trueward training-data verl writes it there)"
            )
        values, scores = reward.scored([extra_info["prompt"]], [solution_str])
        p = 0.5 if scores.preferred is None else float(scores.preferred[0])
        return {"score": float(values[0]), "p_preferred": p}

    return compute_score


def plain(text: str) -> str:
    """A templated text without the marks of its template."""
    return MARK.sub("", HEADER.sub("", text)).strip()
