"""Data that other trainers read, labelled by a reward model in place of who happened to react."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trueward.core.errors import TruewardError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trueward.data.log import Log
    from trueward.model.reward_model import RewardModel


def training_data(
    kind: str, model: RewardModel, log: Log, *, least: float = 0.5
) -> list[dict[str, Any]]:
    """Rows for a trainer, from what ``model`` says of the responses of ``log``.

    trl-pairs   chosen and rejected, the best and the worst answer to a prompt, margin = difference of logits
    trl-kto     prompt, completion, label = P > .5, weight = |2 P - 1|, which says how sure the label is
    nemo        context, completions with their ranks, best first, task_name
    verl        one row a prompt: messages, and the prompt in extra_info, where `verl` looks for it

    Pairs whose logits differ by less than ``least`` are left out, and so are prompts with one answer.
    """
    if kind not in KINDS:
        raise UsageError(f"training data are one of {', '.join(KINDS)}, not {kind!r}")
    frame = log.frame.select("prompt", "response", "prompt_id")
    if kind != "verl":
        scores = model.score(frame["prompt"].to_list(), frame["response"].to_list())
        if scores.preferred is None or scores.reward is None:
            raise TruewardError(
                f"labels need one P(preferred) a response, and {model.method} identifies only an interval"
            )
        frame = frame.with_columns(
            pl.Series("p", scores.preferred.numpy()), pl.Series("logit", scores.reward.numpy())
        )
    rows = KINDS[kind](frame.unique(["prompt", "response"], maintain_order=True), least)
    if not rows:
        raise TruewardError(
            f"no prompt of {log.source} gives {kind}: it takes two answers to one prompt whose logits differ "
            f"by {least:g}; give a log with several answers a prompt, or a smaller least"
        )
    return rows


def _pairs(frame: pl.DataFrame, least: float) -> list[dict[str, Any]]:
    found = []
    for part in frame.partition_by("prompt_id", maintain_order=True):
        ordered = part.sort("logit", descending=True, maintain_order=True)
        margin = float(ordered["logit"][0] - ordered["logit"][-1])
        if len(ordered) > 1 and margin >= least:
            found.append(
                {
                    "prompt": _user(ordered["prompt"][0]),
                    "chosen": _assistant(ordered["response"][0]),
                    "rejected": _assistant(ordered["response"][-1]),
                    "margin": round(margin, 6),
                }
            )
    return found


def _kto(frame: pl.DataFrame, _least: float) -> list[dict[str, Any]]:
    return [
        {
            "prompt": _user(prompt),
            "completion": _assistant(response),
            "label": p > 0.5,
            "weight": round(abs(2 * p - 1), 6),
        }
        for prompt, response, p in frame.select("prompt", "response", "p").iter_rows()
    ]


def _nemo(frame: pl.DataFrame, least: float) -> list[dict[str, Any]]:
    found = []
    for part in frame.partition_by("prompt_id", maintain_order=True):
        ordered = part.sort("logit", descending=True, maintain_order=True)
        if len(ordered) > 1 and float(ordered["logit"][0] - ordered["logit"][-1]) >= least:
            ranked = [
                {"rank": k, "completion": _assistant(r)} for k, r in enumerate(ordered["response"])
            ]
            context = _user(ordered["prompt"][0])
            found.append({"context": context, "completions": ranked, "task_name": "trueward"})
    return found


def _verl(frame: pl.DataFrame, _least: float) -> list[dict[str, Any]]:
    prompts = frame["prompt"].unique(maintain_order=True)
    return [
        {
            "data_source": "trueward",
            "prompt": _user(prompt),
            "ability": "chat",
            "reward_model": {"style": "model", "ground_truth": ""},
            "extra_info": {"prompt": prompt, "index": k},
        }
        for k, prompt in enumerate(prompts)
    ]


def _user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def _assistant(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


KINDS: dict[str, Callable[[pl.DataFrame, float], list[dict[str, Any]]]] = {
    "trl-pairs": _pairs,
    "trl-kto": _kto,
    "nemo": _nemo,
    "verl": _verl,
}
