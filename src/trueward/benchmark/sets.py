"""Sets of a benchmark: rated answers, or logs with randomised truth.

Other sets are read from a file: ``{name: rated, path: mine.parquet}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from trueward.core.errors import TruewardError, UsageError
from trueward.core.random import numpy_stream
from trueward.data.truth import read_test
from trueward.simulation import helpdesk

from . import public_sets
from .answers import Answers, Location, parquet

if TYPE_CHECKING:
    from collections.abc import Callable

#: Rows, number of features, and quantiles of the ratings of the set `synthetic`.
SYNTHETIC_ROWS, WIDTH, LEVELS = 40_000, 64, (0.1, 0.3, 0.55, 0.8)


@dataclass(frozen=True)
class SetInfo:
    """A set: its reader and its description.

    Attributes
    ----------
    read : callable
        Returns the rows, given the location.
    description : str
        Description in the table.
    needs_path : bool
        The set has no usual folder.
    logged : bool
        The set has its own feedback and is not simulated.
    positive : tuple of str
        Choices of the end of the scale that is good; the first is the default.

    """

    read: Callable[[Location], Answers]
    description: str
    needs_path: bool = False
    logged: bool = False
    positive: tuple[str, ...] = ()


def _helpdesk(location: Location) -> Answers:
    prompts = 1500 if location.rows is None else max(2, location.rows // 4)
    return Answers(helpdesk(prompts, seed=0))


def _synthetic(location: Location) -> Answers:
    """u = Z_0 + .7 Z_1 Z_2 + .5 Z_3 - .4 |Z_4| + .7 e; rating = number of thresholds below u (0 to 4).

    Z ~ N(0, I_64), e ~ N(0, 1). The thresholds are the quantiles .1, .3, .55, .8 of u. Rows are
    independent; four consecutive rows form a prompt, so that the pair accuracy is defined.
    """
    n, rng = location.rows or SYNTHETIC_ROWS, numpy_stream(0, "synthetic")
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


def _gptfuzz(location: Location) -> Answers:
    d = parquet(location, "gptfuzz_human_labeled")
    return Answers(
        d.select("prompt", "response", pl.col("jailbroken").cast(pl.Float64).alias("rating"))
    )


def _arena(location: Location) -> Answers:
    """Prompts are identified by text, because the file numbers them anew for some models."""
    d = parquet(location, "arena_bench_v1_gpt4_score10")
    return Answers(d.select("prompt", "response", pl.col("score").alias("rating")), threshold=5.5)


def _topical(location: Location) -> Answers:
    """Good is 4 of 0 to 4; above the median level, 2, are 93 % of the rows."""
    d = parquet(location, "topical_chat_turn_ratings").filter(pl.col("rating").is_not_null())
    frame = d.select(
        pl.col("context").alias("prompt"),
        "response",
        pl.col("rating").cast(pl.Float64),
        pl.col("conv_id").alias("prompt_id"),
    )
    return Answers(frame, threshold=3.0)


def _pku(location: Location) -> Answers:
    """The labels of an answer in several pairs are averaged."""
    d = parquet(location, "pku_saferlhf_pairs5k")
    ids = pl.col("prompt_id").cast(pl.String)
    safe = pl.col("is_safe").cast(pl.Float64).alias("rating")
    return Answers(d.select("prompt", "response", ids, safe), threshold=0.5)


def _alpacaeval(location: Location) -> Answers:
    """Preference over the reference answer; without one model whose labels look wrong."""
    d = parquet(location, "alpacaeval_multi_model")
    prompts = parquet(location, "alpacaeval_multi_model", "prompts.parquet")
    d = d.filter(pl.col("model") != "vicuna-33b-v1.3").join(prompts, on="prompt_id")
    rating = pl.coalesce(
        pl.col("pref_vs_davinci003").fill_nan(None), pl.col("pref_vs_gpt4turbo").fill_nan(None)
    )
    frame = d.select(
        "prompt", "response", rating.alias("rating"), pl.col("prompt_id").cast(pl.String)
    )
    return Answers(frame.filter(pl.col("rating").is_not_null()), threshold=0.5)


def _upworthy(location: Location) -> Answers:
    return Answers(public_sets.headlines(location).drop("picked"))


def _own(location: Location) -> Answers:
    if location.path is None:
        raise UsageError(
            "the set `rated` reads a table of yours: give its path, such as "
            "{name: rated, path: mine.parquet, label: mine}"
        )
    return Answers(read_test(location.path).frame)


#: Name -> set.
SETS: dict[str, SetInfo] = {
    "helpdesk": SetInfo(_helpdesk, "generated help-desk answers, rated 0 to 4; good is above 2"),
    "synthetic": SetInfo(_synthetic, "64 normal features, quality non-linear in five of them"),
    "rated": SetInfo(_own, "a table of yours", needs_path=True),
    "arena": SetInfo(_arena, "model answers; a judge's grade 1 to 10, good is above 5.5"),
    "gptfuzz": SetInfo(_gptfuzz, "answers to harmful questions; 1 = jailbroken (human)"),
    "pku": SetInfo(_pku, "answers to risky questions; good = safe (5 k pairs)"),
    "topical_chat": SetInfo(_topical, "human chat turns; the partner's rating, good = 4 of 0 to 4"),
    "alpacaeval": SetInfo(
        _alpacaeval, "model answers; good = a judge prefers them to the reference"
    ),
    "upworthy": SetInfo(_upworthy, "headlines; quintile of click-through, good = top two"),
    "helpsteer": SetInfo(
        public_sets.helpsteer, "nvidia/HelpSteer; helpfulness 0 to 4, good is above 2"
    ),
    "ultrafeedback": SetInfo(
        public_sets.ultrafeedback, "ultrafeedback_binarized; score, good is above 6.5"
    ),
    "pku_saferlhf": SetInfo(
        public_sets.pku_saferlhf,
        "PKU-SafeRLHF; severity of harm 0 to 3",
        positive=("safe", "severe"),
    ),
    "coat": SetInfo(
        public_sets.coat, "coats; self-selected ratings, truth from random ratings", logged=True
    ),
    "upworthy_picks": SetInfo(
        public_sets.upworthy_picks,
        "headlines; feedback on the editors' picks, truth from randomised tests",
        logged=True,
    ),
}


def read_set(name: str, location: Location) -> Answers:
    """Read a set.

    Parameters
    ----------
    name : str
        A key of `SETS`.
    location : Location
        Where the files are; its ``rows`` selects whole prompts.

    Returns
    -------
    Answers

    Raises
    ------
    TruewardError
        If the files are missing, damaged or empty.

    """
    answers = SETS[name].read(location)
    if not len(answers.frame):
        raise TruewardError(f"the set {name} has no rows: check {location.path or location.data}")
    return answers.first(location.rows)


def data_folder(given: str | Path | None) -> Path | None:
    """Return the folder of all sets; raise UsageError if it does not exist.

    Parameters
    ----------
    given : str, Path or None
        Value of ``--data``.

    Returns
    -------
    Path or None
        The folder; None if none is given.

    Raises
    ------
    UsageError
        If it is not a folder.

    """
    if given is None:
        return None
    folder = Path(given)
    if not folder.is_dir():
        raise UsageError(f"--data {folder} is not a folder: give the folder that contains the sets")
    return folder
