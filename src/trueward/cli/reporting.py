"""`trueward report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trueward.core.errors import TruewardError, UsageError

from .choices import REPORT_ROWS
from .common import Gold, Map, Seed, Split, pairs, writable
from .progress import Steps, finish_progress
from .reading import read
from .recorded_log import fitted_on

if TYPE_CHECKING:
    from trueward.production.monitoring.periods import By


def report(
    context: typer.Context,
    what: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER...", help="Models, or one folder of a benchmark."),
    ],
    out: Annotated[Path, typer.Option("--out", help="The HTML page to write.")] = Path(
        "report.html"
    ),
    log: Annotated[
        str | None,
        typer.Option(
            "--log", help="A log [the one the first model was fitted on, if it is there]."
        ),
    ] = None,
    gold: Gold = None,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference", help="A log to compare --log with, as monitor does: adds a section."
        ),
    ] = None,
    test: Annotated[
        str | None, typer.Option("--test", help="A table of prompt, response, label or rating.")
    ] = None,
    mapping: Map = None,
    split: Split = None,
    rows: Annotated[
        int, typer.Option(min=100, help="Largest number of rows read of the log, and of the test.")
    ] = REPORT_ROWS,
    seed: Seed = 0,
) -> None:
    """Write a self-contained report of one model, of several models, or of a benchmark."""
    from trueward.benchmark import Runs
    from trueward.benchmark.runs import ABOUT
    from trueward.data.truth import read_test
    from trueward.evaluation.plotting import altair
    from trueward.model.reward_model import load
    from trueward.production.monitoring import monitor
    from trueward.reporting import report as page_of

    writable(out, (".html",))
    altair()
    command = context.obj
    if any((folder / ABOUT).is_file() for folder in what):
        if len(what) > 1 or log or test or gold or reference:
            raise UsageError("a report of a benchmark takes one folder and no other input")
        page_of(Runs.read(what[0]), command=command).save(out)
        typer.echo(f"{out}: the benchmark in {what[0]}")
        return
    models = {name: load(folder) for name, folder in _named(what).items()}
    table = None
    if log is not None:
        table = read(log, gold, mapping, split)
    else:
        try:
            table = fitted_on(next(iter(models.values())), gold, mapping, split)
        except TruewardError as e:
            if gold is not None:
                raise
            typer.echo(f"warning: no log on the page: {e}", err=True)
    clean = None if test is None else read_test(test, mapping=pairs(mapping, "--map"), split=split)
    drift = None
    if reference is not None:
        if table is None:
            raise UsageError("--reference needs --log, the new log that is compared with it")
        typer.echo("comparing with the reference ...", err=True)
        usual = read(reference, None, mapping, split)
        by: By | None = "week" if "time" in table.columns else None
        drift = monitor(next(iter(models.values())), usual, table, by=by, seed=seed)
    page = page_of(
        models,
        table,
        clean,
        drift=drift,
        seed=seed,
        rows=rows,
        command=command,
        say=Steps(),
    )
    finish_progress()
    page.save(out)
    typer.echo(f"{out}: {page.title}. {page.lead}")


def _named(folders: list[Path]) -> dict[str, Path]:
    """Models by the name of their folder, or by the path where two have one name."""
    names = [folder.resolve().name for folder in folders]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UsageError("a model is given twice: give each folder once")
    return {
        name if names.count(name) == 1 else str(folder): folder
        for name, folder in zip(names, folders, strict=True)
    }
