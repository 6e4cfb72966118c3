"""Many fits at once: alike networks trained as one, nuisances that methods share fitted once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError
from trueward.core.threads import in_threads
from trueward.training.loop import train_nets

from .crossfit import Estimated, Fitted, Ground, estimate, fit_together
from .fit import Prepared, configure, suited

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueward.data.feedback import Feedback, Labelled
    from trueward.estimation.method import Method
    from trueward.model.reward_model import RewardModel
    from trueward.training.config import Train
    from trueward.training.step import Problem
    from trueward.training.training_state import State


@dataclass(frozen=True, eq=False)
class Job:
    """One `fit` of many: a method on a log, with its seed."""

    method: str | Method
    train: Feedback | Labelled
    val: Feedback | Labelled
    seed: int = 0


@dataclass(frozen=True, eq=False)
class _Begun:
    """A job whose log was found fit for its method."""

    method: Method
    cfg: Train
    log: Prepared
    place: tuple[object, ...]  # equal for jobs that may share their nuisances
    reasons: tuple[str, ...]  # why that method


def fit_many(
    jobs: Sequence[Job], *, threads: int = 1, **chosen: Any
) -> list[RewardModel | TruewardError]:
    """`fit` of every job; one that fails leaves its error in its place and the others as they are.

    The numbers are those of the fits one by one, up to rounding. Jobs that take the same steps - the
    seeds of a method, the settings of a search - are trained as one stacked network, and a nuisance
    that several methods ask of one log and seed is fitted once. ``threads``: stacks at work at once,
    each on one core. ``chosen`` are options of `Train`.
    """
    found: list[Any] = [None] * len(jobs)
    begun: dict[int, _Begun] = {}
    logs: dict[tuple[object, ...], Prepared] = {}
    for k, job in enumerate(jobs):
        try:
            begun[k] = _begin(job, chosen, logs)
        except TruewardError as e:
            found[k] = e
    fitted = _fitted(begun, threads)
    ready: dict[int, tuple[Estimated, Problem]] = {}
    for k, made in zip(
        begun,
        in_threads(lambda k: _estimated(begun[k], *fitted[k]), list(begun), threads),
        strict=True,
    ):
        if isinstance(made, tuple):
            ready[k] = made
        else:
            found[k] = made
    states = train_nets([p for _, p in ready.values()], [begun[k].cfg for k in ready], threads)
    parts = [(begun[k], *ready[k], s) for k, s in zip(ready, states, strict=True)]
    models = in_threads(lambda part: _modelled(*part), parts, threads)
    for k, model in zip(ready, models, strict=True):
        found[k] = model
    return found


def _begin(job: Job, chosen: dict[str, Any], logs: dict[tuple[object, ...], Prepared]) -> _Begun:
    method, cfg = configure(job.method, {**chosen, "seed": job.seed})
    method, reasons = suited(method, job.train)
    same = (id(job.train), id(job.val), method.takes_truth)
    log = logs.get((*same, cfg.dtype()))
    if log is None:
        log = logs[(*same, cfg.dtype())] = Prepared.of(method, job.train, job.val, cfg)
    log.require(method)
    return _Begun(method, cfg, log, (*same, cfg), reasons)


def _fitted(begun: dict[int, _Begun], threads: int) -> dict[int, tuple[Ground, Fitted]]:
    """The ground of every job, and the nuisances fitted on it."""
    shared: dict[tuple[object, ...], list[int]] = {}
    for k, job in begun.items():
        shared.setdefault(job.place, []).append(k)
    grounds = [begun[ks[0]].log.ground(begun[ks[0]].cfg) for ks in shared.values()]
    asked = [[begun[k].method for k in ks] for ks in shared.values()]
    fitted = fit_together(list(zip(grounds, asked, strict=True)), threads)
    parts = zip(shared.values(), grounds, fitted, strict=True)
    return {k: (ground, values) for ks, ground, values in parts for k in ks}


def _estimated(
    job: _Begun, ground: Ground, fitted: Fitted
) -> tuple[Estimated, Problem] | RewardModel | TruewardError:
    """What the reward's network is trained on, or the model where nothing is."""
    try:
        values = estimate(job.method, ground, fitted)
        if job.method.composed and values.whole:
            return job.log.composed(job.method, job.cfg, values, ground, job.reasons)
        return values, job.log.problem(job.method, values)
    except TruewardError as e:
        return e


def _modelled(
    job: _Begun,
    values: Estimated,
    problem: Problem,
    state: State | TruewardError,
) -> RewardModel | TruewardError:
    if isinstance(state, TruewardError):
        return state
    try:
        return job.log.model(problem, job.cfg, values, state, job.reasons)
    except TruewardError as e:
        return e
