"""A log of a product with two models, whose users choose between them; the truth is printed.

python examples/two_models.py product.parquet            # users with hard questions prefer `large`
python examples/two_models.py drawn.parquet --drawn      # the model is drawn for every response
"""

import argparse
from pathlib import Path

import numpy as np
import polars as pl

from trueward.simulation import helpdesk


def product(users: int, seed: int, *, drawn: bool) -> tuple[pl.DataFrame, float]:
    """Return the log, and the true difference in P(good) of large minus small on the same questions.

    `small` gives one of the four answers to a question at random, `large` the better one of two. Users ask
    questions of one level of difficulty. Good answers are rated with twice the odds of bad ones.
    """
    g = np.random.default_rng(seed)
    table = helpdesk(12 * users, seed=seed)
    quality = table["rating"].to_numpy().reshape(-1, 4)
    good = quality > np.median(quality)
    ids = table["prompt_id"].to_numpy().reshape(-1, 4)[:, 0]
    difficulty = -good.mean(1) + g.normal(0, 0.1, len(good))
    user = np.empty(len(good), dtype=int)
    user[np.argsort(difficulty)] = np.arange(len(good)) // 12
    n = 2 * len(good)  # every question is asked twice by its user
    prompt, owner = np.repeat(np.arange(len(good)), 2), np.repeat(user, 2)
    large = g.random(n) < (0.5 if drawn else 0.1 + 0.8 * owner / users)
    two = np.argsort(g.random((n, 4)), 1)[:, :2]
    better = np.where(
        quality[prompt, two[:, 0]] >= quality[prompt, two[:, 1]], two[:, 0], two[:, 1]
    )
    answer = np.where(large, better, two[:, 0])
    r = good[prompt, answer]
    odds = 0.25 * np.where(r, 2.0, 1.0)
    rated = g.random(n) < odds / (1 + odds)
    texts = table["response"].to_numpy().reshape(-1, 4)
    frame = pl.DataFrame(
        {
            "prompt": table["prompt"].to_numpy().reshape(-1, 4)[prompt, 0],
            "response": texts[prompt, answer],
            "feedback": np.where(rated, r, np.nan),
            "prompt_id": ids[prompt].astype(str),
            "user_id": [f"u{k}" for k in owner],
            "model": np.where(large, "large", "small"),
        }
    )
    pairs = [(i, j) for i in range(4) for j in range(i)]
    best = np.mean(
        [np.where(quality[:, i] >= quality[:, j], good[:, i], good[:, j]) for i, j in pairs]
    )
    return frame.with_columns(pl.col("feedback").fill_nan(None)), float(best - good.mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drawn", action="store_true")
    given = parser.parse_args()
    log, truth = product(given.users, given.seed, drawn=given.drawn)
    log.write_parquet(given.out)
    print(
        f"{given.out}: {len(log)} responses; large minus small is {truth:.3f} on the same questions"
    )
