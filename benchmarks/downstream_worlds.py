"""Pools of answers with known true quality, and logs of what a policy shows of them: the worlds of `downstream`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch

import trueward as tw
from trueward.core.atomic_io import replacing
from trueward.core.random import numpy_stream
from trueward.simulation import helpdesk
from trueward.simulation.helpdesk_truth import QUALITY
from trueward.simulation.mechanisms import MECHANISMS
from trueward.simulation.scores import text_statistics
from trueward.simulation.selection import LogRows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

RHO_01, RHO_10 = 0.1, 0.2  # P(thumb down | good), P(thumb up | bad)
ALPHA, RATE = (
    0.5,
    0.2,
)  # strength of the selection, mean propensity over the answers of the base policy
WIDTH = 1024  # random directions that the standardised features are projected on: a fit takes half the time
TESTED = 300  # test prompts of a cell, at most
FEWEST = 8  # answers to a prompt, below which it is left out


@dataclass(frozen=True, eq=False)
class Pool:
    """Answers to prompts: each row one answer.

    Attributes
    ----------
    prompt : array of int, shape (n,)
        Number of the prompt, sorted.
    quality : array of float, shape (n,)
        What a policy is worth: P(rating > 2) of the kind of answer (help desk), or the label.
    rating, label : array of float, shape (n,)
        Rating, and whether a user is satisfied (0 or 1), of this answer.
    x : Tensor
        (n, d) features: those of the default backbone, standardised over the pool and projected on
        ``WIDTH`` random directions, or as they are.
    looks : array of float, shape (n, k)
        Features of the mechanisms that depend on the text.

    """

    prompt: Index
    quality: Array
    rating: Array
    label: Array
    x: torch.Tensor
    looks: Array

    def rows(self, kept: NDArray[np.bool_]) -> Pool:
        """Return the rows where ``kept`` is true."""
        x = self.x[torch.from_numpy(np.flatnonzero(kept))]
        numbers = (self.prompt, self.quality, self.rating, self.label)
        return Pool(*(v[kept] for v in numbers), x, self.looks[kept])


def _helpdesk(data: Path, size: float) -> pl.DataFrame:
    """Return sixteen answers to each generated question; the quality is exact by kind."""
    del data
    d = helpdesk(max(20, round(1000 * size)), 16, seed=0)
    quality = d["kind"].replace_strict(QUALITY, return_dtype=pl.Float64)
    return d.with_columns(
        pl.col("rating").cast(pl.Float64),
        (pl.col("rating") > 2).alias("label"),
        quality.alias("quality"),
    )


def _arena(data: Path, size: float) -> pl.DataFrame:
    """Return the answers of 16 models to prompts of users; good is a judge's grade above 5.5."""
    d = pl.read_parquet(data / "arena_bench_v1_gpt4_score10" / "data.parquet")
    d = d.filter(pl.col("prompt_id") < 302 * size)
    good = pl.col("score") > 5.5
    return d.select("prompt", "response", "prompt_id", rating="score", label=good, quality=good)


def _gptfuzz(data: Path, size: float) -> pl.DataFrame:
    """Return answers of language models to harmful questions; good is not jailbroken, as humans judged."""
    d = pl.read_parquet(data / "gptfuzz_human_labeled" / "data.parquet")
    d = d.filter(pl.col("question_id") < 100 * size)
    safe = 1 - pl.col("jailbroken")
    return d.select("prompt", "response", prompt_id="prompt", rating=safe, label=safe, quality=safe)


WORLDS: dict[str, Callable[[Path, float], pl.DataFrame]] = {
    "helpdesk": _helpdesk,
    "arena": _arena,
    "gptfuzz": _gptfuzz,
}
#: Prompts of the training part, and answers that are shown to each in a round.
SHOWN = {"helpdesk": (350, 4), "arena": (200, 8), "gptfuzz": (70, 24)}


def read_pool(name: str, data: Path, out: Path, size: float, *, full: bool = False) -> Pool:
    """Return a pool; its features are computed once and kept in ``out``."""
    d = WORLDS[name](data, size).cast(
        {"label": pl.Float64, "quality": pl.Float64, "rating": pl.Float64}
    )
    d = d.group_by("prompt", "response", maintain_order=True).agg(
        pl.col("prompt_id").first(), pl.col("rating", "label", "quality").mean()
    )
    d = d.with_columns((pl.col("label") > 0.5).cast(pl.Float64))
    d = d.with_columns(quality="label") if name != "helpdesk" else d
    d = d.filter(pl.len().over("prompt") >= FEWEST).sort("prompt_id", maintain_order=True)
    file = out / f"{name}.pt"
    if not file.exists():
        texts = d.select("prompt", "response", pl.col("prompt_id").cast(pl.String), "label")
        with replacing(file) as path:
            torch.save(tw.encode(tw.read_test(texts)).x, path)
    x = torch.load(file)
    looks = text_statistics(d["prompt"].to_list(), d["response"].to_list())
    prompt = d["prompt"].rank("dense").to_numpy().astype(np.int64) - 1
    if len(x) != len(d):
        raise SystemExit(f"{file} is of another version of the data: delete it")
    x = x if full else _projected(x)
    return Pool(prompt, *(d[k].to_numpy() for k in ("quality", "rating", "label")), x, looks)


def _projected(x: torch.Tensor) -> torch.Tensor:
    """Standardise columns and project them on random directions; no label is read."""
    x = x.float()
    directions = torch.randn(x.shape[1], WIDTH, generator=torch.Generator().manual_seed(0))
    z = (x - x.mean(0)) / x.std(0).clamp(min=1e-6)
    return (z @ directions / x.shape[1] ** 0.5).half()


def split(pool: Pool, name: str, mechanism: str, seed: int) -> tuple[Pool, Pool]:
    """Draw the prompts of the training part and, from all others, those of the test part."""
    count = int(pool.prompt.max()) + 1
    train = min(SHOWN[name][0], round(0.7 * count))
    place = numpy_stream(seed, "downstream", name, mechanism).permutation(count)[pool.prompt]
    return pool.rows(place < train), pool.rows((place >= train) & (place < train + TESTED))


def propensities(pool: Pool, mechanism: str, seed: int) -> Array:
    """Return P(user reacts) to every answer; the mechanism is fixed on the answers of the base policy."""
    low, high = pool.rating.min(), pool.rating.max()
    rows = LogRows(
        1 + 4 * (pool.rating - low) / (high - low), pool.label, lambda: pool.looks, pool.prompt
    )
    chosen = MECHANISMS[mechanism](rows, ALPHA, RATE, numpy_stream(seed, "context", mechanism))
    return chosen.propensity


@dataclass(frozen=True, eq=False)
class Shown:
    """What users were shown in a round, and said.

    Row numbers of the pool, and for each whether it was rated, the thumb, and whether its gold label is bought.
    """

    row: Index
    rated: NDArray[np.bool_]
    thumb: Array
    gold: NDArray[np.bool_]


def show(pool: Pool, policy: Array, p: Array, each: int, gold: int, *key: int | str) -> Shown:
    """Draw ``each`` answers to every prompt from a policy, and the reactions of the users.

    The uniform numbers depend on the key only (seed, mechanism, round), so that policies are compared with
    common random numbers.
    """
    rng = numpy_stream(*key)
    prompts, start = np.unique(pool.prompt, return_index=True)
    ends = np.append(start[1:], len(pool.prompt))
    draws = rng.random((len(prompts), each))
    chosen = [
        a + np.minimum(np.searchsorted(np.cumsum(policy[a:b]), u), b - a - 1)
        for a, b, u in zip(start, ends, draws, strict=True)
    ]
    row = np.concatenate(chosen).astype(np.int64)
    rated = rng.random(len(row)) < p[row]
    label = pool.label[row]
    flipped = rng.random(len(row)) < np.where(label > 0, RHO_01, RHO_10)
    known = np.zeros(len(row), dtype=bool)
    known[rng.permutation(len(row))[:gold]] = True
    return Shown(row, rated, np.where(flipped, 1 - label, label), known)


def feedback(pool: Pool, rounds: list[Shown], *, gold: bool) -> tw.Feedback:
    """Return the log of some rounds, with or without the gold labels that were bought."""
    row, rated, thumb, known = (
        np.concatenate([getattr(r, k) for r in rounds]) for k in ("row", "rated", "thumb", "gold")
    )
    as_float = lambda v: torch.from_numpy(np.asarray(v, dtype=np.float32))  # noqa: E731
    labels = as_float(np.where(known, pool.label[row], np.nan)) if gold else None
    return tw.Feedback(
        pool.x[torch.from_numpy(row)],
        as_float(np.where(rated, thumb, 0.0)),
        as_float(rated),
        gold=labels,
        group=torch.from_numpy(pool.prompt[row]),
    )
