"""What a pipeline keeps between runs: finished steps, metrics, and a record of every run."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trueward.core.atomic_io import replacing
from trueward.core.errors import TruewardError

FORMAT = 1
STATE, RECORDS = "state.json", "runs"


@dataclass
class Store:
    """The folder of a pipeline.

    Attributes
    ----------
    folder : Path
        Where it is.
    steps : dict
        Finished steps by name: what they did, with the digests of what they read and wrote.
    measured : dict
        Metrics by what was measured with which model.
    started : dict or None
        The step that runs now, or that the last run did not finish.

    """

    folder: Path
    steps: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    started: dict[str, Any] | None = None

    @staticmethod
    def read(folder: Path) -> Store:
        """Read the folder; an empty store if it is not there.

        Raises
        ------
        TruewardError
            If it holds something else, is damaged, or is of another version's format.

        """
        file = folder / STATE
        if not file.is_file():
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise TruewardError(
                    f"{folder} exists and is not the folder of a pipeline: give another with --state"
                )
            return Store(folder)
        try:
            read = json.loads(file.read_text(encoding="utf-8"))
            steps, measured, started = read["steps"], read["measured"], read["started"]
            valid = (
                read["format"] == FORMAT and isinstance(steps, dict) and isinstance(measured, dict)
            )
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            valid = False
        if not valid:
            raise TruewardError(
                f"{file} is damaged or of another version: delete it to run all steps again"
            )
        return Store(folder, steps, measured, started)

    def save(self) -> None:
        """Write the state, as a whole."""
        parts = {"steps": self.steps, "measured": self.measured, "started": self.started}
        with replacing(self.folder / STATE) as path:
            path.write_text(json.dumps({"format": FORMAT, **parts}, indent=1), encoding="utf-8")

    def close_killed_runs(self) -> None:
        """Mark the last record as that of a run that was killed, if it did not end."""
        records = sorted((self.folder / RECORDS).glob("*.json"))
        if records:
            try:
                last = json.loads(records[-1].read_text(encoding="utf-8"))
                unfinished = last["result"] == "running"
            except (OSError, ValueError, KeyError, TypeError, RecursionError):
                return
            if unfinished:
                write_record(records[-1], last | {"result": "killed"})

    def new_record(self) -> Path:
        """Return the file of the record of a new run, named by the time of its start."""
        name = now().replace(":", "-")
        places = (self.folder / RECORDS / f"{name}{k or ''}.json" for k in range(1000))
        return next(p for p in places if not p.exists())


def write_record(file: Path, record: dict[str, Any]) -> None:
    """Write the record of a run, as a whole."""
    with replacing(file) as path:
        path.write_text(json.dumps(record, indent=1, allow_nan=False), encoding="utf-8")


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def portable(word: str) -> str:
    """Return a word without folders of this machine: a path in the working folder is relative to it."""
    name, equals, value = word.rpartition("=") if word.startswith("-") else ("", "", word)
    path = Path(value)
    if "://" in value:
        scheme, _, rest = value.partition("://")
        return f"{name}{equals}{scheme}://{rest.rpartition('@')[2]}"
    if not path.is_absolute():
        return word
    here = Path.cwd()
    return f"{name}{equals}{path.relative_to(here) if path.is_relative_to(here) else path.name}"
