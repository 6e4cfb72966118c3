"""Draw a scenario: simulate a log, or take a real one, and split it by prompt.

The split by row is that of a published protocol; the ordinary benchmark does not use it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from trueward.core.errors import TruewardError
from trueward.core.random import numpy_stream
from trueward.data.feedback import Feedback
from trueward.data.log_reading import read_log
from trueward.data.splits import split_rows
from trueward.features.columns import to_feedback
from trueward.simulation import simulate

from .draw import Draw, Truth
from .prepared import Prepared, opened
from .scenarios import LOGGED, Scenario

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .protocols import Split

#: Share of the prompts in the test, and of the remaining ones in validation: 70/10/20.
TEST, VALIDATION = 0.2, 0.125
#: Share of the rows in validation where rows are split, not prompts.
VALIDATION_ROWS = 0.2


@lru_cache(maxsize=8)
def sample(folder: str, digest: str, scenario: str, seed: int, split: Split = "prompts") -> Draw:
    """Return a draw of a scenario, cached in this process.

    Parameters
    ----------
    folder, digest : str
        Folder and digest of the prepared set.
    scenario : str
        The scenario as JSON.
    seed : int
        Seed of the simulation and of the split.
    split : {'prompts', 'rows'}
        ``rows``: the test is the hub's test split if the set has one, else 20 % of the rows; of the
        others, 80 % train. A prompt may be on every side.

    Returns
    -------
    Draw

    """
    prepared, settings = opened(folder, digest), Scenario(**json.loads(scenario))
    if settings.mechanism == LOGGED:
        return _logged(prepared, settings, seed)
    return _simulated(prepared, settings, seed, split)


def _simulated(prepared: Prepared, s: Scenario, seed: int, split: Split) -> Draw:
    """Simulate feedback on the rows of a set, with row numbers in place of texts."""
    rows, about = prepared.rows, prepared.about
    number = pl.Series(np.arange(len(rows)))
    unit = rows["group"] if split == "prompts" else number
    frame = pl.DataFrame(
        {
            "prompt": "p" + unit.cast(pl.String),
            "response": "r" + number.cast(pl.String),
            "prompt_id": "p" + unit.cast(pl.String),
            "rating": rows["rating"],
        }
    )
    held = _hub_test(rows) if split == "rows" else np.zeros(len(rows), dtype=bool)
    world = simulate(
        frame.filter(~held),
        mechanism=s.mechanism,
        alpha=s.alpha,
        rate=s.rate,
        rho_01=s.rho_01,
        rho_10=s.rho_10,
        gold=s.gold,
        test_share=1e-9 if held.any() else TEST,  # at least one row, which then is in no part
        threshold=about["threshold"],  # type: ignore[arg-type]
        seed=seed,
        features=prepared.directions[~held],
        **s.more,
    )
    log = read_log(world.log)
    n, spec = len(log), str(about["backbone"])
    clean = pl.concat([world.log.select("response", "prompt_id"), world.truth], how="horizontal")
    seen = to_feedback(log, torch.empty(n, 0), spec)
    whole = _truth(clean, seen.group if split == "prompts" else None, rows)
    seen = replace(seen, weight=whole.weight)
    if split == "rows":
        parts = split_rows(n, VALIDATION_ROWS, seed, None, seen.labels)
        seen = replace(seen, group=whole.group)
    else:
        parts = split_rows(n, VALIDATION, seed, seen.group, seen.labels)
    good = (pl.col("rating") > about["threshold"]).cast(pl.Float64).alias("label")
    test = frame.filter(held).with_columns(good) if held.any() else world.test
    p = _floats(world.truth["propensity"]).clamp(min=1e-6)
    known = {"rho_01": s.rho_01, "rho_10": s.rho_10, "prior": whole.share_good}
    return _draw(prepared, seen, parts, whole, _truth(test, None, rows), known, p)


def _hub_test(rows: pl.DataFrame) -> NDArray[np.bool_]:
    """(n,) whether a row is in the test split of the hub; none if the set has no such split."""
    if "part" not in rows.columns:
        return np.zeros(len(rows), dtype=bool)
    return (rows["part"] == "test").to_numpy()


def _truth(frame: pl.DataFrame, group: Tensor | None, rated: pl.DataFrame) -> Truth:
    rows = frame["response"].str.slice(1).cast(pl.Int64).to_numpy()
    if group is None:
        group = torch.from_numpy(rated["group"].to_numpy()[rows].astype(np.int64))
    weight = _floats(rated["weight"][rows]) if "weight" in rated.columns else None
    return Truth(rows, _floats(frame["label"]), _floats(frame["rating"]), group, weight)


def _draw(
    prepared: Prepared,
    seen: Feedback,
    parts: tuple[Tensor, Tensor],
    whole: Truth,
    test: Truth,
    known: dict[str, Any],
    propensity: Tensor | None,
) -> Draw:
    """Split a log and its truth into training and validation."""
    t, v = parts
    in_train, in_val = whole[t], whole[v]
    return Draw(
        prepared=prepared,
        train=seen[t],
        val=seen[v],
        rows_train=in_train.rows,
        rows_val=in_val.rows,
        truth_train=in_train.known(),
        truth_val=in_val.known(),
        test=test,
        known=known,
        propensity=None if propensity is None else (propensity[t], propensity[v]),
    )


def _logged(prepared: Prepared, s: Scenario, seed: int) -> Draw:
    """Split a real log by prompt; the truth is known where it was randomised."""
    frame, cut = prepared.rows, prepared.about["threshold"]
    group = frame["group"].to_numpy()
    place = numpy_stream(seed, "split").permutation(int(group.max()) + 1)[group]
    held = round(TEST * (int(group.max()) + 1))
    log, out = np.flatnonzero(place >= held), np.flatnonzero(place < held)
    rating = frame["rating"]
    label = (rating > cut).cast(pl.Float64)
    weight = _floats(frame["weight"]) if "weight" in frame.columns else None
    whole, test = (
        Truth(
            r,
            _floats(label[r]),
            _floats(rating[r]),
            torch.from_numpy(group[r]),
            None if weight is None else weight[torch.from_numpy(r)],
        )
        for r in (log, out)
    )
    y = frame["feedback"][log]
    seen = Feedback(
        x=torch.empty(len(log), 0),
        y=_floats(y.fill_null(0)),
        o=_floats(y.is_not_null().cast(pl.Float64)),
        gold=_gold(whole.label, s.gold, seed) if s.gold else None,
        group=whole.group,
        weight=whole.weight,
        backbone=str(prepared.about["backbone"]),
    )
    parts = split_rows(len(log), VALIDATION, seed, seen.group, seen.labels)
    return _draw(prepared, seen, parts, whole, test.known(), {}, None)


def _gold(label: Tensor, count: int, seed: int) -> Tensor:
    """Draw ``count`` gold labels among the rows with known truth."""
    known = (~label.isnan()).nonzero().squeeze(-1)
    if count > len(known):
        raise TruewardError(
            f"gold={count} exceeds the {len(known)} rows of the log with known truth; use a smaller "
            "number"
        )
    chosen = known[torch.from_numpy(numpy_stream(seed, "gold").permutation(len(known))[:count])]
    gold = torch.full_like(label, float("nan"))
    gold[chosen] = label[chosen]
    return gold


def _floats(values: pl.Series) -> Tensor:
    """Return float32 numbers; null becomes NaN."""
    array = values.cast(pl.Float64).fill_null(float("nan")).to_numpy(writable=True)
    return torch.from_numpy(array).float()
