"""Sizes of the experiment: tiny for a test, small for two CPU cores, large for a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trueward.simulation import helpdesk

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Size:
    """Size of the policy, the log and the training."""

    questions: int  # of the pretraining, four answers each
    vocabulary: int
    width: int
    layers: int
    steps: int  # of the pretraining, 64 answers each
    logged: int  # questions in the log, four answers each
    align_steps: int
    prompts: int  # for each step
    group: int
    lr: float  # of the training with rewards
    length: int = 48  # most tokens of an answer
    asked: int = 256  # questions of the evaluation
    candidates: int = 64  # answers to each of them, for best-of-n
    seeds: int = 3  # of the training with rewards
    logs: int = 20  # for best-of-n
    products: int = 3  # of the help desk
    tasks: int = 4


SIZES = {
    "tiny": Size(
        60, 600, 32, 1, 6, 300, 3, 2, 2, 1e-3, length=12, asked=8, candidates=4, seeds=2, logs=2
    ),
    "small": Size(
        *(2000, 4096, 128, 3, 300, 1500, 60, 4, 8, 1e-3),
        products=2,
        tasks=3,
    ),
    "large": Size(
        *(40000, 4096, 512, 8, 6000, 6000, 1000, 32, 16, 1e-4),
        asked=2048,
        seeds=5,
        products=12,
        tasks=14,
    ),
}


def desk(questions: int, seed: int, size: Size, answers: int = 4) -> pl.DataFrame:
    """Return questions and rated answers of the help desk."""
    return helpdesk(questions, answers, seed, products=size.products, tasks=size.tasks)
