"""How large the experiment is: tiny for a test, small for two CPU cores, large for a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trueward.simulation import helpdesk

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Size:
    """Of the policy, of the log, and of the training with rewards."""

    questions: int  # that the policy learns to answer before any reward, four answers each
    vocabulary: int
    width: int
    layers: int
    steps: int  # of that learning, 64 answers each
    logged: int  # questions in the log, four answers each
    align_steps: int
    prompts: int  # a step
    group: int
    lr: float  # of the training with rewards
    length: int = 48  # tokens of an answer at most
    asked: int = 256  # questions of the final measurement
    candidates: int = 64  # answers to each of these, of which a reward picks the best
    seeds: int = 3  # of the training with rewards
    logs: int = 20  # whose rewards pick the best of n
    products: int = 3  # that the desk is asked about
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
    """The help desk of a size: questions with rated answers."""
    return helpdesk(questions, answers, seed, products=size.products, tasks=size.tasks)
