"""The sets a benchmark can name: each gives rated answers, or a log whose truth was randomised.

A set that is not here is read from a file of one's own: ``{name: rated, path: mine.parquet}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from trueward.core.errors import TruewardError, UsageError
from trueward.core.random import numpy_stream
from trueward.data.log import read_test
from trueward.simulation import helpdesk

from . import hub, logged
from .tables import Answers, Place, parquet

if TYPE_CHECKING:
    from collections.abc import Callable

SYNTHETIC_ROWS, WIDTH, LEVELS = 40_000, 64, (0.1, 0.3, 0.55, 0.8)


@dataclass(frozen=True)
class AnySet:
    """How a set is read, and what a table must say of it."""

    read: Callable[[Place], Answers]
    says: str
    needs_path: bool = False
    logged: bool = False  # has feedback of its own, so nothing is simulated
    positive: tuple[str, ...] = ()  # which end of the scale may count as good; the first is default


def _helpdesk(place: Place) -> Answers:
    prompts = 1500 if place.rows is None else max(2, place.rows // 4)
    return Answers(helpdesk(prompts, seed=0))


def _synthetic(place: Place) -> Answers:
    """u = Z_0 + .7 Z_1 Z_2 + .5 Z_3 - .4 |Z_4| + .7 e; rating = thresholds of u below it (0 to 4).

    Z ~ N(0, I_64); the thresholds are the quantiles .1, .3, .55, .8 of u. Rows are independent;
    every four are called a prompt, so that ranking within a prompt is defined.
    """
    n, rng = place.rows or SYNTHETIC_ROWS, numpy_stream(0, "synthetic")
    z = rng.standard_normal((n, WIDTH)).astype(np.float32)
    u = z[:, 0] + 0.7 * z[:, 1] * z[:, 2] + 0.5 * z[:, 3] - 0.4 * np.abs(z[:, 4])
    u = u + 0.7 * rng.standard_normal(n)
    rating = np.searchsorted(np.quantile(u, LEVELS), u).astype(float)
    names = pl.Series(range(n), dtype=pl.Int64)
    frame = pl.DataFrame(
        {
            "prompt": "prompt " + (names // 4).cast(pl.String),
            "response": "row " + names.cast(pl.String),
            "rating": rating,
        }
    )
    return Answers(frame, features=z, threshold=2.0)


def _gptfuzz(place: Place) -> Answers:
    d = parquet(place, "gptfuzz_human_labeled")
    return Answers(
        d.select("prompt", "response", pl.col("jailbroken").cast(pl.Float64).alias("rating"))
    )


def _arena(place: Place) -> Answers:
    """A prompt is its text: the file numbers prompts anew for some models."""
    d = parquet(place, "arena_bench_v1_gpt4_score10")
    return Answers(d.select("prompt", "response", pl.col("score").alias("rating")), threshold=5.5)


def _topical(place: Place) -> Answers:
    """The median level, 2, would leave 93 % good, so good is 4 of 0 to 4."""
    d = parquet(place, "topical_chat_turn_ratings").filter(pl.col("rating").is_not_null())
    frame = d.select(
        pl.col("context").alias("prompt"),
        "response",
        pl.col("rating").cast(pl.Float64),
        pl.col("conv_id").alias("prompt_id"),
    )
    return Answers(frame, threshold=3.0)


def _pku(place: Place) -> Answers:
    """An answer that pairs label both ways counts by its average."""
    d = parquet(place, "pku_saferlhf_pairs5k")
    ids = pl.col("prompt_id").cast(pl.String)
    safe = pl.col("is_safe").cast(pl.Float64).alias("rating")
    return Answers(d.select("prompt", "response", ids, safe), threshold=0.5)


def _alpacaeval(place: Place) -> Answers:
    """Preferred to the reference answer; one model whose labels look wrong is left out."""
    d = parquet(place, "alpacaeval_multi_model")
    prompts = parquet(place, "alpacaeval_multi_model", "prompts.parquet")
    d = d.filter(pl.col("model") != "vicuna-33b-v1.3").join(prompts, on="prompt_id")
    rating = pl.coalesce(
        pl.col("pref_vs_davinci003").fill_nan(None), pl.col("pref_vs_gpt4turbo").fill_nan(None)
    )
    frame = d.select(
        "prompt", "response", rating.alias("rating"), pl.col("prompt_id").cast(pl.String)
    )
    return Answers(frame.filter(pl.col("rating").is_not_null()), threshold=0.5)


def _upworthy(place: Place) -> Answers:
    return Answers(logged.headlines(place).drop("picked"))


def _own(place: Place) -> Answers:
    if place.path is None:
        raise UsageError(
            "the set `rated` is a table of your own: give its path, "
            "like {name: rated, path: mine.parquet, label: mine}"
        )
    return Answers(read_test(place.path).frame)


SETS: dict[str, AnySet] = {
    "helpdesk": AnySet(_helpdesk, "generated help-desk answers, rated 0 to 4; good is above 2"),
    "synthetic": AnySet(_synthetic, "64 normal features, quality non-linear in five of them"),
    "rated": AnySet(_own, "a table of your own", needs_path=True),
    "arena": AnySet(_arena, "model answers; a judge's grade 1 to 10, good is above 5.5"),
    "gptfuzz": AnySet(_gptfuzz, "answers to harmful questions; 1 = jailbroken (human)"),
    "pku": AnySet(_pku, "answers to risky questions; good = safe (5 k pairs)"),
    "topical_chat": AnySet(_topical, "human chat turns; the partner's rating, good = 4 of 0 to 4"),
    "alpacaeval": AnySet(_alpacaeval, "model answers; a judge prefers them to the reference"),
    "upworthy": AnySet(_upworthy, "headlines; quintile of click-through, good = top two"),
    "helpsteer": AnySet(hub.helpsteer, "nvidia/HelpSteer; helpfulness 0 to 4, good is above 2"),
    "ultrafeedback": AnySet(hub.ultrafeedback, "ultrafeedback_binarized; score, good is above 6.5"),
    "pku_saferlhf": AnySet(
        hub.pku_saferlhf, "PKU-SafeRLHF; severity of harm 0 to 3", positive=("safe", "severe")
    ),
    "coat": AnySet(
        logged.coat, "coats; self-selected ratings, truth from random ones", logged=True
    ),
    "upworthy_picks": AnySet(
        logged.upworthy_picks, "headlines; editors' picks rated, truth from all tests", logged=True
    ),
}


def read_set(name: str, place: Place) -> Answers:
    """Read a set, whole prompts of it when ``place.rows`` asks for fewer."""
    answers = SETS[name].read(place)
    if not len(answers.frame):
        raise TruewardError(f"the set {name} has no rows: check {place.path or place.data}")
    return answers.first(place.rows)


def data_folder(given: str | Path | None) -> Path | None:
    """Give the folder of the sets, which must be there if it is named."""
    if given is None:
        return None
    folder = Path(given)
    if not folder.is_dir():
        raise UsageError(f"--data {folder} is no folder: give the one that holds the sets")
    return folder
