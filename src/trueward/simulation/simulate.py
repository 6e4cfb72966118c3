"""From rated answers to a log with known truth: a split, a selection, noise, and an audit.

Split, context, selection, noise and gold have a random stream each: changing one does not change
the others.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trueward.core.atomic_io import replacing
from trueward.core.errors import TruewardError, UsageError
from trueward.core.random import numpy_stream

from .mechanisms import CLICKS, MECHANISMS, mechanism_named
from .rated import RatedTable, read_rated
from .react import react, sparse
from .selection import Rated
from .surface import surface

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_TEXT = ("prompt", "response", "prompt_id")
FILES = ("log.parquet", "test.parquet", "truth.parquet", "scenario.json")
CHANNELS = {"two_channel", "channels", "channels_users"}
RATE, CLICK_RATE = 0.2, 0.5  # of the papers


@dataclass(frozen=True, eq=False)
class World:
    """A log as a product would see it, and the truth that only an evaluation may open.

    ``truth`` has, row by row with the log: label (r*, which is gamma itself), rating, propensity
    (p; the chance of any action where there are channels), observed, flipped; mu and activity (A)
    of clicks; propensity.k (mu_k) and activity.k of channel k; user_effect (b_u), leniency (c_u)
    and opinion of users; flip_rate under `idn`.
    """

    log: pl.DataFrame  # prompt, response, prompt_id, feedback?, user_id?, context|channel.*?, gold?
    test: pl.DataFrame  # prompt, response, prompt_id, label, rating: clean and complete
    truth: pl.DataFrame
    scenario: dict[str, Any]  # every setting, and what it came to

    def write(self, folder: str | Path) -> Path:
        """Write log.parquet, test.parquet, truth.parquet and scenario.json: all of them or none.

        A world that is already there is replaced; a folder with anything else in it is refused.
        """
        folder = Path(folder).resolve()
        if folder.is_dir():
            others = sorted(p.name for p in folder.iterdir() if p.name not in FILES)
        else:
            others = [folder.name] if folder.exists() else []
        if others:
            raise TruewardError(
                f"{folder} holds {others[0]}, which is not part of a world and would be lost; "
                "choose a new folder"
            )
        with replacing(folder) as path:
            path.mkdir()
            for name in ("log", "test", "truth"):
                getattr(self, name).write_parquet(path / f"{name}.parquet")
            text = json.dumps(self.scenario, indent=2, allow_nan=False)
            (path / "scenario.json").write_text(text + "\n", encoding="utf-8")
        return folder


def simulate(
    rated: pl.DataFrame,
    *,
    mechanism: str = "rating",
    alpha: float = 0.5,
    rate: float | None = None,
    rho_01: float = 0.0,
    rho_10: float = 0.0,
    gold: int = 0,
    test_share: float = 0.2,
    threshold: float | None = None,
    seed: int = 0,
    features: NDArray[Any] | None = None,
) -> World:
    """Log feedback on ``rated`` (prompt, response, rating or label, prompt_id?) as users would.

    mechanism: who reacts, one of MECHANISMS. alpha in (0, 1]: the smaller, the stronger the
    selection. rate: mean chance of a reaction, of the first where there are several; None is .2,
    and .5 for clicks. rho_01, rho_10: P(observed 0 | true 1), P(observed 1 | true 0). gold: trusted
    labels, drawn uniformly over all rows of the log. threshold: r* = rating > threshold; None is
    the median of the distinct ratings. features: (n, d), what is selected on; None takes lengths,
    punctuation and hashed words.
    """
    name = mechanism_named(mechanism)
    rate = (CLICK_RATE if name in CLICKS else RATE) if rate is None else rate
    _check(name, alpha, rate, rho_01 + rho_10)
    table = read_rated(rated, threshold, features)
    rows, held = table.split(test_share, seed)
    sel = MECHANISMS[name](_seen(table, rows), alpha, rate, numpy_stream(seed, "context"))
    label = table.label[rows]
    came = react(sel, label, rho_01, rho_10, seed)
    settings = {"mechanism": name, "alpha": alpha, "rate": rate, "rho_01": rho_01, "rho_10": rho_10}
    settings |= {"gold": gold, "test_share": test_share, "threshold": table.threshold, "seed": seed}
    frame = table.frame.with_columns(pl.Series("label", table.label))
    return World(
        log=frame[rows].select(_TEXT).with_columns(*came.shown, *_gold(label, gold, seed)),
        test=frame[held].select(*_TEXT, "label", "rating"),
        truth=frame[rows].select("label", "rating").hstack(pl.DataFrame(came.truth)),
        scenario=settings | _sizes(table, rows, held) | {"realised": came.realised(label)},
    )


def _check(name: str, alpha: float, rate: float, rho: float) -> None:
    """Refuse settings out of range, before any work."""
    if not 0 < alpha <= 1:
        raise UsageError(f"alpha must lie in (0, 1], where 1 is no selection, and is {alpha}")
    if not 0 < rate <= 1:
        raise UsageError(f"the rate of feedback must lie in (0, 1] and is {rate}")
    if name in CHANNELS and rho != 0:
        raise UsageError(f"the mechanism {name} has no label noise; leave rho_01 and rho_10 0")


def _seen(table: RatedTable, rows: NDArray[np.int64]) -> Rated:
    """Show the log's rows to a mechanism, ratings rescaled to [1, 5] over the log."""
    rating = table.frame["rating"].to_numpy()[rows]
    low, high = rating.min(), rating.max()
    if low == high or table.label[rows].min() == table.label[rows].max():
        raise TruewardError(
            "after the test prompts were set aside every response left for the log is equally "
            "good; rate more prompts, or take another test_share or seed"
        )

    def features() -> Array:
        if table.features is not None:
            return table.features[rows]
        text = table.frame[rows]
        return surface(text["prompt"].to_list(), text["response"].to_list())

    scaled = 1 + 4 * (rating - low) / (high - low)
    return Rated(scaled, table.label[rows], features, table.group[rows])


def _gold(label: Array, count: int, seed: int) -> list[pl.Series]:
    """Audit ``count`` rows of all that were shown; a larger audit contains a smaller one."""
    if not 0 <= count <= len(label):
        raise UsageError(
            f"gold={count} trusted labels were wanted from a log of {len(label)} rows; ask for a "
            "number from 0 to that"
        )
    drawn = np.zeros(len(label), dtype=bool)
    drawn[numpy_stream(seed, "gold").permutation(len(label))[:count]] = True
    return [sparse("gold", label, drawn)] if count else []


def _sizes(
    table: RatedTable, rows: NDArray[np.int64], held: NDArray[np.int64]
) -> dict[str, int | str]:
    return {
        "features": "surface" if table.features is None else "given",
        "levels": table.levels,
        "merged_duplicates": table.merged,
        "log_rows": len(rows),
        "test_rows": len(held),
        "log_prompts": len(np.unique(table.group[rows])),
        "test_prompts": len(np.unique(table.group[held])),
    }
