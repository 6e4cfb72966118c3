"""Jobs of a benchmark and their grouping into units.

A job is one method on one draw of one scenario. Its row depends only on the fields of `Job`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .config import Config
    from .entries import MethodEntry
    from .prepared import Prepared
    from .scenarios import Scenario

#: Format of jobs and rows. A change of a job's computation is a new format.
FORMAT = 2
#: Most methods in a unit.
MOST = 8
#: Most rows x fits in a unit: about ten minutes of a core.
LONGEST = 2_000_000

Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One method on one draw of one scenario: all inputs of the computation.

    Attributes
    ----------
    kind : str
        ``fit`` or ``predictions``.
    set : str
        Label of the set.
    digest : str
        Digest of the set's rows, features and threshold.
    scenario : Scenario
        The scenario.
    method : MethodEntry
        The method.
    seed : int
        The seed.
    trials : int
        Trials of the random search.
    train : dict
        Training options.
    selected_on_test : bool
        Also report the trial with the best R2 on the test set.

    """

    kind: str
    set: str
    digest: str
    scenario: Scenario
    method: MethodEntry
    seed: int
    trials: int
    train: dict[str, Any]
    selected_on_test: bool

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {"format": FORMAT, **dataclasses.asdict(self)}

    @property
    def key(self) -> str:
        """SHA-256 of the canonical JSON of the job."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def row(self) -> Row:
        """Return the columns of a row that identify the job."""
        s = dataclasses.asdict(self.scenario)
        return {
            "key": self.key, "set": self.set, **s, "method": self.method.label,
            "name": self.method.name, "seed": self.seed,
        }  # fmt: skip


def jobs_of(config: Config, sets: dict[str, Prepared]) -> list[Job]:
    """Return all jobs of a benchmark, in the order of the config."""
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


@dataclass(frozen=True)
class Unit:
    """Jobs that one process runs together.

    Attributes
    ----------
    jobs : tuple of Job
        The jobs.
    folder : str
        Folder of their prepared set.

    """

    jobs: tuple[Job, ...]
    folder: str


def grouped(
    jobs: Iterable[tuple[Job, str]], processes: int, rows: Mapping[str, int], *, apart: bool = False
) -> list[Unit]:
    """Group jobs into units: several methods of one scenario with all their seeds.

    The jobs of a unit share nuisances and are trained as one network where their steps are equal.
    Units run in parallel, and a row is stored when its unit is done. A unit has up to 8 methods, and
    fewer if processes would be idle or the unit would take long.

    Parameters
    ----------
    jobs : iterable of (Job, str)
        Jobs and the folders of their sets.
    processes : int
        Number of processes.
    rows : mapping
        Number of rows of each set, by label.
    apart : bool
        One seed a unit, for sets with large features.

    Returns
    -------
    list of Unit

    """
    scenarios: dict[str, dict[str, list[tuple[Job, str]]]] = {}
    for job, folder in jobs:
        seed = job.seed if apart else None
        where = [job.set, dataclasses.asdict(job.scenario), seed]
        methods = scenarios.setdefault(json.dumps(where, sort_keys=True), {})
        methods.setdefault(job.method.label, []).append((job, folder))
    busy = sum(map(len, scenarios.values())) // max(1, processes)
    units = []
    for methods in scenarios.values():
        names = list(methods)
        first = methods[names[0]]
        long = LONGEST // (rows[first[0][0].set] * len(first) * first[0][0].trials)
        size = max(1, min(MOST, busy, long))
        for k in range(0, len(names), size):
            part = [pair for name in names[k : k + size] for pair in methods[name]]
            units.append(Unit(tuple(job for job, _ in part), part[0][1]))
    return units


def killed(job: Job, reason: str) -> Row:
    """Return the row of a job whose process died.

    Parameters
    ----------
    job : Job
        The job.
    reason : str
        Why its process ended.

    Returns
    -------
    dict
        The job's columns, with the status ``failed`` and the reason.

    """
    return {**job.row(), "status": "failed", "reason": reason, "seconds": None}
