"""Running a benchmark: jobs in processes of their own, each finished one kept, whatever happens next."""

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

from .folder import Runs
from .jobs import Job, Row, Unit, grouped, killed
from .prepared import prepare
from .sets import data_folder
from .work import run_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.process import BaseProcess
    from pathlib import Path

    from .config import Config
    from .prepared import Prepared

    Report = Callable[[int, int, Row], None]  # finished, of, the row

MOST_BYTES = 2**30  # of features that one process may hold for all seeds of a scenario


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    folder: Path
    jobs: int
    rows: list[Row]

    def count(self, status: str) -> int:
        """Count the rows of a status."""
        return sum(row["status"] == status for row in self.rows)

    @property
    def left(self) -> int:
        """Jobs that are not finished."""
        return self.jobs - len(self.rows)


def run_benchmark(
    config: Config,
    out: str | Path,
    *,
    processes: int | None = None,
    data: str | Path | None = None,
    limit: int | None = None,
    retry: bool = False,
    say: Callable[[str], None] = lambda _line: None,
    report: Report = lambda _done, _of, _row: None,
) -> Outcome:
    """Do what is left of a benchmark in ``out``, at most ``limit`` jobs of it.

    processes: at once; None is one a core. data: the folder of the sets. retry: do failed jobs
    again. say gets a line of preparation, report every finished row.
    """
    for name, value in (("jobs", processes), ("limit", limit)):
        if value is not None and value < 1:
            raise UsageError(f"--{name} takes a whole number of at least 1, not {value}")
    Runs.claim(out, config)  # before any features are computed
    folder = data_folder(data)
    sets = {s.label: prepare(s, config.backbone, folder, say) for s in config.sets}
    runs = Runs.begin(out, config, {k: p.digest for k, p in sets.items()})
    jobs = jobs_of(config, sets)
    where = {job.key: str(sets[job.set].folder) for job in jobs}
    left = runs.left(jobs, retry=retry)[:limit]
    count = processes or os.cpu_count() or 1
    large = max(p.size for p in sets.values()) * len(config.seeds) > MOST_BYTES
    sizes = {label: len(p.rows) for label, p in sets.items()}
    units = grouped([(job, where[job.key]) for job in left], count, sizes, apart=large)
    done = len(jobs) - len(runs.left(jobs, retry=retry))
    for row in _work(units, runs, count):
        done += 1
        report(done, len(jobs), row)
    keys = {job.key for job in jobs}
    return Outcome(runs.folder, len(jobs), [r for r in runs.rows() if r["key"] in keys])


def jobs_of(config: Config, sets: dict[str, Prepared]) -> list[Job]:
    """Every job of a benchmark, in the order of its config."""
    return [
        Job(
            kind=config.kind,
            set=entry.label,
            digest=sets[entry.label].digest,
            scenario=scenario,
            method=method,
            seed=seed,
            trials=config.trials,
            train=config.train,
            selected_on_test=config.selected_on_test,
        )
        for entry in config.sets
        for scenario in config.scenarios_of(entry)
        for method in config.methods
        for seed in config.seeds
    ]


@dataclass
class Worker:
    """A process and the unit it is at."""

    process: BaseProcess
    pipe: Connection
    unit: Unit | None = None
    finished: set[str] = field(default_factory=set)
    ready: bool = False

    def give(self, unit: Unit) -> None:
        """Hand over the next unit."""
        self.unit, self.finished = unit, set()
        with contextlib.suppress(OSError):  # it died meanwhile: its pipe says so next
            self.pipe.send(unit)


def _work(units: list[Unit], runs: Runs, processes: int) -> Iterator[Row]:
    """Do the units; give each row once it is on disk."""
    queue = list(reversed(units))
    count = min(processes, len(units))
    threads = max(1, (os.cpu_count() or 1) // max(1, count))
    workers = [_started(runs, threads) for _ in range(count)]
    try:
        while workers:
            for pipe in wait([w.pipe for w in workers]):
                worker = next(w for w in workers if w.pipe is pipe)
                row, ended = _heard(worker, queue, runs)
                if row is not None:
                    yield row
                if ended:
                    workers.remove(worker)
                    if queue and worker.unit is not None:
                        workers.append(_started(runs, threads))
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.join(5)


def _heard(worker: Worker, queue: list[Unit], runs: Runs) -> tuple[Row | None, bool]:
    """Take one message: (a finished row, whether the process has ended)."""
    try:
        said, what = worker.pipe.recv()
    except (EOFError, OSError):
        return _died(worker, queue, runs), True
    if said == "stop":
        raise NotWrittenError(what)
    if said == "row":
        worker.finished.add(what["key"])
        return what, False
    worker.ready = True
    worker.unit = None
    if queue:
        worker.give(queue.pop())
        return None, False
    worker.pipe.close()  # which tells the process to end
    worker.process.join(10)
    return None, True


def _died(worker: Worker, queue: list[Unit], runs: Runs) -> Row | None:
    """Keep a row for the job that a process died of, once it is known which one it was."""
    worker.process.join(5)
    code = worker.process.exitcode
    if not worker.ready:
        raise TruewardError(
            f"a process for the jobs could not start (exit code {code}); a script that runs a "
            "benchmark must do so under `if __name__ == '__main__':`"
        )
    if worker.unit is None:
        return None
    left = [job for job in worker.unit.jobs if job.key not in worker.finished]
    if len(left) != 1:  # done again one by one, so that only the one it died of is blamed
        queue += [Unit((job,), worker.unit.folder) for job in reversed(left)]
        return None
    row = killed(left[0], _how(code))
    runs.write(row)
    return row


def _how(code: int | None) -> str:
    if code is None or code >= 0:
        return f"the process of this job ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = "; too little memory is the usual cause" if -code == signal.SIGKILL else ""
    return f"the process of this job was killed by {name}{hint}"


def _started(runs: Runs, threads: int) -> Worker:
    """Start a process; it says that it is ready for its first unit."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_process, args=(theirs, runs, threads), daemon=True)
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when the process loads torch
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
    """Do units until there are no more; the one that runs the benchmark decides about Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
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
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # nothing is left to clean up


def _leave(_signal: int, _frame: Any) -> None:
    """End through the `finally` blocks, so that no scratch folder stays."""
    sys.exit(128 + signal.SIGTERM)
