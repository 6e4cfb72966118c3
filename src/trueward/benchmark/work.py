"""Run the jobs of a unit: search, fit and evaluate; each job gets its own row.

Methods and the criterion of the search use `Feedback`; oracle and clean-mcar use `Labelled` of training
and validation rows. Only `_evaluate_job` uses the test set, after the selection of a trial. Jobs of the
kinds in `PROTOCOLS` also keep the figures of every trial.
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

from trueward.core.errors import TruewardError, UsageError
from trueward.core.options import options as options_in
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Labelled
from trueward.estimation.requirements import lacking
from trueward.estimators._registry import method_class
from trueward.evaluation.evaluate import evaluate
from trueward.fitting.fit import configure
from trueward.fitting.sweep import FitJob as Fit
from trueward.fitting.sweep import fit_many
from trueward.training.config import Train

from .draw import Draw, labels, options_of
from .entries import CLEAN, ORACLE
from .metrics import METRICS, ON_TEST, loss_errors, scaled_on_gold
from .protocols import PROTOCOLS, split_of, tried
from .sampling import sample
from .search import criterion, draws, space_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trueward.data.feedback import Feedback
    from trueward.model.reward_model import RewardModel

    from .jobs import Job, Row, Unit

#: what a row keeps of the report of the nuisance ``selection``
SELECTION = ("weights", "uses_unrated", "share_good", "share_good_range")


@dataclass(frozen=True)
class Trial:
    """One trial of the random search.

    Attributes
    ----------
    options : dict
        Searched options.
    model : RewardModel or None
        None if the fit failed.
    criterion : float
        Criterion on validation rows, lower is better.
    reason : str or None
        The error of a failed fit.

    """

    options: dict[str, Any]
    model: RewardModel | None
    criterion: float
    reason: str | None = None


@dataclass(frozen=True, eq=False)
class Fittable:
    """A job that can be fitted.

    Attributes
    ----------
    job : Job
        The job.
    options : dict
        Options of the method.
    train, val : Feedback or Labelled
        Rows that the method uses.
    trials : list of Trial
        Finished trials.

    """

    job: Job
    options: dict[str, Any]
    train: Feedback | Labelled
    val: Feedback | Labelled
    trials: list[Trial] = field(default_factory=list)

    @property
    def truthful(self) -> bool:
        """Whether the method is trained on true labels."""
        return isinstance(self.train, Labelled)

    def trial_options(self) -> list[dict[str, Any]]:
        """Return the options of every trial."""
        method = method_class(self.job.method.method)
        space = space_of(method, {**self.job.train, **self.options}, self.job.method.space)
        return draws(space, self.job.trials)


def run_unit(unit: Unit) -> Iterator[tuple[Job, Row]]:
    """Run the jobs of a unit.

    Parameters
    ----------
    unit : Unit
        The jobs.

    Yields
    ------
    job : Job
        A job of the unit.
    row : dict
        Its row; an error becomes a row with the status ``failed``.

    """
    fittable: list[Fittable] = []
    data: dict[tuple[Any, ...], Any] = {}
    for job in unit.jobs:
        started = time.monotonic()
        result = _safely(partial(_prepare_job, job, unit.folder, data))
        if isinstance(result, Fittable):
            fittable.append(result)
        else:
            yield job, {**job.row(), **result, "seconds": _since(started, 1)}
    started = time.monotonic()
    for k in range(max((b.job.trials for b in fittable), default=0)):
        for group in _same_training(fittable, k):
            _fit(group, k)
    seconds = _since(started, len(fittable))
    for b in fittable:
        row = _safely(partial(_evaluate_job, b, unit.folder))
        yield b.job, {**b.job.row(), **row, "seconds": seconds}


def _since(started: float, share: int) -> float:
    """Return the seconds since ``started``, divided by the number of jobs."""
    return round((time.monotonic() - started) / max(1, share), 2)


def _safely(call: Callable[[], Any]) -> Any:
    """Return the result of a call, or the columns of a failed row."""
    try:
        return call()
    except TruewardError as e:
        return {"status": "failed", "reason": str(e)}
    except MemoryError:
        return {"status": "failed", "reason": "the job needs more memory than this machine has"}
    except Exception as e:  # noqa: BLE001 - a bug of one method must not stop the benchmark
        return {"status": "failed", "reason": _one_line(e), "traceback": traceback.format_exc()}


def _one_line(e: Exception) -> str:
    return " ".join(f"{type(e).__name__}: {e}".split())


def _prepare_job(job: Job, folder: str, data: dict[tuple[Any, ...], Any]) -> Fittable | Row:
    """Return the training data of a job, or a row if the method is not applicable."""
    draw = _draw(job, folder)
    if job.kind == "predictions":
        return _predicted(job, draw)
    options = options_of(job.method, draw)
    if isinstance(options, str):
        return _not_applicable(options)
    try:
        method, _ = configure(job.method.method, {**job.train, **options})
    except UsageError as e:
        return _not_applicable(str(e))
    if method.interval_only:
        return _not_applicable(f"{method.name} with these options gives an interval, not a score")
    # Jobs with equal rows get the same object, so that `fit_many` can share their nuisances.
    known = "propensity" in job.method.known
    kind = job.method.name if method.takes_truth else known
    key = (json.dumps(job.to_json()["scenario"], sort_keys=True), job.seed, kind)
    if key not in data:
        count = (labels(draw.train), labels(draw.val)) if job.method.name == CLEAN else None
        truth = method.takes_truth
        data[key] = draw.clean(count, job.seed) if truth else draw.feedback(known=known)
    train, val = data[key]
    if not method.takes_truth and (
        missing := lacking(method, LogCapabilities.from_feedback(train))
    ):
        return _not_applicable(f"needs {missing}")
    return Fittable(job, options, train, val)


def _draw(job: Job, folder: str) -> Draw:
    scenario = json.dumps(dataclasses.asdict(job.scenario), sort_keys=True)
    return sample(folder, job.digest, scenario, job.seed, split_of(job.kind))


def _same_training(fittable: list[Fittable], k: int) -> list[list[Fittable]]:
    """Group the jobs by the training options of trial ``k``; a group is trained together."""
    groups: dict[str, list[Fittable]] = {}
    for b in fittable:
        if k < b.job.trials:
            groups.setdefault(repr(sorted(_options(b, k)[1].items())), []).append(b)
    return list(groups.values())


def _options(b: Fittable, k: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of trial ``k``: those of the method, and those of the training."""
    values = {**b.job.train, **b.options, **b.trial_options()[k]}
    training = options_in(Train)
    own = {name: v for name, v in values.items() if name not in training}
    return own, {name: v for name, v in values.items() if name in training}


def _fit(group: list[Fittable], k: int) -> None:
    """Fit trial ``k`` of some jobs together; after an error one by one, to find the failing job."""
    _, training = _options(group[0], k)
    try:
        methods = [configure(b.job.method.method, _options(b, k)[0])[0] for b in group]
        fits = [Fit(m, b.train, b.val, b.job.seed) for m, b in zip(methods, group, strict=True)]
        models = fit_many(fits, **training)
    except Exception as e:  # noqa: BLE001 - as in `_safely`
        if len(group) > 1:
            for b in group:
                _fit([b], k)
            return
        reason = str(e) if isinstance(e, TruewardError) else _one_line(e)
        group[0].trials.append(Trial(group[0].trial_options()[k], None, math.inf, reason))
        return
    for b, model in zip(group, models, strict=True):
        b.trials.append(_trial(b, k, model))


def _trial(b: Fittable, k: int, model: RewardModel | TruewardError) -> Trial:
    """Return the trial of a fit, with its criterion."""
    options = b.trial_options()[k]
    if isinstance(model, TruewardError):
        return Trial(options, None, math.inf, str(model))
    return Trial(options, model, criterion(model, b.val))


def _evaluate_job(b: Fittable, folder: str) -> Row:
    """Select a trial and evaluate it on the test set; all trials for ``selected_on_test``."""
    fitted = [t for t in b.trials if t.model is not None]
    failures = [t.reason for t in b.trials if t.reason]
    if not fitted:
        return {"status": "failed", "reason": failures[0]}
    chosen = min(fitted, key=lambda t: t.criterion)
    draw = _draw(b.job, folder)
    test = draw.labelled(draw.test)

    def metrics(model: RewardModel) -> dict[str, float | None]:
        values = evaluate(model, test, draws=0)
        scaled = {} if b.truthful else scaled_on_gold(model, draw, test)
        return {k: values[k].value for k in METRICS} | scaled

    assert chosen.model is not None
    row: Row = {
        "status": "done",
        "labels": labels(b.train),
        "metrics": metrics(chosen.model),
        "chosen": chosen.options,
        "trials": len(b.trials),
        "warnings": chosen.model.report["warnings"],
    }
    if selection := chosen.model.report["nuisances"].get("selection"):
        row["selection"] = {k: selection[k] for k in SELECTION}
        row["share_good"] = draw.truth_train.share_good
    if failures:
        row["trials_failed"] = failures
    if b.job.selected_on_test:
        measured = [metrics(t.model) for t in fitted if t.model is not None]
        best = [m for m in measured if m[ON_TEST] is not None]
        row["on_test"] = max(best, key=lambda m: float(m[ON_TEST] or 0.0)) if best else None
    if b.job.kind in PROTOCOLS:
        val = draw.labelled(draw.truth_val)
        every = [(t.model, t.criterion, t.options) for t in fitted if t.model is not None]
        row["tried"] = tried(every, lambda m: evaluate(m, val, draws=0)[ON_TEST].value, metrics)
    return row


def _predicted(job: Job, draw: Draw) -> Row:
    result = loss_errors(job, draw)
    if isinstance(result, str):
        return _not_applicable(result)
    every = job.method.name == ORACLE
    count = len(draw.truth_train.rows) if every else labels(draw.train)
    return {"status": "done", "metrics": result, "labels": count}


def _not_applicable(reason: str) -> Row:
    return {"status": "not applicable", "reason": reason}
