"""Run a benchmark: units of jobs in processes; the row of every finished job is stored."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

import torch

from trueward.core.errors import NotWrittenError, TruewardError, UsageError
from trueward.core.output_lock import only_writer
from trueward.core.ray_cluster import Cluster
from trueward.core.tracking import known_trackers

from .jobs import Row, Unit, grouped, jobs_of, killed
from .metric_points import tracked
from .on_cluster import on_cluster
from .prepared import prepare
from .runs import Runs
from .sets import data_folder
from .work import run_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.process import BaseProcess
    from pathlib import Path

    from .config import Config

    Report = Callable[[int, int, Row], None]  # finished jobs, all jobs, the row

#: Most bytes of features that a process holds for all seeds of a scenario.
MOST_BYTES = 2**30


@dataclass(frozen=True)
class Outcome:
    """Result of a run.

    Attributes
    ----------
    folder : Path
        Folder of the run.
    jobs : int
        Number of jobs.
    rows : list of dict
        Rows of the finished jobs.

    """

    folder: Path
    jobs: int
    rows: list[Row]

    def count(self, status: str) -> int:
        """Return the number of rows with a status."""
        return sum(row["status"] == status for row in self.rows)

    @property
    def left(self) -> int:
        """Number of jobs that are not finished."""
        return self.jobs - len(self.rows)


def run_benchmark(
    config: Config,
    out: str | Path,
    *,
    processes: int | None = None,
    data: str | Path | None = None,
    limit: int | None = None,
    retry: bool = False,
    track: Sequence[str] = (),
    ray: Cluster | str | None = None,
    say: Callable[[str], None] = lambda _line: None,
    report: Report = lambda _done, _of, _row: None,
) -> Outcome:
    """Run the jobs of a benchmark that are not finished.

    Parameters
    ----------
    config : Config
        The benchmark.
    out : str or Path
        Folder of the run: new, empty, or of the same benchmark.
    processes : int, optional
        Number of parallel processes. None: one for each core.
    data : str or Path, optional
        Folder of the sets.
    limit : int, optional
        Most jobs to run. None: all.
    retry : bool
        Run failed jobs again.
    track : sequence of str
        Trackers that get the metrics of each job: trackio, tensorboard, mlflow, wandb, or another of
        accelerate. One that fails is left out with a warning.
    ray : Cluster, str or None
        Run the jobs in processes of a Ray cluster: its address, ``local`` for one on this machine, or a
        `trueward.scale.Cluster`. All nodes must see the cache of prepared sets.
    say : callable
        Receives a line of text before features are computed.
    report : callable
        Receives (finished jobs, all jobs, row) after each job.

    Returns
    -------
    Outcome

    Raises
    ------
    UsageError
        If an option is invalid or the folder has another config.
    TruewardError
        If a set cannot be read, or the folder cannot be used or another process runs in it.

    """
    for name, value in (("jobs", processes), ("limit", limit)):
        if value is not None and value < 1:
            raise UsageError(f"--{name} must be at least 1, found {value}")
    known_trackers(track)
    Runs.claim(out, config)  # before any features are computed
    cluster = Cluster.of(ray)
    with only_writer(out), contextlib.ExitStack() as stack:
        folder = data_folder(data)
        sets = {s.label: prepare(s, config.backbone, folder, say) for s in config.sets}
        runs = Runs.begin(out, config, {k: p.digest for k, p in sets.items()})
        jobs = jobs_of(config, sets)
        folders = {job.key: str(sets[job.set].folder) for job in jobs}
        left = runs.left(jobs, retry=retry)[:limit]
        stack.enter_context(cluster.connected() if cluster else contextlib.nullcontext())
        count = cluster.slots() if cluster else processes or os.cpu_count() or 1
        large = max(p.size for p in sets.values()) * len(config.seeds) > MOST_BYTES
        sizes = {label: len(p.rows) for label, p in sets.items()}
        units = grouped([(job, folders[job.key]) for job in left], count, sizes, apart=large)
        done = len(jobs) - len(runs.left(jobs, retry=retry))
        work = _work(units, runs, count) if cluster is None else on_cluster(cluster, units, runs)
        for row in tracked(work, runs, track, {job.key for job in left}):
            done += 1
            report(done, len(jobs), row)
        keys = {job.key for job in jobs}
        return Outcome(runs.folder, len(jobs), [r for r in runs.rows() if r["key"] in keys])


@dataclass
class Worker:
    """A process and its unit.

    Attributes
    ----------
    process : BaseProcess
        The process.
    pipe : Connection
        The pipe to it.
    unit : Unit or None
        The unit that it runs.
    finished : set of str
        Keys of the unit's finished jobs.
    ready : bool
        Whether it has started.

    """

    process: BaseProcess
    pipe: Connection
    unit: Unit | None = None
    finished: set[str] = field(default_factory=set)
    ready: bool = False

    def give(self, unit: Unit) -> None:
        """Send the next unit."""
        self.unit, self.finished = unit, set()
        with contextlib.suppress(OSError):  # it has died; the next read of its pipe reports that
            self.pipe.send(unit)


def _work(units: list[Unit], runs: Runs, processes: int) -> Iterator[Row]:
    """Run the units; yield each row after it is on disk."""
    queue = list(reversed(units))
    count = min(processes, len(units))
    threads = max(1, (os.cpu_count() or 1) // max(1, count))
    workers = [_start(runs, threads) for _ in range(count)]
    try:
        while workers:
            for pipe in wait([w.pipe for w in workers]):
                worker = next(w for w in workers if w.pipe is pipe)
                row, ended = _receive(worker, queue, runs)
                if row is not None:
                    yield row
                if ended:
                    workers.remove(worker)
                    if queue and worker.unit is not None:
                        workers.append(_start(runs, threads))
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.join(5)


def _receive(worker: Worker, queue: list[Unit], runs: Runs) -> tuple[Row | None, bool]:
    """Receive a message; return (row of a finished job, whether the process has ended)."""
    try:
        kind, content = worker.pipe.recv()
    except (EOFError, OSError):
        return _handle_death(worker, queue, runs), True
    if kind == "stop":
        raise NotWrittenError(content)
    if kind == "row":
        worker.finished.add(content["key"])
        return content, False
    worker.ready = True
    worker.unit = None
    if queue:
        worker.give(queue.pop())
        return None, False
    worker.pipe.close()  # the process ends
    worker.process.join(10)
    return None, True


def _handle_death(worker: Worker, queue: list[Unit], runs: Runs) -> Row | None:
    """Write a failed row for the job that killed a process, or repeat its unit job by job."""
    worker.process.join(5)
    code = worker.process.exitcode
    if not worker.ready:
        raise TruewardError(
            f"a process for the jobs did not start (exit code {code}); a script must call "
            "run_benchmark under `if __name__ == '__main__':`"
        )
    if worker.unit is None:
        return None
    left = [job for job in worker.unit.jobs if job.key not in worker.finished]
    if len(left) != 1:  # repeated one by one, to find the job that killed the process
        queue += [Unit((job,), worker.unit.folder) for job in reversed(left)]
        return None
    row = killed(left[0], _cause(code))
    runs.write(row)
    return row


def _cause(code: int | None) -> str:
    if code is None or code >= 0:
        return f"the process of this job ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = "; the usual cause is too little memory" if -code == signal.SIGKILL else ""
    return f"the process of this job was killed by {name}{hint}"


def _start(runs: Runs, threads: int) -> Worker:
    """Start a process; it reports when it is ready for a unit."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_process, args=(theirs, runs, threads), daemon=True)
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(threads)  # torch reads it when it is imported
    try:
        process.start()
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
    theirs.close()
    return Worker(process, ours)


def _process(pipe: Connection, runs: Runs, threads: int) -> None:
    """Run units until the pipe is closed; only the parent process handles Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _terminate)
    torch.set_num_threads(threads)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            pipe.send(("ready", None))
            unit: Unit = pipe.recv()
            for _job, row in run_unit(unit):
                try:
                    runs.write(row)
                except NotWrittenError as e:
                    pipe.send(("stop", str(e)))
                    return
                pipe.send(("row", row))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # no cleanup is left


def _terminate(_signal: int, _frame: Any) -> None:
    """Exit through the `finally` blocks, so that temporary folders are removed."""
    sys.exit(128 + signal.SIGTERM)
