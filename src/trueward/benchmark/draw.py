"""One draw of one world: what learners see, what only an evaluation may open, split by prompt."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from trueward.core.errors import TruewardError
from trueward.core.random import numpy_stream
from trueward.data.feedback import Feedback, Labelled
from trueward.data.log import read_log
from trueward.data.splits import split_rows
from trueward.features.columns import to_feedback
from trueward.simulation import simulate

from .prepared import Prepared, opened
from .scenarios import LOGGED, Scenario

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .entries import MethodEntry

    Rows = NDArray[np.int64]

TEST, VALIDATION = 0.2, 0.125  # of the prompts, and of those left for the log: 70/10/20


@dataclass(frozen=True, eq=False)
class Truth:
    """Clean labels of the rows where they are known."""

    rows: Rows  # of the set
    label: Tensor
    rating: Tensor
    group: Tensor

    def __getitem__(self, i: Tensor) -> Truth:
        """Take rows ``i``."""
        return Truth(self.rows[i.numpy()], self.label[i], self.rating[i], self.group[i])

    def known(self) -> Truth:
        """Take the rows whose truth is known."""
        return self[(~self.rating.isnan()).nonzero().squeeze(-1)]


@dataclass(frozen=True, eq=False)
class Draw:
    """A world, without its features: they are fetched row by row from the set.

    ``train`` and ``val`` are all that a learner gets. ``truth_*`` are for the oracle and for
    clean-mcar, ``test`` for the evaluation after a fit.
    """

    prepared: Prepared
    train: Feedback
    val: Feedback
    rows_train: Rows
    rows_val: Rows
    truth_train: Truth
    truth_val: Truth
    test: Truth
    known: dict[str, Any]  # what the simulator knows: rho_01, rho_10, prior; {} of a real log
    propensity: tuple[Tensor, Tensor] | None  # of train and val rows; None of a real log

    def feedback(self, *, known: bool = False) -> tuple[Feedback, Feedback]:
        """(train, val) with features; ``known`` gives the learner the true propensity as well."""
        made = []
        for k, (data, rows) in enumerate(
            ((self.train, self.rows_train), (self.val, self.rows_val))
        ):
            eta = data.eta
            if known and self.propensity is not None:
                eta = eta | {"propensity": self.propensity[k]}
            made.append(replace(data, x=self.prepared.features(rows), eta=eta))
        return made[0], made[1]

    def gold(self) -> tuple[Tensor, Tensor]:
        """(x, label) of the trusted labels that the log has."""
        parts = []
        for data, rows in ((self.train, self.rows_train), (self.val, self.rows_val)):
            known = data.audited
            label = torch.empty(0) if data.gold is None else data.gold[known]
            parts.append((self.prepared.features(rows[known.numpy()]), label))
        (x, label), (more, others) = parts
        return torch.cat([x, more]), torch.cat([label, others])

    def labelled(self, truth: Truth, few: Rows | None = None) -> Labelled:
        """Clean labels with features, of some rows of ``truth`` or of all."""
        some = np.arange(len(truth.rows)) if few is None else few
        i = torch.from_numpy(some)
        x = self.prepared.features(truth.rows[some])
        spec = str(self.prepared.about["backbone"])
        return Labelled(x, truth.label[i], truth.rating[i], truth.group[i], spec)

    def clean(self, count: tuple[int, int] | None, seed: int) -> tuple[Labelled, Labelled]:
        """Clean (train, val): all, or ``count`` of each drawn at random, fewer if there are fewer."""
        made = []
        for k, truth in enumerate((self.truth_train, self.truth_val)):
            order = numpy_stream(seed, "clean-mcar", k).permutation(len(truth.rows))
            made.append(self.labelled(truth, None if count is None else np.sort(order[: count[k]])))
        return made[0], made[1]


@lru_cache(maxsize=8)
def drawn(folder: str, digest: str, scenario: str, seed: int) -> Draw:
    """Give the draw of ``scenario`` (as JSON), kept by this process for the methods that follow."""
    prepared, chosen = opened(folder, digest), Scenario(**json.loads(scenario))
    if chosen.mechanism == LOGGED:
        return _logged(prepared, chosen, seed)
    return _simulated(prepared, chosen, seed)


def labels(data: Feedback | Labelled) -> int:
    """Count what users said: ratings; on a click log clicks; with channels rows with any click."""
    if isinstance(data, Labelled):
        return len(data)
    if data.o is not None:
        return int((data.o > 0).sum())
    said = data.y > 0
    for channel in data.channels.values():
        said = said | (channel.nan_to_num(0) > 0)
    return int(said.sum())


def options_of(entry: MethodEntry, draw: Draw) -> dict[str, Any] | str:
    """Give a method's options, with the simulator's values where the entry asks for them, or why not."""
    if entry.known and not draw.known:
        return "needs values that only a simulator knows, and this log is real"
    filled = {k: draw.known[k] for k in entry.known if k != "propensity"}
    return {**entry.options, **filled}


def _simulated(prepared: Prepared, s: Scenario, seed: int) -> Draw:
    """Let `simulate` react to the rows; texts are stood in for by row numbers."""
    rows, about = prepared.rows, prepared.about
    prompt = "p" + rows["group"].cast(pl.String)
    number = pl.Series(np.arange(len(rows)))
    frame = pl.DataFrame(
        {
            "prompt": prompt,
            "response": "r" + number.cast(pl.String),
            "prompt_id": prompt,
            "rating": rows["rating"],
        }
    )
    world = simulate(
        frame,
        mechanism=s.mechanism,
        alpha=s.alpha,
        rate=s.rate,
        rho_01=s.rho_01,
        rho_10=s.rho_10,
        gold=s.gold,
        test_share=TEST,
        threshold=about["threshold"],  # type: ignore[arg-type]
        seed=seed,
        features=prepared.directions,
        **s.more,
    )
    log = read_log(world.log)
    n, spec = len(log), str(about["backbone"])
    seen = to_feedback(log, torch.empty(n, 0), spec)
    clean = pl.concat([world.log.select("response", "prompt_id"), world.truth], how="horizontal")
    whole = _truth(clean, seen.group)
    parts = split_rows(n, VALIDATION, seed, seen.group)
    p = _floats(world.truth["propensity"]).clamp(min=1e-6)
    known = {"rho_01": s.rho_01, "rho_10": s.rho_10, "prior": float(whole.label.mean())}
    return _draw(prepared, seen, parts, whole, _truth(world.test, None), known, p)


def _truth(frame: pl.DataFrame, group: Tensor | None) -> Truth:
    rows = frame["response"].str.slice(1).cast(pl.Int64).to_numpy()
    if group is None:
        group = torch.from_numpy(frame["prompt_id"].rank("dense").to_numpy().astype(np.int64))
    return Truth(rows, _floats(frame["label"]), _floats(frame["rating"]), group)


def _draw(
    prepared: Prepared,
    seen: Feedback,
    parts: tuple[Tensor, Tensor],
    whole: Truth,
    test: Truth,
    known: dict[str, Any],
    propensity: Tensor | None,
) -> Draw:
    """Divide a log and its truth, row by row alike, into training and validation."""
    t, v = parts
    here, there = whole[t], whole[v]
    return Draw(
        prepared=prepared,
        train=seen[t],
        val=seen[v],
        rows_train=here.rows,
        rows_val=there.rows,
        truth_train=here.known(),
        truth_val=there.known(),
        test=test,
        known=known,
        propensity=None if propensity is None else (propensity[t], propensity[v]),
    )


def _logged(prepared: Prepared, s: Scenario, seed: int) -> Draw:
    """Split a real log by prompt; truth is known where it was randomised."""
    frame, cut = prepared.rows, prepared.about["threshold"]
    group = frame["group"].to_numpy()
    place = numpy_stream(seed, "split").permutation(int(group.max()) + 1)[group]
    held = round(TEST * (int(group.max()) + 1))
    log, out = np.flatnonzero(place >= held), np.flatnonzero(place < held)
    rating = frame["rating"]
    label = (rating > cut).cast(pl.Float64)
    whole, test = (
        Truth(r, _floats(label[r]), _floats(rating[r]), torch.from_numpy(group[r]))
        for r in (log, out)
    )
    y = frame["feedback"][log]
    seen = Feedback(
        x=torch.empty(len(log), 0),
        y=_floats(y.fill_null(0)),
        o=_floats(y.is_not_null().cast(pl.Float64)),
        gold=_gold(whole.label, s.gold, seed) if s.gold else None,
        group=whole.group,
        backbone=str(prepared.about["backbone"]),
    )
    parts = split_rows(len(log), VALIDATION, seed, seen.group)
    return _draw(prepared, seen, parts, whole, test.known(), {}, None)


def _gold(label: Tensor, count: int, seed: int) -> Tensor:
    """Audit ``count`` of the rows whose truth is known."""
    known = (~label.isnan()).nonzero().squeeze(-1)
    if count > len(known):
        raise TruewardError(
            f"gold={count} trusted labels were wanted and the truth is known of {len(known)} rows "
            "of the log; ask for fewer"
        )
    chosen = known[torch.from_numpy(numpy_stream(seed, "gold").permutation(len(known))[:count])]
    gold = torch.full_like(label, float("nan"))
    gold[chosen] = label[chosen]
    return gold


def _floats(values: pl.Series) -> Tensor:
    """Give float32 numbers; null is NaN."""
    array = values.cast(pl.Float64).fill_null(float("nan")).to_numpy(writable=True)
    return torch.from_numpy(array).float()
