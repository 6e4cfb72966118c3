"""Run a paper's experiment in both protocols, and write its page; finished jobs are kept."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from trueward.benchmark.protocols import AS_PUBLISHED, BY_PROMPT, CHOICES, PROTOCOLS
from trueward.benchmark.runner import run_benchmark
from trueward.benchmark.runs import Runs
from trueward.core.atomic_io import replacing
from trueward.core.errors import TruewardError
from trueward.core.shapes import NUMBER, TEXT, misfit
from trueward.data.formula_cells import write_csv

from . import downstream
from .checks import check, require
from .comparison import figures_of
from .data_sources import Found
from .experiments import Settings, experiment
from .page import markdown
from .report import Report, long_table

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Folders of the two runs.
FOLDERS = {AS_PUBLISHED: "as-published", BY_PROMPT: "by-prompt"}
ABOUT = "reproduction.json"
SHAPE: dict[str, Any] = {
    "settings": {
        "paper": TEXT,
        "sets": {"*": TEXT},
        "backbone": TEXT,
        "seeds": [(int,)],
        "trials": (int,),
        "epochs": (int, type(None)),
        "rows": (int, type(None)),
    },
    "found": [{"name": TEXT, "note": TEXT, "complete": (bool,)}],
    "commands": [TEXT],
    "jobs": NUMBER,
}


@dataclass(frozen=True)
class Reproduced:
    """Result of `reproduce`.

    Attributes
    ----------
    page : Path or None
        The page; None if no job has finished.
    jobs, left : int
        Jobs of both protocols, and those that are not finished.
    failed : int
        Jobs that failed.
    commands : list of str
        Commands of the downstream table.

    """

    page: Path | None
    jobs: int
    left: int
    failed: int
    commands: list[str]


def reproduce(
    settings: Settings,
    out: str | Path,
    *,
    data: str | Path | None = None,
    limit: int | None = None,
    **options: Any,
) -> Reproduced:
    """Run what is left of a paper's experiment in both protocols, and write its page.

    Parameters
    ----------
    settings : Settings
        Choices of the user.
    out : str or Path
        Folder of the runs and the page: new, empty, or of the same experiment.
    data : str or Path, optional
        Folder of the sets. None: ``data``.
    limit : int, optional
        Most jobs to run now. None: all.
    **options
        Options of `run_benchmark`: processes, retry, say, report.

    Returns
    -------
    Reproduced

    Raises
    ------
    UsageError
        If the folder has another experiment.
    TruewardError
        If data or the backbone is missing, or the folder cannot be used.

    """
    folder, given = Path(out), Path("data" if data is None else data)
    found = check(settings, given)
    require(found)
    _require_own_folder(folder)
    place_of_sets = given if given.is_dir() else None  # generated sets need none
    configs = {protocol: experiment(settings, protocol) for protocol in PROTOCOLS}
    for protocol, config in configs.items():
        Runs.claim(folder / FOLDERS[protocol], config)  # both, before any work
    rows: dict[str, list[dict[str, Any]]] = {}
    jobs = left = 0
    for protocol, config in configs.items():
        place = folder / FOLDERS[protocol]
        before = _finished(place)
        if limit is None or limit > 0:
            done = run_benchmark(config, place, data=place_of_sets, limit=limit, **options)
            rows[protocol] = done.rows
            jobs, left = jobs + done.jobs, left + done.left
            limit = None if limit is None else limit - (_finished(place) - before)
        else:
            count = len(config.methods) * len(config.seeds)
            count *= len(config.scenarios) * len(config.sets)
            rows[protocol] = Runs.read(place).rows() if before else []
            jobs, left = jobs + count, left + count - before
    report = _report(settings, found, rows, jobs, left)
    lines: list[str] = []
    if not left:
        place = folder / "downstream"
        log, prompts = downstream.write_log(settings, place_of_sets, place / "log")
        lines = downstream.commands(settings, log, prompts, place)
    failed = sum(r["status"] == "failed" for part in rows.values() for r in part)
    page = _write(folder, report, found, lines) if any(rows.values()) else None
    return Reproduced(page, jobs, left, failed, lines)


def _require_own_folder(folder: Path) -> None:
    """Raise if the folder is a file, or has other content than a reproduction."""
    taken = (
        folder.is_dir() and any(folder.iterdir()) and not (folder / FOLDERS[AS_PUBLISHED]).is_dir()
    )
    if taken or (folder.exists() and not folder.is_dir()):
        what = "is not empty and was not written by `trueward reproduce`" if taken else "is a file"
        raise TruewardError(f"{folder} {what}: give a new folder, or that of the same experiment")


def _finished(place: Path) -> int:
    return len(Runs.read(place).rows()) if place.is_dir() and any(place.iterdir()) else 0


def _report(
    settings: Settings,
    found: Sequence[Found],
    rows: dict[str, list[dict[str, Any]]],
    jobs: int,
    left: int,
) -> Report:
    return Report(
        settings=settings,
        figures=figures_of(rows, CHOICES),
        complete={f.name: f.complete for f in found if f.name != "backbone"},
        papers_backbone=found[-1].complete,
        notes=tuple(f.note for f in found),
        jobs=jobs,
        left=left,
    )


def _write(folder: Path, report: Report, found: Sequence[Found], lines: list[str]) -> Path:
    """Write the page, the figures and what they were made from."""
    text = markdown(report)
    if lines:
        text += "\n## The downstream table\n\n" + downstream_text() + "\n```\n"
        text += "\n".join(lines) + "\n```\n"
    page = folder / "reproduction.md"
    with replacing(page) as path:
        path.write_text(text, encoding="utf-8")
    with replacing(folder / "figures.csv") as path:
        write_csv(pl.DataFrame(long_table(report), infer_schema_length=None), path)
    about = {
        "settings": dataclasses.asdict(report.settings),
        "found": [dataclasses.asdict(f) for f in found],
        "commands": lines,
        "jobs": report.jobs,
    }
    with replacing(folder / ABOUT) as path:
        path.write_text(json.dumps(about, indent=1), encoding="utf-8")
    return page


def downstream_text() -> str:
    """Return what the commands of the downstream table do."""
    return (
        "A reward for each method on the same log, a policy for each reward with the settings of the "
        "authors' training code, then the safety of all policies and of the one they started from. The log "
        "rewards safe answers. A 7 B policy needs several GPUs; what the last command reads from "
        "`safety-data` is in docs/safety.md.\n"
    )


def read_report(folder: str | Path) -> Report:
    """Read the report of a folder that `reproduce` wrote.

    Parameters
    ----------
    folder : str or Path
        The folder.

    Returns
    -------
    Report

    Raises
    ------
    TruewardError
        If it is no such folder.

    """
    file = Path(folder) / ABOUT
    try:
        about = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as e:
        raise TruewardError(
            f"{folder} is no folder of `trueward reproduce`: {file} cannot be read ({e})"
        ) from e
    if wrong := misfit(about, SHAPE, "reproduction"):
        raise TruewardError(f"{file} is damaged ({wrong} is not valid); run the command again")
    settings = Settings(**{**about["settings"], "seeds": tuple(about["settings"]["seeds"])})
    found = [Found(**f) for f in about["found"]]
    rows = {p: Runs.read(Path(folder) / FOLDERS[p]).rows() for p in PROTOCOLS}
    finished = sum(map(len, rows.values()))
    return _report(settings, found, rows, about["jobs"], about["jobs"] - finished)
