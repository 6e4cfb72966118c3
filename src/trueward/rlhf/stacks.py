"""Reward functions in the form that each training stack calls: TRL, OpenRLHF and veRL."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import torch

from trueward.core.errors import TruewardError
from trueward.data.readers.chat_marks import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .reward import Reward

_IN_USE: WeakValueDictionary[str, Callable[..., Any]] = WeakValueDictionary()


def trl(reward: Reward, name: str | None = None) -> Callable[..., list[float]]:
    """Return a reward function for TRL: ``GRPOTrainer(reward_funcs=trl(reward))``.

    The mean P(preferred) and the share of out-of-distribution texts are logged as ``NAME/preferred`` and
    ``NAME/far`` where the trainer offers ``log_metric``.

    Parameters
    ----------
    reward : Reward
        The reward.
    name : str, optional
        Name in the trainer's metrics, by which it tells rewards apart; by default ``trueward``, then
        ``trueward_2`` and so on for as long as an earlier function is in use.

    Returns
    -------
    callable
        Takes ``prompts`` and ``completions``, texts or lists of messages; returns one float for each.

    """
    if name is None:
        others = (f"trueward_{k}" for k in itertools.count(2))
        name = next(n for n in itertools.chain(["trueward"], others) if n not in _IN_USE)

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
    _IN_USE[name] = trueward
    return trueward


def openrlhf(reward: Reward) -> Callable[..., dict[str, Any]]:
    """Return the ``reward_func`` for OpenRLHF, in the file that ``--reward.remote_url`` names.

    A query is a templated prompt followed by the response. The model reads the "prompt" of a label where it
    has one, else the templated prompt without the marks of the template.

    Parameters
    ----------
    reward : Reward
        The reward.

    Returns
    -------
    callable
        Takes ``queries``, ``prompts`` and ``labels``. Returns ``rewards`` R (n,), and P(preferred) (n,) as
        ``scores``, which dynamic filtering reads.

    """

    def reward_func(
        queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any], **_more: Any
    ) -> dict[str, Any]:
        questions = [
            label["prompt"] if isinstance(label, dict) and "prompt" in label else plain(prompt)
            for label, prompt in zip(labels, prompts, strict=True)
        ]
        responses = [plain(q.removeprefix(p)) for q, p in zip(queries, prompts, strict=True)]
        values, scores = reward.scored(questions, responses)
        p = torch.empty(0) if scores.preferred is None else scores.preferred
        return {"rewards": values, "scores": p, "extra_logs": {"p_preferred": p}}

    return reward_func


def verl(reward: Reward) -> Callable[..., dict[str, float]]:
    """Return the ``compute_score`` for veRL, in the file ``reward.custom_reward_function.path``.

    Parameters
    ----------
    reward : Reward
        The reward.

    Returns
    -------
    callable
        Takes one response. veRL passes no prompt: it must be in ``extra_info["prompt"]``, where
        `training_data` writes it.

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
                "extra_info of the data has no 'prompt', and veRL passes only the response: write the data "
                "with trueward training-data verl"
            )
        values, scores = reward.scored([extra_info["prompt"]], [solution_str])
        p = 0.5 if scores.preferred is None else float(scores.preferred[0])
        return {"score": float(values[0]), "p_preferred": p}

    return compute_score
