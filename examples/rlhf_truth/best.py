"""Best of n: a reward selects among many answers of the initial policy."""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from policy import answers
from rewards import truth
from seeds import against_naive, clear, seeds_of, shown

from trueward.core.atomic_io import replacing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from seeds import Run, Runs
    from sizes import Size

CHOICES = (1, 2, 4, 8, 16, 32, 64)


def candidates(out: Path, size: Size, asked: list[str]) -> pl.DataFrame:
    """Return answers of the policy to every question with their true quality; they are stored."""
    file = out / "candidates.parquet"
    if not file.exists():
        prompts = [p for p in asked for _ in range(size.candidates)]
        said = answers(out / "start", prompts, size.length, seed=1)
        made = pl.DataFrame({"prompt": prompts, "response": said})
        with replacing(file) as path:
            made.with_columns(truth=pl.Series(paid(truth, made))).write_parquet(path)
    return pl.read_parquet(file)


def paid(reward: Callable[..., list[float]], made: pl.DataFrame) -> list[float]:
    """Return the value of a TRL reward function for every answer."""
    prompts = [[{"role": "user", "content": p}] for p in made["prompt"]]
    completions = [[{"role": "assistant", "content": r}] for r in made["response"]]
    return reward(prompts=prompts, completions=completions)


def best_of(
    reward: NDArray[np.float64], quality: NDArray[np.float64], n: int
) -> NDArray[np.float64]:
    """Return the expected quality of the best of n answers by reward, shape (m,); inputs are (m, N).

    The expectation is over all subsets of n of the N answers: the answer of rank k from below is the best with
    probability C(k - 1, n - 1) / C(N, n). Of equal rewards the later answer counts as better.
    """
    many = reward.shape[1]
    chance = np.array([comb(k, n - 1) / comb(many, n) for k in range(many)])
    ranked = np.take_along_axis(quality, np.argsort(reward, axis=1, kind="stable"), axis=1)
    return ranked @ chance


def chosen(
    reward: Callable[..., list[float]], made: pl.DataFrame, size: Size
) -> dict[str, dict[str, float]]:
    """Return the mean true quality and the mean reward of the selected answers, by n."""
    shape = (-1, size.candidates)
    pays = np.array(paid(reward, made)).reshape(shape)
    quality = made["truth"].to_numpy().reshape(shape)
    return {
        str(n): {
            "truth": float(best_of(pays, quality, n).mean()),
            "reward": float(best_of(pays, pays, n).mean()),
        }
        for n in CHOICES
        if n <= size.candidates
    }


def section(found: Runs, settings: dict[str, Any]) -> list[str]:
    """Return the table of best-of-n for each reward, and the differences to naive within a log."""
    several = [n for n in CHOICES[::2] if n <= settings["candidates"]]

    def worth(n: int) -> Callable[[Run], float]:
        return lambda run: float(run["best_of_n"][str(n)]["truth"])

    rows = [
        "## Best of n: nothing is trained",
        "",
        f"The policy before any reward writes {settings['candidates']} answers to each of {settings['asked']} questions, the same for every reward, and the reward picks the",
        f"best of n. True quality of what is picked, over all choices of n of these answers, and over {seeds_of(found)} logs; differences are within a log.",
        "",
        f"| reward | {' | '.join(f'n = {n}' for n in several)} | {' | '.join(f'against naive, n = {n}' for n in several[-2:])} |",
        f"|---|{'---|' * (len(several) + 2)}",
    ]
    for arm, runs in found.items():
        cells = [shown([worth(n)(r) for r in runs]) for n in several]
        cells += [against_naive(found, arm, worth(n)) for n in several[-2:]]
        rows.append(f"| `{arm}` | {' | '.join(cells)} |")
    said = "; ".join(f"at n = {n} {clear(found, worth(n))}" for n in several[-2:])
    return [*rows, "", f"Against `naive` these differ by more than their interval: {said}.", ""]
