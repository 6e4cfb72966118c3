"""A job: one method on one draw of one scenario. Its row is a pure function of what it says here."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .entries import MethodEntry
    from .scenarios import Scenario

FORMAT = 2  # of jobs and rows; a change of what a job computes is a new format
MOST = 8  # methods in one unit
LONGEST = 2_000_000  # rows x fits in one unit: some ten minutes of a core

Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One method on one draw; everything it depends on, and nothing else."""

    kind: str  # fit, or predictions
    set: str  # label of the set
    digest: str  # of the set's content, features and threshold
    scenario: Scenario
    method: MethodEntry
    seed: int
    trials: int
    train: dict[str, Any]
    selected_on_test: bool

    def to_json(self) -> dict[str, Any]:
        """Give plain data."""
        return {"format": FORMAT, **dataclasses.asdict(self)}

    @property
    def key(self) -> str:
        """SHA-256 of the canonical JSON."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def row(self) -> Row:
        """Give the columns that say which job a row is of."""
        s = dataclasses.asdict(self.scenario)
        return {
            "key": self.key, "set": self.set, **s, "method": self.method.label,
            "name": self.method.name, "seed": self.seed,
        }  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """Jobs that one process does together, and the folder of their set."""

    jobs: tuple[Job, ...]
    folder: str


def grouped(
    jobs: Iterable[tuple[Job, str]], processes: int, rows: Mapping[str, int], *, apart: bool = False
) -> list[Unit]:
    """Group jobs into units: some methods of one scenario with all their seeds.

    The one place where that is chosen. What is together is trained as one network where the steps
    are the same, and shares its nuisances; what is apart runs in parallel and is kept sooner. So a
    unit has up to 8 methods: fewer where that would leave processes idle, or where it would be long.
    rows: of each set. apart: a unit has one seed, for features too large to hold them all.
    """
    scenarios: dict[str, dict[str, list[tuple[Job, str]]]] = {}
    for job, folder in jobs:
        seed = job.seed if apart else None
        where = [job.set, dataclasses.asdict(job.scenario), seed]
        methods = scenarios.setdefault(json.dumps(where, sort_keys=True), {})
        methods.setdefault(job.method.label, []).append((job, folder))
    busy = sum(map(len, scenarios.values())) // max(1, processes)
    units = []
    for found in scenarios.values():
        names = list(found)
        first = found[names[0]]
        long = LONGEST // (rows[first[0][0].set] * len(first) * first[0][0].trials)
        size = max(1, min(MOST, busy, long))
        for k in range(0, len(names), size):
            some = [pair for name in names[k : k + size] for pair in found[name]]
            units.append(Unit(tuple(job for job, _ in some), some[0][1]))
    return units


def killed(job: Job, how: str) -> Row:
    """Give the row of a job whose process died."""
    return {**job.row(), "status": "failed", "reason": how, "seconds": None}
