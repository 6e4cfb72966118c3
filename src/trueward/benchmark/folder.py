"""The folder of a run: what was asked, and one file for every job that is finished."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueward.core.atomic_io import replacing
from trueward.core.errors import TruewardError, UsageError

from .jobs import FORMAT, Job, Row

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .config import Config

ABOUT = "benchmark.json"


@dataclass(frozen=True)
class Runs:
    """A folder with benchmark.json and jobs/KEY.json."""

    folder: Path
    about: dict[str, Any]

    @staticmethod
    def claim(folder: str | Path, config: Config) -> Runs | None:
        """Open a folder that holds this very benchmark; None if it is new or empty."""
        path = Path(folder)
        if not path.is_file() and not (path.is_dir() and any(path.iterdir())):
            return None
        runs = Runs.read(path)
        _same(path, runs.about, _about(config))
        return runs

    @staticmethod
    def begin(folder: str | Path, config: Config, sets: dict[str, str]) -> Runs:
        """Start a run in a new or empty folder, or go on with the same one.

        sets: label -> digest of what the set was made from.
        """
        path = Path(folder)
        runs = Runs.claim(path, config)
        if runs is None:
            runs = Runs(path, {**_about(config), "sets": sets})
            with replacing(path / ABOUT) as file:
                file.write_text(json.dumps(runs.about, indent=1), encoding="utf-8")
        changed = [k for k, v in sets.items() if runs.about["sets"].get(k) != v]
        if changed:
            raise TruewardError(
                f"the data of the set {changed[0]} have changed since {path} was begun: run into a "
                "new folder"
            )
        for scratch in (path / "jobs").glob(".*"):  # of a process that was killed while writing
            shutil.rmtree(scratch, ignore_errors=True)
        return runs

    @staticmethod
    def read(folder: str | Path) -> Runs:
        """Open a folder that `begin` made."""
        path = Path(folder)
        file = path / ABOUT
        if not file.is_file():
            raise TruewardError(
                f"{path} is no folder of a benchmark: it has no {ABOUT}; give the folder that "
                "`trueward benchmark run --out` wrote, or a new one to run in"
            )
        try:
            about = json.loads(file.read_text(encoding="utf-8"))
            written = int(about["format"])
            by, _ = str(about["trueward"]), dict(about["sets"])
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise TruewardError(f"{file} is damaged ({e}); run into a new folder") from e
        if written != FORMAT:
            raise TruewardError(
                f"{path} was written by trueward {by} in format {written}, and this version reads "
                f"format {FORMAT}: run into a new folder, or use that version"
            )
        return Runs(path, about)

    def file(self, key: str) -> Path:
        """Give the file of a job."""
        return self.folder / "jobs" / f"{key}.json"

    def write(self, row: Row) -> None:
        """Keep the row of a finished job: all of it or nothing."""
        with replacing(self.file(row["key"])) as path:
            path.write_text(json.dumps(row, indent=1, allow_nan=False), encoding="utf-8")

    def rows(self) -> list[Row]:
        """Every finished job; a file that cannot be read counts as not finished."""
        found = (_row(p) for p in sorted((self.folder / "jobs").glob("*.json")))
        return [row for row in found if row is not None]

    def left(self, jobs: Iterable[Job], *, retry: bool = False) -> list[Job]:
        """Jobs that are not finished; with ``retry`` also those that failed."""
        done = {r["key"] for r in self.rows() if not (retry and r["status"] == "failed")}
        return [job for job in jobs if job.key not in done]


def _row(path: Path) -> Row | None:
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    ours = isinstance(row, dict) and row.get("key") == path.stem and "status" in row
    return row if ours else None


def _same(path: Path, there: dict[str, Any], asked: dict[str, Any]) -> None:
    """Refuse to mix two benchmarks or two versions in one folder."""
    if there["trueward"] != asked["trueward"]:
        raise TruewardError(
            f"{path} was begun by trueward {there['trueward']} and this is {asked['trueward']}: "
            "finished jobs would not be comparable; run into a new folder"
        )
    have, want = there.get("config") or {}, asked["config"]
    differ = [k for k in want if have.get(k) != want[k]]
    if differ:
        raise UsageError(
            f"{path} holds the benchmark {have.get('name')!r} with other {', '.join(differ)}: "
            "run into a new folder, or with the config it was begun with"
        )


def _about(config: Config) -> dict[str, Any]:
    asked = json.loads(json.dumps(config.to_json()))
    return {"format": FORMAT, "trueward": version("trueward"), "config": asked}
