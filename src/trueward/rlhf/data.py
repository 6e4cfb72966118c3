"""Training data for other trainers: every response of a log, labelled by a reward model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import polars as pl

from trueward.core.arguments import NUMBER, require_kinds
from trueward.core.errors import TruewardError, UsageError
from trueward.data.log_reading import as_log
from trueward.model.reward_model import fitted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trueward.data.log import Log
    from trueward.model.reward_model import RewardModel


def training_data(
    kind: str, model: RewardModel | str | Path, log: Log | object, *, least: float = 0.5
) -> list[dict[str, Any]]:
    """Label the responses of a log for another trainer.

    The labels are those of the reward model, for every response that was shown. They do not depend on who
    gave feedback.

    Parameters
    ----------
    kind : {"trl-pairs", "trl-kto", "nemo", "verl"}
        ``trl-pairs``: prompt, chosen and rejected (the best and the worst response), margin (difference of
        their logits). ``trl-kto``: prompt, completion, label (P > .5), weight = abs(2 P - 1).
        ``nemo``: context, completions with ranks from 0 (best), task_name. ``verl``: one row for each
        prompt, with the prompt in ``extra_info``, where `verl` reads it.
    model : RewardModel, str or Path
        The model, or its folder.
    log : Log, path or table
        The log, or what `read_log` reads. Equal pairs of prompt and response count once.
    least : float, default=0.5
        For ``trl-pairs`` and ``nemo``, the smallest difference of logits between the best and the worst
        response to a prompt. Other prompts are left out.

    Returns
    -------
    list of dict
        The rows.

    Raises
    ------
    UsageError
        If there is no such kind.
    TruewardError
        If the model identifies only an interval of P, or no prompt gives a row.

    Examples
    --------
    >>> training_data("dpo", "rm", "log.parquet")
    Traceback (most recent call last):
    ...
    trueward.core.errors.UsageError: expected one of trl-pairs, trl-kto, nemo, verl, found 'dpo'

    """
    known_kind(kind)
    require_kinds("training_data", least=(least, NUMBER))
    able = callable(getattr(model, "score", None))  # any object that scores as a model does
    model = cast("RewardModel", model) if able else fitted(model, "training_data")
    log = as_log(log, "training_data")
    rows = rows_of(kind, model, log.frame.select("prompt", "response", "prompt_id"), least)
    if not rows:
        raise no_rows(log.source, kind, least)
    return rows


def rows_of(
    kind: str, model: RewardModel, frame: pl.DataFrame, least: float
) -> list[dict[str, Any]]:
    """Label responses, of whose prompts all responses are there; the rows may be none.

    Parameters
    ----------
    kind : str
        A kind of `training_data`.
    model : RewardModel
        The model.
    frame : polars.DataFrame
        Columns ``prompt``, ``response`` and ``prompt_id``.
    least : float
        Smallest difference of logits between the best and the worst response of a prompt.

    """
    if kind != "verl":
        scores = model.score(frame["prompt"].to_list(), frame["response"].to_list())
        if scores.preferred is None or scores.reward is None:
            raise TruewardError(
                "labels need one P(preferred) for each response, and "
                f"{model.method} identifies only an interval: fit another method"
            )
        frame = frame.with_columns(
            pl.Series("p", scores.preferred.numpy()), pl.Series("logit", scores.reward.numpy())
        )
    return KINDS[kind](frame.unique(["prompt", "response"], maintain_order=True), least)


def no_rows(source: str, kind: str, least: float) -> TruewardError:
    """Return the error about a log that gives no row."""
    return TruewardError(
        f"{source} gives no row of {kind}: no prompt has two responses whose logits differ by "
        f"{least:g} or more; give a log with several answers a prompt, or a smaller least"
    )


def known_kind(kind: str) -> None:
    """Refuse a kind of training data that there is not.

    Parameters
    ----------
    kind : str
        What is asked for.

    Raises
    ------
    UsageError
        If there is no such kind.

    """
    if not isinstance(kind, str) or kind not in KINDS:
        raise UsageError(f"expected one of {', '.join(KINDS)}, found {kind!r}")


def _ranked_prompts(frame: pl.DataFrame, least: float) -> list[pl.DataFrame]:
    """Responses to each prompt, best first, of the prompts whose logits differ by ``least``."""
    parts = [
        part.sort("logit", descending=True, maintain_order=True)
        for part in frame.partition_by("prompt_id", maintain_order=True)
    ]
    return [part for part in parts if len(part) > 1 and _margin(part) >= least]


def _margin(ranked: pl.DataFrame) -> float:
    return float(ranked["logit"][0] - ranked["logit"][-1])


def _pairs(frame: pl.DataFrame, least: float) -> list[dict[str, Any]]:
    return [
        {
            "prompt": _user(part["prompt"][0]),
            "chosen": _assistant(part["response"][0]),
            "rejected": _assistant(part["response"][-1]),
            "margin": round(_margin(part), 6),
        }
        for part in _ranked_prompts(frame, least)
    ]


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
    return [
        {
            "context": _user(part["prompt"][0]),
            "completions": [
                {"rank": k, "completion": _assistant(r)} for k, r in enumerate(part["response"])
            ],
            "task_name": "trueward",
        }
        for part in _ranked_prompts(frame, least)
    ]


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
