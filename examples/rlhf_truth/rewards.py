"""Rewards learned from one biased, noisy log, and the true quality as a reward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import torch
from policy import answers
from sizes import desk

import trueward as tw
from trueward.core.random import numpy_stream
from trueward.data.feedback import Labelled
from trueward.data.splits import split_rows
from trueward.rlhf import Reward, trl
from trueward.simulation import simulate
from trueward.simulation.helpdesk import RATINGS
from trueward.simulation.helpdesk_truth import QUALITY, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sizes import Size

TRUTH = "truth"
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "naive": ("naive", {}),
    "causalrm": ("causalrm", {}),
    "three_outcome": ("three_outcome", {}),
    "anchored": ("anchored", {}),
    "clean labels": ("oracle", {}),
}
ARMS = (*METHODS, TRUTH)
GOLD = 300  # gold labels in the log; only anchored uses them


def truth(
    prompts: list[list[dict[str, str]]],
    completions: list[list[dict[str, str]]],
    log_metric: Callable[[str, float], None] | None = None,
    **_columns: Any,
) -> list[float]:
    """Return the true P(good) of every answer; log the share of every kind."""
    kinds = [
        kind_of(p[-1]["content"], c[0]["content"])
        for p, c in zip(prompts, completions, strict=True)
    ]
    if log_metric is not None:
        for kind in QUALITY:
            log_metric(f"kind/{kind}", kinds.count(kind) / len(kinds))
    return [QUALITY[k] for k in kinds]


def of_policy(folder: Path, size: Size, seed: int) -> pl.DataFrame:
    """Return answers of the policy, rated by kind as in `helpdesk`; foreign text is rated 0."""
    asked = desk(size.logged, seed, size, answers=1).select("prompt", "prompt_id")
    table = pl.concat([asked] * 4).sort("prompt_id", maintain_order=True)
    prompts = table["prompt"].to_list()
    said = answers(folder, prompts, size.length, seed)
    rng = numpy_stream(seed, "ratings of a policy")
    chances = {**RATINGS, "foreign": (1.0, 0.0, 0.0, 0.0, 0.0)}
    rating = [
        int(rng.choice(5, p=chances[kind_of(p, r)])) for p, r in zip(prompts, said, strict=True)
    ]
    return table.with_columns(pl.Series("response", said), pl.Series("rating", rating))


def learned(
    arm: str, rated: pl.DataFrame, alpha: float, seed: int
) -> tuple[Reward, dict[str, float]]:
    """Return the reward of a method fitted on the log, and its metrics on true labels of other questions."""
    method, options = METHODS[arm]
    world = simulate(rated, threshold=2, alpha=alpha, rho_01=0.1, rho_10=0.2, gold=GOLD, seed=seed)
    data = tw.encode(tw.read_log(world.log))
    source: Any = data
    if method == "oracle":
        label = torch.tensor(world.truth["label"].to_numpy(), dtype=torch.float32)
        source = Labelled(data.x, label, group=data.group, backbone=data.backbone)
    train, val = split_rows(len(data), 0.2, seed, data.group)
    model = tw.fit(method, source[train], source[val], seed=seed, **options)
    found = tw.evaluate(model, tw.encode(tw.read_test(world.test)), draws=0)
    texts = world.log["prompt"].to_list(), world.log["response"].to_list()
    names = ("auroc", "r2", "pair_accuracy")
    return Reward.of(model, *texts), {k: found[k].value for k in names}


def rewards(
    arm: str, rated: pl.DataFrame, alpha: float, seed: int
) -> tuple[list[Any], list[float], dict[str, float]]:
    """Return the reward functions for `align`, their weights (truth: 0) and the reward model's metrics."""
    if arm == TRUTH:
        return [truth], [1.0], {}
    reward, metrics = learned(arm, rated, alpha, seed)
    return [trl(reward, "proxy"), truth], [1.0, 0.0], metrics
