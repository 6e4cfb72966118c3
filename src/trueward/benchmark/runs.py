"""Folder of a run: the config, and one file for the row of each finished job."""

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
from .stored import is_row, wrong_config

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .config import Config

#: File of a run's folder with the config and the version.
ABOUT = "benchmark.json"


@dataclass(frozen=True)
class Runs:
    """Folder of a run: benchmark.json and jobs/KEY.json.

    Attributes
    ----------
    folder : Path
        The folder.
    about : dict
        Content of benchmark.json: format, version, config, digests of the sets.

    """

    folder: Path
    about: dict[str, Any]

    @staticmethod
    def claim(folder: str | Path, config: Config) -> Runs | None:
        """Open the folder of a benchmark that has started.

        Parameters
        ----------
        folder : str or Path
            The folder.
        config : Config
            The benchmark.

        Returns
        -------
        Runs or None
            None if the folder is new or empty.

        Raises
        ------
        TruewardError
            If the folder belongs to another version or is no folder of a benchmark.
        UsageError
            If the folder belongs to another config.

        """
        path = Path(folder)
        if not path.is_file() and not (path.is_dir() and any(path.iterdir())):
            return None
        runs = Runs.read(path)
        _check_same(path, runs.about, _about(config))
        return runs

    @staticmethod
    def begin(folder: str | Path, config: Config, sets: dict[str, str]) -> Runs:
        """Start a run in a new or empty folder, or continue a run of the same benchmark.

        Parameters
        ----------
        folder : str or Path
            The folder.
        config : Config
            The benchmark.
        sets : dict of str to str
            Digest of each prepared set, by label.

        Returns
        -------
        Runs

        Raises
        ------
        TruewardError
            As `claim`, and if the data of a set have changed.

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
                f"the data of the set {changed[0]} have changed since {path} was started: use a new "
                "folder"
            )
        for scratch in (path / "jobs").glob(
            ".*"
        ):  # left by a process that was killed while writing
            shutil.rmtree(scratch, ignore_errors=True)
        return runs

    @staticmethod
    def read(folder: str | Path) -> Runs:
        """Open the folder of a run.

        Parameters
        ----------
        folder : str or Path
            A folder that `begin` created.

        Returns
        -------
        Runs

        Raises
        ------
        TruewardError
            If it is no folder of a benchmark, is damaged, or has another format.

        """
        path = Path(folder)
        file = path / ABOUT
        if not file.is_file():
            raise TruewardError(
                f"{path} is no folder of a benchmark: it has no {ABOUT}; give the --out folder of "
                "`trueward benchmark run`, or a new folder"
            )
        try:
            about = json.loads(file.read_text(encoding="utf-8"))
            written = int(about["format"])
            by, _ = str(about["trueward"]), dict(about["sets"])
            dict(about.get("config") or {})
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as e:
            raise TruewardError(f"{file} is damaged ({e}); use a new folder") from e
        if written != FORMAT:
            raise TruewardError(
                f"{path} was written by trueward {by} in format {written}; this version reads format "
                f"{FORMAT}: use a new folder, or that version"
            )
        wrong = wrong_config(about.get("config"))
        if wrong:
            raise TruewardError(f"{file} is damaged ({wrong} is not valid); use a new folder")
        return Runs(path, about)

    def file(self, key: str) -> Path:
        """Return the file of a job."""
        return self.folder / "jobs" / f"{key}.json"

    def write(self, row: Row) -> None:
        """Write the row of a finished job, atomically."""
        with replacing(self.file(row["key"])) as path:
            path.write_text(json.dumps(row, indent=1, allow_nan=False), encoding="utf-8")

    def rows(self) -> list[Row]:
        """Return the rows of the finished jobs; a file that holds no row of this run is not finished."""
        rows = (
            _row(p, self.about["config"]) for p in sorted((self.folder / "jobs").glob("*.json"))
        )
        return [row for row in rows if row is not None]

    def left(self, jobs: Iterable[Job], *, retry: bool = False) -> list[Job]:
        """Return the jobs that are not finished.

        Parameters
        ----------
        jobs : iterable of Job
            All jobs.
        retry : bool
            Include the failed jobs.

        Returns
        -------
        list of Job

        """
        done = {r["key"] for r in self.rows() if not (retry and r["status"] == "failed")}
        return [job for job in jobs if job.key not in done]


def _row(path: Path, config: dict[str, Any]) -> Row | None:
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return row if is_row(row, config) and row["key"] == path.stem else None


def _check_same(path: Path, stored: dict[str, Any], current: dict[str, Any]) -> None:
    """Raise if the folder belongs to another version or another config."""
    if stored["trueward"] != current["trueward"]:
        raise TruewardError(
            f"{path} was started by trueward {stored['trueward']} and this is "
            f"{current['trueward']}: finished jobs would not be comparable; use a new folder"
        )
    old, new = stored.get("config") or {}, current["config"]
    differ = [k for k in new if old.get(k) != new[k]]
    if differ:
        raise UsageError(
            f"{path} has the benchmark {old.get('name')!r} with other {', '.join(differ)}: use a new "
            "folder, or the config that it was started with"
        )


def _about(config: Config) -> dict[str, Any]:
    plain = json.loads(json.dumps(config.to_json()))
    return {"format": FORMAT, "trueward": version("trueward"), "config": plain}
