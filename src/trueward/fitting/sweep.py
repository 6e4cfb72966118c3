"""Many fits at once: networks of one architecture are stacked, shared nuisances are fitted once."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from trueward.core.arguments import SEVERAL, WHOLE, described, require_kinds
from trueward.core.errors import TruewardError, UsageError
from trueward.core.ray_actors import DIED
from trueward.core.ray_cluster import Cluster
from trueward.core.threads import in_threads
from trueward.data.feedback import Feedback, Labelled
from trueward.training.loop import train_nets

from .crossfit import CrossFitData, NuisanceFits, fit_nuisances
from .fit import configure, resolve
from .out_of_fold import OutOfFoldNuisances, estimate_nuisances
from .prepared import PreparedLog
from .record import composed_model, trained_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trueward.estimation.method import Method
    from trueward.model.reward_model import RewardModel
    from trueward.training.config import Train
    from trueward.training.problem import TrainingProblem
    from trueward.training.training_state import TrainingState

    from .options import FitOptions


@dataclass(frozen=True, eq=False)
class FitJob:
    """One `fit` of many.

    Attributes
    ----------
    method : str or Method
        Name of a method, or a method with its options.
    train, val : Feedback or Labelled
        Training and validation rows.
    seed : int, default 0
        Root of all random streams of this fit.

    """

    method: str | Method
    train: Feedback | Labelled
    val: Feedback | Labelled
    seed: int = 0


@dataclass(frozen=True, eq=False)
class _CheckedJob:
    """A job whose log supports its method."""

    method: Method
    cfg: Train
    log: PreparedLog
    log_key: tuple[object, ...]  # equal for jobs that share log and settings, and so nuisances
    reasons: tuple[str, ...]  # for the choice of the method


def fit_many(
    jobs: Sequence[FitJob],
    *,
    threads: int = 1,
    ray: Cluster | str | None = None,
    **chosen: Unpack[FitOptions],
) -> list[RewardModel | TruewardError]:
    """Fit many methods, seeds or logs at once; results are those of `fit` one by one, up to rounding.

    Jobs that take the same steps (the seeds of a method, the settings of a search) are trained as one
    stacked network. A nuisance that several methods need of one log and seed is fitted once.

    Parameters
    ----------
    jobs : sequence of FitJob
        Method, training rows, validation rows and seed of every fit.
    threads : int, default 1
        Number of stacks trained at once, each on one core.
    ray : Cluster, str or None
        Fit in processes of a Ray cluster: its address, ``local`` for one on this machine, or a
        `trueward.scale.Cluster`. The jobs of one log and seed stay together where the processes suffice.
    **chosen : FitOptions
        Fields of `trueward.Train` for all jobs; each job has its own seed.

    Returns
    -------
    list of RewardModel or TruewardError
        In the order of the jobs; a fit that fails has its error in the list, and the others go on.

    Examples
    --------
    >>> import torch
    >>> import trueward as tw
    >>> from trueward.fitting.sweep import FitJob, fit_many
    >>> g = torch.Generator().manual_seed(0)
    >>> x = torch.randn(400, 4, generator=g)
    >>> rated = (torch.rand(400, generator=g) < torch.sigmoid(x[:, 1])).float()
    >>> log = tw.Feedback(x, (x[:, 0] > 0).float() * rated, rated, group=torch.arange(400))
    >>> train, val = log.split(0.25)
    >>> models = fit_many([FitJob("ips", train, val, seed) for seed in (0, 1)], epochs=2)
    >>> [model.report["training"]["seed"] for model in models]
    [0, 1]

    """
    require_kinds("fit_many", jobs=(jobs, SEVERAL), threads=(threads, WHOLE))
    for job in (jobs := list(jobs)):
        if not isinstance(job, FitJob):
            raise UsageError(f"fit_many: jobs takes a list of FitJob, not {described(job)}")
        for data in (job.train, job.val):
            if not isinstance(data, Feedback | Labelled):
                raise UsageError(
                    f"fit_many: a FitJob takes rows with features, not {described(data)}: encode and split "
                    "the log"
                )
    if (cluster := Cluster.of(ray)) is not None:
        return _on_cluster(cluster, jobs, threads, dict(chosen))
    results: list[Any] = [None] * len(jobs)
    checked: dict[int, _CheckedJob] = {}
    logs: dict[tuple[object, ...], PreparedLog] = {}
    for k, job in enumerate(jobs):
        try:
            checked[k] = _check(job, chosen, logs)
        except TruewardError as e:
            results[k] = e
    fits = _shared_nuisances(checked, threads)
    ready: dict[int, tuple[OutOfFoldNuisances, TrainingProblem]] = {}
    posed = in_threads(lambda k: _pose(checked[k], *fits[k]), list(checked), threads)
    for k, result in zip(checked, posed, strict=True):
        if isinstance(result, tuple):
            ready[k] = result
        else:
            results[k] = result
    states = train_nets([p for _, p in ready.values()], [checked[k].cfg for k in ready], threads)
    parts = [(checked[k], *ready[k], s) for k, s in zip(ready, states, strict=True)]
    models = in_threads(lambda part: _model(*part), parts, threads)
    for k, model in zip(ready, models, strict=True):
        results[k] = model
    return results


def _on_cluster(
    cluster: Cluster, jobs: list[FitJob], threads: int, chosen: dict[str, Any]
) -> list[RewardModel | TruewardError]:
    """Fit groups of jobs in processes of a cluster, to which each table is sent once."""
    groups: dict[tuple[int, ...], list[int]] = {}
    with cluster.connected() as ray:
        for k, job in enumerate(jobs):
            groups.setdefault((id(job.train), id(job.val), job.seed), []).append(k)
        if len(groups) < min(cluster.slots(), len(jobs)):
            groups = {(k,): [k] for k in range(len(jobs))}
        tables = {id(t): t for job in jobs for t in (job.train, job.val)}
        sent = {key: ray.put(table) for key, table in tables.items()}
        work = [
            [
                (jobs[k].method, sent[id(jobs[k].train)], sent[id(jobs[k].val)], jobs[k].seed)
                for k in own
            ]
            for own in groups.values()
        ]
        results: list[Any] = [None] * len(jobs)
        fit = partial(_fit_group, threads, chosen)
        for number, models in cluster.calls(fit, work):
            own = list(groups.values())[number]
            for k, model in zip(own, models or [TruewardError(DIED)] * len(own), strict=True):
                results[k] = model
    return results


def _fit_group(
    threads: int, chosen: dict[str, Any], group: list[tuple[Any, ...]]
) -> list[RewardModel | TruewardError]:
    """Fit some jobs in a process of a cluster."""
    get = importlib.import_module("ray").get
    jobs = [FitJob(method, get(train), get(val), seed) for method, train, val, seed in group]
    return fit_many(jobs, threads=threads, **chosen)


def _check(
    job: FitJob, chosen: Mapping[str, Any], logs: dict[tuple[object, ...], PreparedLog]
) -> _CheckedJob:
    requested, cfg = configure(job.method, {**chosen, "seed": job.seed})
    method, reasons = resolve(requested, job.train)
    same = (id(job.train), id(job.val), method.takes_truth)
    log = logs.get((*same, cfg.dtype()))
    if log is None:
        log = logs[(*same, cfg.dtype())] = PreparedLog.of(method, job.train, job.val, cfg)
    log.require(method)
    return _CheckedJob(method, cfg, log, (*same, cfg), reasons)


def _shared_nuisances(
    jobs: dict[int, _CheckedJob], threads: int
) -> dict[int, tuple[CrossFitData, NuisanceFits]]:
    """The cross-fitting data of every job, and the nuisances fitted on it."""
    shared: dict[tuple[object, ...], list[int]] = {}
    for k, job in jobs.items():
        shared.setdefault(job.log_key, []).append(k)
    data = [jobs[ks[0]].log.cross_fit_data(jobs[ks[0]].cfg) for ks in shared.values()]
    methods = [[jobs[k].method for k in ks] for ks in shared.values()]
    fits = fit_nuisances(list(zip(data, methods, strict=True)), threads)
    parts = zip(shared.values(), data, fits, strict=True)
    return {k: (rows, values) for ks, rows, values in parts for k in ks}


def _pose(
    job: _CheckedJob, data: CrossFitData, fits: NuisanceFits
) -> tuple[OutOfFoldNuisances, TrainingProblem] | RewardModel | TruewardError:
    """The training problem of the reward, or the model where it is composed of its nuisances."""
    try:
        nuisances = estimate_nuisances(job.method, data, fits)
        if job.method.composed and nuisances.complete:
            return composed_model(
                job.log, job.method, job.cfg, nuisances, data.projection, job.reasons
            )
        return nuisances, job.log.problem(job.method, nuisances)
    except TruewardError as e:
        return e


def _model(
    job: _CheckedJob,
    nuisances: OutOfFoldNuisances,
    problem: TrainingProblem,
    state: TrainingState | TruewardError,
) -> RewardModel | TruewardError:
    if isinstance(state, TruewardError):
        return state
    try:
        return trained_model(job.log, problem, job.cfg, nuisances, state, job.reasons)
    except TruewardError as e:
        return e
