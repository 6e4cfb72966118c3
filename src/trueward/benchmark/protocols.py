"""Protocols of a paper's experiment: how its rows are split, and which labels choose a trial.

A job of one of these kinds keeps the figures of every trial, so that a table can show what each choice
gives. Only `trueward.benchmark.reproduction` builds such jobs: a benchmark's YAML cannot name the kinds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from trueward.model.reward_model import RewardModel

Split = Literal["prompts", "rows"]

#: Rows are split as in the authors' code: rows of a prompt may be on both sides, the test is the hub's.
AS_PUBLISHED = "as published"
#: Rows are split by prompt.
BY_PROMPT = "by prompt"
PROTOCOLS = (AS_PUBLISHED, BY_PROMPT)

#: What chooses a trial: the feedback of validation rows, their true labels, or the true labels of the test.
OBSERVABLE, CLEAN, ON_TEST = "observable validation", "clean validation", "test labels"
CHOICES = (ON_TEST, CLEAN, OBSERVABLE)


def split_of(kind: str) -> Split:
    """Return how the rows are split in a job of a kind.

    Parameters
    ----------
    kind : str
        Kind of the job.

    """
    return "rows" if kind == AS_PUBLISHED else "prompts"


def tried(
    trials: Iterable[tuple[RewardModel, float, Mapping[str, Any]]],
    on_validation: Callable[[RewardModel], float | None],
    on_test: Callable[[RewardModel], dict[str, float | None]],
) -> list[dict[str, Any]]:
    """Return the figures of every trial, for a later choice.

    Parameters
    ----------
    trials : iterable of (RewardModel, float, mapping)
        Fitted model, observable criterion and options of each trial.
    on_validation : callable
        Returns R2 of a model on the true labels of the validation rows.
    on_test : callable
        Returns the metrics of a model on the test.

    Returns
    -------
    list of dict
        ``criterion`` (None if it is not finite), ``validation_r2``, ``metrics`` and ``options``.

    """
    return [
        {
            "criterion": criterion if math.isfinite(criterion) else None,
            "validation_r2": on_validation(model),
            "metrics": on_test(model),
            "options": dict(options),
        }
        for model, criterion, options in trials
    ]


def chosen(trials: Sequence[Mapping[str, Any]], choice: str) -> dict[str, float | None] | None:
    """Return the test metrics of the trial that a choice takes.

    Parameters
    ----------
    trials : sequence of mapping
        Result of `tried`.
    choice : str
        One of `CHOICES`: the lowest criterion, or the highest R2 on validation or test labels.

    Returns
    -------
    dict or None
        None if no trial has the figure that the choice needs.

    Examples
    --------
    >>> one = {"criterion": 0.4, "validation_r2": 0.1, "metrics": {"r2": 0.3}}
    >>> other = {"criterion": 0.5, "validation_r2": 0.2, "metrics": {"r2": 0.1}}
    >>> [chosen([one, other], choice)["r2"] for choice in CHOICES]
    [0.3, 0.1, 0.3]

    """
    value: Callable[[Mapping[str, Any]], float | None] = {
        OBSERVABLE: lambda t: None if t["criterion"] is None else -t["criterion"],
        CLEAN: lambda t: t["validation_r2"],
        ON_TEST: lambda t: t["metrics"]["r2"],
    }[choice]
    ranked = [(v, t) for t in trials if (v := value(t)) is not None]
    return dict(max(ranked, key=lambda pair: pair[0])[1]["metrics"]) if ranked else None
