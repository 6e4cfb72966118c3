"""`trueward reproduce`: the experiments of the papers, with their published figures beside ours."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trueward.core.errors import UsageError

from .benchmark import reporting, seed_numbers
from .common import Json, show_json
from .grouped import grouped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueward.benchmark.reproduction import Found, Settings

PAPERS = ("causalrm", "implicitrm")
FEWEST = 5  # seeds without --allow-few-seeds


@dataclass(frozen=True, kw_only=True)
class ExperimentOptions:
    """What is run."""

    backbone: Annotated[
        str, typer.Option(help="Features: paper (that of the authors' code), or as in fit.")
    ] = "paper"
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="SET[=OTHER]",
            help="Only this set: helpsteer, ultrafeedback, pku_saferlhf; =OTHER: another set of the "
            "benchmark in its place; repeatable.",
        ),
    ] = None
    rows: Annotated[
        int | None, typer.Option("--rows", min=50, help="Use at most this many rows of a set.")
    ] = None
    trials: Annotated[
        int, typer.Option("--trials", min=2, help="Trials of the search of every method.")
    ] = 8
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs",
            min=1,
            help="Largest number of epochs [600 as published, the usual by prompt].",
        ),
    ] = None
    seeds: Annotated[str, typer.Option("--seeds", help="0,1,2,3,4 or 0-4.")] = "0-4"
    few: Annotated[
        bool, typer.Option("--allow-few-seeds", help="Accept fewer than five seeds.")
    ] = False

    def settings(self, paper: str) -> Settings:
        """Return the settings; raise UsageError for a wrong one."""
        from trueward.benchmark.reproduction import PAPER_BACKBONE, Settings, sets_of
        from trueward.benchmark.validation import one_of
        from trueward.features import backbone as named

        one_of(paper, PAPERS, "paper to reproduce")
        numbers = tuple(dict.fromkeys(seed_numbers(self.seeds) or []))
        if len(numbers) < (1 if self.few else FEWEST):
            raise UsageError(
                f"{len(numbers)} different seeds are too few for an interval: give {FEWEST} or more, or "
                "--allow-few-seeds"
            )
        name = PAPER_BACKBONE if self.backbone == "paper" else self.backbone
        if name != PAPER_BACKBONE:
            named(name)  # before any work
        return Settings(
            paper=paper,
            sets=sets_of(self.sets or []),
            backbone=name,
            seeds=numbers,
            trials=self.trials,
            epochs=self.epochs,
            rows=self.rows,
        )


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How it is run."""

    processes: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Parallel processes [one for each core].")
    ] = None
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Run at most this many jobs now.")
    ] = None
    retry: Annotated[bool, typer.Option("--retry", help="Run failed jobs again.")] = False


@grouped
def reproduce(
    paper: Annotated[str, typer.Argument(metavar="PAPER", help="causalrm or implicitrm.")],
    data: Annotated[
        Path, typer.Option("--data", help="Folder of the sets: data/helpsteer and so on.")
    ] = Path("data"),
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the runs and the page; an existing run continues."),
    ] = None,
    only_check: Annotated[
        bool, typer.Option("--check", help="Only say what is there and what is missing.")
    ] = False,
    *,
    experiment: ExperimentOptions,
    how: RunOptions,
    as_json: Json = False,
) -> None:
    """Run a paper's experiment as published and by prompt; its figures and ours stand side by side.

    First it says which data are missing, where to get them and where to put them; nothing is downloaded.
    """
    from trueward.benchmark.reproduction import check

    settings = experiment.settings(paper)
    found = check(settings, data)
    if only_check or any(f.problem for f in found):
        _show_found(found, as_json=as_json)
        return
    if out is None:
        raise UsageError(f"give --out, the folder of the runs: --out {paper}-reproduced")
    _run(settings, out, as_json=as_json, data=data, **asdict(how))


def _show_found(found: Sequence[Found], *, as_json: bool) -> None:
    """Print what is there and what is missing; exit with 1 if anything is missing."""
    missing = [f for f in found if f.problem]
    if as_json:
        show_json({"ready": not missing, "found": [asdict(f) for f in found]})
    else:
        for f in found:
            typer.echo(f"{'missing' if f.problem else 'found':<8} {f.name}: {f.problem or f.note}")
            if f.remedy:
                typer.echo(f"{'':<8} {f.remedy}")
    if missing:
        names = ", ".join(f.name for f in missing)
        typer.echo(f"error: the experiment needs what is not there: {names}", err=True)
        raise typer.Exit(1)


def _run(settings: Settings, out: Path, *, as_json: bool, **options: Any) -> None:
    """Run what is left, and print the page; Ctrl-C keeps finished jobs."""
    from trueward.benchmark.reproduction import reproduce as run

    try:
        with reporting() as report:
            say = functools.partial(typer.echo, err=True)
            done = run(settings, out, say=say, report=report, **options)
    except KeyboardInterrupt as e:
        e.args = (f"finished jobs are stored in {out}; the same command continues the run",)
        raise
    if as_json:
        show_json(asdict(done) | {"page": None if done.page is None else str(done.page)})
        return
    if done.page is not None:
        typer.echo(done.page.read_text("utf-8"))
        typer.echo(f"written: {done.page}, {out / 'figures.csv'}")
    typer.echo(f"{done.jobs - done.left} of {done.jobs} jobs done, {done.failed} failed")
    if done.left:
        typer.echo(f"{done.left} jobs are left: the same command continues")
