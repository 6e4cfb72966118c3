"""Measure how often the two-phase intervals of `asked_share` hold the share of good responses, in the worlds of asks_worlds.

python benchmarks/asks_coverage.py --draws 1000 --out runs/asks_coverage.json

Each draw has the asked of a log of 7,200 responses, at 10 % and at 3 %, and 100 gold labels on those who stayed silent (all of
them where fewer did).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from asks_worlds import ALPHA, ANSWERING, GOLD, RATE, SHARES, WORLDS

import trueward as tw
from trueward.simulation.asks import AskOptions, asked
from trueward.simulation.selection import LogRows

LOG_ROWS, POPULATION = 7_200, 40_000


def population(world: str) -> pl.DataFrame:
    """Asked responses of a world: label, chance of an answer, and what an answer says."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((POPULATION, 10))
    label = (rng.random(POPULATION) < 1 / (1 + np.exp(-1.5 * x[:, 0] - 0.3))).astype(float)
    rows = LogRows(1 + 4 * label, label, lambda: x, np.arange(POPULATION))
    options = {"share": 0.5, "answering": ANSWERING} | WORLDS[world]
    alpha = options.pop("alpha", ALPHA)
    found = asked(rows, alpha, RATE, rng, AskOptions(**options))
    says = label if found.opinion is None else found.opinion
    columns = [
        pl.Series("label", label),
        pl.Series("chance", found.reacts),
        pl.Series("says", says),
    ]
    return pl.DataFrame(columns).with_columns(*found.columns).filter(pl.col("asked") == 1)


def draw(asked_rows: pl.DataFrame, share: float, rng: np.random.Generator) -> tw.Log:
    """Draw the asked of a log, with gold labels on those who stayed silent."""
    some = asked_rows[rng.choice(len(asked_rows), round(LOG_ROWS * share), replace=False)]
    answered = rng.random(len(some)) < some["chance"].to_numpy()
    shown = some["seen"].to_numpy() == 1 if "seen" in some.columns else np.ones(len(some), bool)
    silent = rng.permutation(np.flatnonzero(~answered & shown))[:GOLD]
    gold = np.full(len(some), np.nan)
    gold[silent] = some["label"].to_numpy()[silent]
    feedback = np.where(answered, some["says"].to_numpy(), np.nan)
    names = [f"p{i}" for i in range(len(some))]
    frame = some.select(*({"asked", "seen"} & set(some.columns))).with_columns(
        pl.Series("prompt", names),
        pl.Series("prompt_id", names),
        pl.lit("r").alias("response"),
        pl.lit(share).alias("p_ask"),
        pl.Series("feedback", feedback).fill_nan(None),
        pl.Series("gold", gold).fill_nan(None),
    )
    return tw.Log(frame, "a draw")


def covered(world: str, share: float, draws: int) -> dict[str, Any]:
    """Return coverage, mean error and width of the 95 % intervals, and the coverage of the bounds."""
    rows = population(world)
    truth = float(rows["label"].mean())  # type: ignore[arg-type]
    found = []
    for i in range(draws):
        said = tw.asked_share(draw(rows, share, np.random.default_rng(i)))
        low, high, value = said.share.low, said.share.high, said.share.value
        assert low is not None
        assert high is not None
        assert value is not None
        among = said.among_answers.value or 0.0
        inside = (said.lower.low or 0.0) <= truth <= (said.upper.high or 1.0)
        found.append((low <= truth <= high, value - truth, high - low, inside, among - truth))
    cover, error, width, bounds, among = np.mean(found, axis=0)
    return {
        "world": world,
        "share": share,
        "draws": draws,
        "covers": float(cover),
        "mean_error": float(error),
        "width": float(width),
        "bounds_cover": float(bounds),
        "error_of_answers": float(among),
    }


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    found = []
    for world in WORLDS:
        for share in SHARES:
            found.append(covered(world, share, args.draws))
            print(found[-1], flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
