"""Public sets: rated answers in the layouts of the Hugging Face hub, and two logs with random truth.

Nothing is downloaded. If a folder is missing, the error shows the command that downloads it. All splits
of a hub set are pooled, because the benchmark splits by prompt and prompts repeat across those splits. The
column ``part`` names the hub's split, for the protocol that takes its test split.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from trueward.core.errors import TruewardError

from .answers import Answers, parquet, read_file

if TYPE_CHECKING:
    from pathlib import Path

    from .answers import Location

#: Arrays of coat.npz.
ARRAYS = ("train", "test", "user_features", "item_features")


def coat(location: Location) -> Answers:
    """Coat Shopping: a row for each (user, coat); 24 self-selected and 16 random ratings a user.

    feedback = 1[rating > 3] of the self-selected ratings; the random ratings are the truth. The
    prompt is the user. Features: 14 of the user and 33 of the coat.

    Parameters
    ----------
    location : Location
        Folder of the set.

    Returns
    -------
    Answers
        Ratings, feedback and features; good is above 3.

    Raises
    ------
    TruewardError
        If the folder is missing or a file cannot be read.

    """
    folder = location.folder("coat_shopping", "give --data FOLDER, the folder that contains it")
    try:
        with np.load(folder / "coat.npz", allow_pickle=False) as arrays:
            train, test, users, items = (np.asarray(arrays[k], float) for k in ARRAYS)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as e:
        raise TruewardError(
            f"{folder / 'coat.npz'} should contain the arrays {', '.join(ARRAYS)} and cannot be read "
            f"({e}): copy it again"
        ) from e
    n_users, n_items = train.shape
    user, item = np.divmod(np.arange(n_users * n_items), n_items)
    chosen, drawn = train.ravel(), test.ravel()
    frame = pl.DataFrame(
        {
            "prompt": [f"user {u}" for u in user],
            "response": [f"coat {i}" for i in item],
            "rating": np.where(drawn > 0, drawn, np.nan),
            "feedback": np.where(chosen > 0, (chosen > 3).astype(float), np.nan),
        }
    ).with_columns(pl.col("rating", "feedback").fill_nan(None))
    x = np.concatenate([users[user], items[item]], axis=1).astype(np.float32)
    return Answers(frame, features=x, threshold=3.0)


def headlines(location: Location) -> pl.DataFrame:
    """Upworthy: headlines with over 1 000 impressions; rating = quintile of the click-through rate.

    The prompt is the A/B test. The arms of a test were randomised, so the click-through rate is the
    truth. The column ``picked`` is 1 for the headline that the editors selected.

    Parameters
    ----------
    location : Location
        Folder of the set.

    Returns
    -------
    polars.DataFrame
        Columns prompt, response, rating (0 to 4), prompt_id and picked.

    Raises
    ------
    TruewardError
        If the folder is missing or a file cannot be read.

    """
    d = parquet(location, "upworthy_ab_tests").filter(pl.col("impressions") > 1000)
    rank = (pl.col("clicks") / pl.col("impressions")).rank("ordinal") - 1
    text = pl.coalesce("lede", "excerpt", pl.lit("")).str.replace_all("<[^>]*>", "")
    return d.select(
        text.alias("prompt"),
        pl.col("headline").alias("response"),
        (rank * 5 // pl.len()).cast(pl.Float64).alias("rating"),
        pl.col("clickability_test_id").alias("prompt_id"),
        pl.col("first_place").cast(pl.Float64).alias("picked"),
    )


def upworthy_picks(location: Location) -> Answers:
    """Upworthy with feedback only for the headline that the editors picked in each test.

    feedback = 1 if that headline is in the top two quintiles of the click-through rate. The editors
    knew the clicks, so the selection depends on the truth.

    Parameters
    ----------
    location : Location
        Folder of the set.

    Returns
    -------
    Answers
        Headlines with ratings and feedback; good is above 2.

    Raises
    ------
    TruewardError
        If the folder is missing or a file cannot be read.

    """
    d = headlines(location)
    good = (pl.col("rating") > 2).cast(pl.Float64)
    feedback = pl.when(pl.col("picked") > 0).then(good).alias("feedback")
    return Answers(d.with_columns(feedback).drop("picked"), threshold=2.0)


def _files(location: Location, name: str, repo: str, patterns: tuple[str, ...]) -> list[Path]:
    """Return the files of the first pattern that matches any."""
    target = location.path or (location.data / name if location.data else name)
    fetch = f"hf download {repo} --repo-type dataset --local-dir {target}"
    how = f"fetch it with `{fetch}`" + (
        "" if location.path or location.data else " and give its path"
    )
    folder = location.folder(name, how)
    for pattern in patterns:
        if files := sorted(p for p in folder.rglob(pattern) if ".cache" not in p.parts):
            return files
    raise TruewardError(
        f"{folder} should hold the files {' or '.join(patterns)} of {repo} and has none of them: {how}"
    )


def helpsteer(location: Location) -> Answers:
    """nvidia/HelpSteer, train.jsonl.gz and validation.jsonl.gz; rating = helpfulness, good above 2.

    Parameters
    ----------
    location : Location
        Folder of the set.

    Returns
    -------
    Answers
        Rated responses of all files.

    Raises
    ------
    TruewardError
        If the folder is missing or a file cannot be read.

    """
    files = _files(
        location, "helpsteer", "nvidia/HelpSteer", ("*.jsonl.gz", "*.jsonl", "data/*.parquet")
    )
    frames = [
        read_file(f, ["prompt", "response", "helpfulness"]).with_columns(_part(f)) for f in files
    ]
    frame = pl.concat(frames, how="vertical_relaxed").rename({"helpfulness": "rating"})
    return Answers(_complete(frame), threshold=2.0)


def ultrafeedback(location: Location) -> Answers:
    """ultrafeedback_binarized, *_prefs; a row each for chosen and rejected; good above 6.5.

    Parameters
    ----------
    location : Location
        Folder of the set.

    Returns
    -------
    Answers
        Rated responses of all files.

    Raises
    ------
    TruewardError
        If the folder is missing, or a file cannot be read or has no lists of messages.

    """
    files = _files(
        location,
        "ultrafeedback",
        "HuggingFaceH4/ultrafeedback_binarized",
        ("*_prefs*.parquet", "*_prefs*.jsonl"),
    )
    parts = []
    for file in files:
        for side in ("chosen", "rejected"):
            d = read_file(file, ["prompt", side, f"score_{side}"])
            if not isinstance(d.schema[side], pl.List):
                raise TruewardError(
                    f"{file}: {side} should be a list of messages, found {d.schema[side]}"
                )
            last = pl.col(side).list.last().struct.field("content").alias("response")
            rating = pl.col(f"score_{side}").alias("rating")
            parts.append(d.select("prompt", last, rating, _part(file)))
    return Answers(_complete(pl.concat(parts, how="vertical_relaxed")), threshold=6.5)


def pku_saferlhf(location: Location) -> Answers:
    """PKU-SafeRLHF, a row each for response_0 and response_1; severity of harm 0 to 3.

    positive=safe: rating = 3 - severity, good is severity 0 or 1. positive=severe: rating =
    severity as in the papers; the reward then measures harm.

    Parameters
    ----------
    location : Location
        Folder of the set, and the end of the scale that is good.

    Returns
    -------
    Answers
        Rated responses of all files; good is above 1.5.

    Raises
    ------
    TruewardError
        If the folder is missing or a file cannot be read.

    """
    files = _files(
        location,
        "pku_saferlhf",
        "PKU-Alignment/PKU-SafeRLHF",
        ("*.jsonl", "*.jsonl.gz", "*.parquet"),
    )
    parts = []
    for file in files:
        for k in (0, 1):
            names = ["prompt", f"response_{k}", f"response_{k}_severity_level"]
            d = read_file(file, names).with_columns(_part(file))
            parts.append(d.rename(dict(zip(names[1:], ("response", "rating"), strict=True))))
    frame = _complete(pl.concat(parts, how="vertical_relaxed"))
    if location.positive != "severe":
        frame = frame.with_columns((3 - pl.col("rating")).alias("rating"))
    return Answers(frame, threshold=1.5)


def _part(file: Path) -> pl.Expr:
    """Return the column ``part``: test for the hub's test or validation split, else train."""
    names = (file.name, file.parent.name)
    held = any(name.startswith(("test", "val")) for name in names)
    return pl.lit("test" if held else "train").alias("part")


def _complete(frame: pl.DataFrame) -> pl.DataFrame:
    """Drop rows without text or label, as the papers do."""
    rating = pl.col("rating").cast(pl.Float64)
    return frame.with_columns(rating).drop_nulls(["prompt", "response", "rating"])
