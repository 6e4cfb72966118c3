"""Doing jobs: those of one unit are searched and fitted together, and each gets its own row.

Learners and the criterion that chooses among trials see `Feedback` (the oracle and clean-mcar: `Labelled` of
training and validation rows). The test is opened after the choice, by `_finished` alone.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
import traceback
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from trueward.core.errors import TruewardError, UsageError
from trueward.core.options import options as options_in
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Labelled
from trueward.estimation.nuisances import platt
from trueward.estimation.requirements import lacking
from trueward.estimators._registry import method_class
from trueward.evaluation.evaluate import evaluate
from trueward.evaluation.measure import measure
from trueward.fitting.fit import configure
from trueward.fitting.sweep import FitJob as Fit
from trueward.fitting.sweep import fit_many
from trueward.training.config import Train

from .draw import Draw, drawn, labels, options_of
from .entries import CLEAN, ORACLE
from .predictions import errors
from .search import criterion, draws, space_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trueward.data.feedback import Feedback
    from trueward.model.reward_model import RewardModel

    from .jobs import Job, Row, Unit

METRICS = ("auroc", "pair_accuracy", "r2", "brier", "nll", "ece", "mae", "bias")
ON_GOLD = "r2_gold"  # R2 once the score is scaled by Platt's method on the gold rows of the log
ON_TEST = "r2"  # what the papers' code maximised on the test set


@dataclass(frozen=True)
class Trial:
    """One try of a search: its options, its model, and what observable data say of it."""

    options: dict[str, Any]
    model: RewardModel | None
    criterion: float
    reason: str | None = None


@dataclass(frozen=True, eq=False)
class Begun:
    """A job that can be fitted: its options and what its learner sees."""

    job: Job
    options: dict[str, Any]
    train: Feedback | Labelled
    val: Feedback | Labelled
    tried: list[Trial] = field(default_factory=list)

    @property
    def truthful(self) -> bool:
        """Whether the learner has clean labels of its own."""
        return isinstance(self.train, Labelled)

    def trials(self) -> list[dict[str, Any]]:
        """Give the options of every trial."""
        method = method_class(self.job.method.method)
        space = space_of(method, {**self.job.train, **self.options}, self.job.method.space)
        return draws(space, self.job.trials)


def run_unit(unit: Unit) -> Iterator[tuple[Job, Row]]:
    """Do the jobs of a unit; whatever goes wrong with one is its row."""
    begun: list[Begun] = []
    seen: dict[tuple[Any, ...], Any] = {}
    for job in unit.jobs:
        started = time.monotonic()
        found = _safely(partial(_begin, job, unit.folder, seen))
        if isinstance(found, Begun):
            begun.append(found)
        else:
            yield job, {**job.row(), **found, "seconds": _since(started, 1)}
    started = time.monotonic()
    for k in range(max((b.job.trials for b in begun), default=0)):
        for same in _alike(begun, k):
            _fit(same, k)
    took = _since(started, len(begun))
    for b in begun:
        row = _safely(partial(_finished, b, unit.folder))
        yield b.job, {**b.job.row(), **row, "seconds": took}


def _since(started: float, share: int) -> float:
    """Seconds, divided among the jobs that were done together."""
    return round((time.monotonic() - started) / max(1, share), 2)


def _safely(do: Callable[[], Any]) -> Any:
    """Give what ``do`` gives, or the columns of a row that say what went wrong."""
    try:
        return do()
    except TruewardError as e:
        return {"status": "failed", "reason": str(e)}
    except MemoryError:
        return {"status": "failed", "reason": "this machine has too little memory for the job"}
    except Exception as e:  # noqa: BLE001 - a bug in one method must not take the table along
        return {"status": "failed", "reason": _said(e), "traceback": traceback.format_exc()}


def _said(e: Exception) -> str:
    return " ".join(f"{type(e).__name__}: {e}".split())


def _begin(job: Job, folder: str, seen: dict[tuple[Any, ...], Any]) -> Begun | Row:
    """Draw the world of a job and hand its learner's part over; or say why there is no fit."""
    draw = _draw(job, folder)
    if job.kind == "predictions":
        return _predicted(job, draw)
    options = options_of(job.method, draw)
    if isinstance(options, str):
        return _not_applicable(options)
    try:
        made, _ = configure(job.method.method, {**job.train, **options})
    except UsageError as e:
        return _not_applicable(str(e))
    if made.interval_only:
        return _not_applicable(f"{made.name} with these options gives an interval, not a score")
    # one object for all that see the same rows, by which `fit_many` knows what it can share
    known = "propensity" in job.method.known
    kind = job.method.name if made.takes_truth else known
    where = (json.dumps(job.to_json()["scenario"], sort_keys=True), job.seed, kind)
    if where not in seen:
        count = (labels(draw.train), labels(draw.val)) if job.method.name == CLEAN else None
        truth = made.takes_truth
        seen[where] = draw.clean(count, job.seed) if truth else draw.feedback(known=known)
    train, val = seen[where]
    if not made.takes_truth and (missing := lacking(made, LogCapabilities.from_feedback(train))):
        return _not_applicable(f"needs {missing}")
    return Begun(job, options, train, val)


def _draw(job: Job, folder: str) -> Draw:
    scenario = json.dumps(dataclasses.asdict(job.scenario), sort_keys=True)
    return drawn(folder, job.digest, scenario, job.seed)


def _alike(begun: list[Begun], k: int) -> list[list[Begun]]:
    """Jobs whose trial ``k`` is trained in the same way, so that they can be trained together."""
    found: dict[str, list[Begun]] = {}
    for b in begun:
        if k < b.job.trials:
            found.setdefault(repr(sorted(_chosen(b, k)[1].items())), []).append(b)
    return list(found.values())


def _chosen(b: Begun, k: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of trial ``k``: those of the method, and those of the training."""
    chosen = {**b.job.train, **b.options, **b.trials()[k]}
    training = options_in(Train)
    own = {name: v for name, v in chosen.items() if name not in training}
    return own, {name: v for name, v in chosen.items() if name in training}


def _fit(same: list[Begun], k: int) -> None:
    """Fit trial ``k`` of some jobs together; one by one if that breaks, so that one can be blamed."""
    _, training = _chosen(same[0], k)
    try:
        made = [configure(b.job.method.method, _chosen(b, k)[0])[0] for b in same]
        fits = [Fit(m, b.train, b.val, b.job.seed) for m, b in zip(made, same, strict=True)]
        found = fit_many(fits, **training)
    except Exception as e:  # noqa: BLE001 - as in `_safely`
        if len(same) > 1:
            for b in same:
                _fit([b], k)
            return
        reason = str(e) if isinstance(e, TruewardError) else _said(e)
        same[0].tried.append(Trial(same[0].trials()[k], None, math.inf, reason))
        return
    for b, model in zip(same, found, strict=True):
        b.tried.append(_judged(b, k, model))


def _judged(b: Begun, k: int, model: RewardModel | TruewardError) -> Trial:
    """Judge a trial by what its learner may see."""
    options = b.trials()[k]
    if isinstance(model, TruewardError):
        return Trial(options, None, math.inf, str(model))
    return Trial(options, model, criterion(model, b.val))


def _finished(b: Begun, folder: str) -> Row:
    """Choose a trial, and only then open the test; the others for the column that says so."""
    fitted = [t for t in b.tried if t.model is not None]
    lost = [t.reason for t in b.tried if t.reason]
    if not fitted:
        return {"status": "failed", "reason": lost[0]}
    chosen = min(fitted, key=lambda t: t.criterion)
    draw = _draw(b.job, folder)
    test = draw.labelled(draw.test)

    def measured(trial: Trial) -> dict[str, float | None]:
        assert trial.model is not None
        found = evaluate(trial.model, test, draws=0)
        scaled = {} if b.truthful else scaled_on_gold(trial.model, draw, test)
        return {k: found[k].value for k in METRICS} | scaled

    assert chosen.model is not None
    row: Row = {
        "status": "done",
        "labels": labels(b.train),
        "metrics": measured(chosen),
        "chosen": chosen.options,
        "trials": len(b.tried),
        "warnings": chosen.model.report["warnings"],
    }
    if lost:
        row["trials_failed"] = lost
    if b.job.selected_on_test:
        best = [m for m in map(measured, fitted) if m[ON_TEST] is not None]
        row["on_test"] = max(best, key=lambda m: float(m[ON_TEST] or 0.0)) if best else None
    return row


def scaled_on_gold(model: RewardModel, draw: Draw, test: Labelled) -> dict[str, float | None]:
    """R2 of sigmoid(a score + b), a and b fitted on the gold rows of the log; {} without gold.

    What a few trusted labels do for the scale of any method; they cannot change its ranking.
    """
    x, label = draw.gold()
    if not len(label):
        return {}
    known, tested = model.score_features(x).reward, model.score_features(test.x).reward
    if known is None or tested is None or test.r is None or not known.isfinite().all():
        return {ON_GOLD: None}
    slope, offset = platt(known, label)
    p = torch.sigmoid(slope * tested.double() + offset)
    return {ON_GOLD: measure(p.numpy(), r=test.r.numpy(), draws=0)["r2"].value}


def _predicted(job: Job, draw: Draw) -> Row:
    found = errors(job, draw)
    if isinstance(found, str):
        return _not_applicable(found)
    every = job.method.name == ORACLE
    count = len(draw.truth_train.rows) if every else labels(draw.train)
    return {"status": "done", "metrics": found, "labels": count}


def _not_applicable(reason: str) -> Row:
    return {"status": "not applicable", "reason": reason}
