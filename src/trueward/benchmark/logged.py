"""Two real logs whose truth was randomised: what was selected is one table, the truth another."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from trueward.core.errors import TruewardError

from .tables import Answers, parquet

if TYPE_CHECKING:
    from .tables import Place

ARRAYS = ("train", "test", "user_features", "item_features")


def coat(place: Place) -> Answers:
    """Every (user, coat) is a row; 24 ratings a user were chosen by the user, 16 drawn at random.

    feedback = 1[rating > 3] of the chosen ones; the rating column is the random ones, the truth.
    The prompt is the user. Features: what the set says of the user and of the coat, 14 + 33.
    """
    folder = place.folder("coat_shopping", "give --data FOLDER, the folder that holds it")
    try:
        with np.load(folder / "coat.npz", allow_pickle=False) as arrays:
            train, test, users, items = (np.asarray(arrays[k], float) for k in ARRAYS)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as e:
        raise TruewardError(
            f"{folder / 'coat.npz'} should hold the arrays {', '.join(ARRAYS)} and cannot be read "
            f"({e}): copy it again"
        ) from e
    people, things = train.shape
    user, item = np.divmod(np.arange(people * things), things)
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


def headlines(place: Place) -> pl.DataFrame:
    """Headlines with more than 1 000 impressions; rating = quintile of clicks per impression.

    The test is the prompt. Every arm of a test was shown at random, so clicks are the truth.
    """
    d = parquet(place, "upworthy_ab_tests").filter(pl.col("impressions") > 1000)
    rank = (pl.col("clicks") / pl.col("impressions")).rank("ordinal") - 1
    text = pl.coalesce("lede", "excerpt", pl.lit("")).str.replace_all("<[^>]*>", "")
    return d.select(
        text.alias("prompt"),
        pl.col("headline").alias("response"),
        (rank * 5 // pl.len()).cast(pl.Float64).alias("rating"),
        pl.col("clickability_test_id").alias("prompt_id"),
        pl.col("first_place").cast(pl.Float64).alias("picked"),
    )


def upworthy_picks(place: Place) -> Answers:
    """Feedback exists for the headline that the editors picked in each test, and for no other.

    It says whether that headline is among the top two quintiles of clicks. The editors saw the
    clicks, so who is rated depends on the truth itself.
    """
    d = headlines(place)
    good = (pl.col("rating") > 2).cast(pl.Float64)
    feedback = pl.when(pl.col("picked") > 0).then(good).alias("feedback")
    return Answers(d.with_columns(feedback).drop("picked"), threshold=2.0)
