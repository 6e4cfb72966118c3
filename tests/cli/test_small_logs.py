"""Logs of 30 to 300 ratings are fitted from a shell, also where few of the ratings are bad."""

import json

import numpy as np
import polars as pl
import pytest
from helpers.commands import run

ROWS_A_RATING = 3  # responses shown for every rating
WORDS = ["commit", "rebase", "merge", "branch", "undo", "push", "clone", "tag", "stash", "diff"]


@pytest.fixture
def written(tmp_path):
    """Write a log of ``ratings`` ratings of which ``bad`` are bad, and ``gold`` gold labels of both kinds."""

    def log(ratings, bad, gold=0):
        rng = np.random.default_rng(ratings)
        n = ROWS_A_RATING * ratings
        good = rng.random(n) < 0.7
        rated = rng.permutation(n)[:ratings]
        feedback = np.full(n, np.nan)
        feedback[rated] = 1.0
        feedback[rated[:bad]] = 0.0
        labels = np.full(n, np.nan)
        labels[rng.permutation(n)[:gold]] = np.arange(gold) % 2
        table = {
            "prompt": [f"how do i {rng.choice(WORDS)} {k // 2}" for k in range(n)],
            "response": [
                f"{rng.choice(WORDS)} {rng.choice(WORDS)} {'works' if g else 'sorry'}" for g in good
            ],
            "feedback": feedback,
            "gold": labels,
        }
        frame = pl.DataFrame(table).with_columns(pl.col("feedback", "gold").fill_nan(None))
        frame.write_parquet(tmp_path / "log.parquet")
        return str(tmp_path / "log.parquet")

    return log


@pytest.mark.parametrize(
    ("method", "ratings", "bad"),
    [
        ("auto", 30, 2),
        ("auto", 300, 6),
        ("naive", 30, 2),
        ("naive", 60, 3),
        ("naive", 120, 60),
        ("three_outcome", 30, 15),
        ("three_outcome", 120, 4),
        ("causalrm", 30, 9),
        ("causalrm", 60, 57),
        ("causalrm", 300, 8),
        ("anchored", 30, 2),
        ("anchored", 60, 12),
    ],
)
def test_a_log_of_few_ratings_is_fitted(written, tmp_path, capsys, method, ratings, bad):
    log = written(ratings, bad, gold=30 if method == "anchored" else 0)
    words = ["fit", method, log, "--out", str(tmp_path / "rm"), "-o", "nuisance_epochs=1"]
    words += ["-o", "epochs=1"] if method == "naive" else []
    code, out, err = run(words, capsys)
    assert code == 0, out + err
    report = json.loads((tmp_path / "rm" / "model.json").read_text())["report"]
    few = [w for w in report["warnings"] if "rated bad" in w or "rated good" in w]
    assert bool(few) == (min(bad, ratings - bad) < 5)
