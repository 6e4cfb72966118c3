"""`trueward benchmark`: run sets, mechanisms and methods from a YAML, and print an honest table."""

from __future__ import annotations

import contextlib
import functools
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trueward.core.errors import TruewardError, UsageError

from .common import Json, show_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trueward.benchmark import Config, Outcome

app = typer.Typer(
    name="benchmark",
    help="Compare methods on simulated and real logs whose truth is known.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def run(
    config: Annotated[
        str, typer.Argument(metavar="NAME_OR_YAML", help="A ready config (see list) or a file.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The folder of the run; the same goes on.")],
    jobs: Annotated[
        int | None, typer.Option("--jobs", help="Processes at once [one a core].")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="The folder that holds the sets.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option("--seeds", help="Instead of the config's: 0,1,2,3,4 or 0-4.")
    ] = None,
    few: Annotated[
        bool, typer.Option("--allow-few-seeds", help="Take fewer than five; the table says so.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", help="Do at most so many jobs now; the rest later.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Do jobs that failed again.")] = False,
    as_json: Json = False,
) -> None:
    """Do what is left of a benchmark; every finished job is kept and never done twice."""
    from trueward.benchmark import read_config

    chosen = read_config(config, seeds=_seeds(seeds), allow_few=few)
    facts = _facts(_run(chosen, out, processes=jobs, data=data, limit=limit, retry=retry))
    show_json(facts) if as_json else typer.echo(_said(facts))


@app.command()
def table(
    runs: Annotated[Path, typer.Argument(help="The folder that `benchmark run --out` wrote.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write the files [RUNS/table].")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the table as Markdown and CSV with a figure, and print it."""
    from trueward.benchmark.table import write_table

    written = write_table(runs, out)
    if as_json:
        show_json({"files": [str(f) for f in written.files], "figures": written.figures})
    else:
        typer.echo(written.markdown)
        typer.echo("written: " + ", ".join(str(f) for f in written.files))
    if written.note:
        typer.echo(written.note, err=True)


@app.command("list")
def list_ready(
    name: Annotated[
        str | None, typer.Argument(help="Print this config, to start your own from.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the ready configs, or print one."""
    from trueward.benchmark import read_config, ready
    from trueward.benchmark.names import one_of

    found = ready()
    if name is not None:
        text = found[one_of(name, found, "ready benchmark")].read_text(encoding="utf-8")
        show_json({"name": name, "yaml": text}) if as_json else typer.echo(text.rstrip())
        return
    about = {k: " ".join(read_config(k).about.split()) for k in found}
    if as_json:
        show_json(about)
        return
    for key, line in about.items():
        typer.echo(f"{key:<20} {line}")


def _run(config: Config, out: Path, **how: Any) -> Outcome:
    """Run with progress; Ctrl-C says what is kept and how to go on."""
    from trueward.benchmark import run_benchmark

    try:
        with _reporting() as report:
            say = functools.partial(typer.echo, err=True)
            return run_benchmark(config, out, say=say, report=report, **how)
    except KeyboardInterrupt:
        done = _finished(out)
        typer.echo(f"stopped; {done} finished jobs are kept, the same command goes on", err=True)
        raise typer.Exit(130) from None


def _seeds(given: str | None) -> list[int] | None:
    """Read 0,1,2 or 0-4."""
    if given is None:
        return None
    if span := re.fullmatch(r"(\d+)-(\d+)", given.strip()):
        return list(range(int(span[1]), int(span[2]) + 1))
    try:
        return [int(word) for word in given.replace(",", " ").split()]
    except ValueError:
        raise UsageError(f"--seeds takes numbers like 0,1,2 or 0-4, not {given!r}") from None


@contextlib.contextmanager
def _reporting() -> Iterator[Callable[[int, int, dict[str, Any]], None]]:
    """Show a bar on a terminal; elsewhere a plain line a job."""
    if not sys.stderr.isatty():
        yield lambda done, of, row: typer.echo(f"[{done}/{of}] {_line(row)}", err=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = ("jobs", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("jobs")

        def show(done: int, of: int, row: dict[str, Any]) -> None:
            bar.update(task, completed=done, total=of)
            if row["status"] == "failed":
                bar.console.print(_line(row), markup=False, highlight=False)

        yield show


def _line(row: dict[str, Any]) -> str:
    where = f"{row['set']} {row['mechanism']} {row['method']} seed {row['seed']}"
    if row["status"] != "done":
        return f"{where}: {row['status']}: {row['reason']}"
    shown = [f"{k} {v:.3f}" for k, v in list(row["metrics"].items())[:3] if v is not None]
    return f"{where}: {', '.join(shown)} ({row['seconds']} s)"


def _finished(out: Path) -> int:
    from trueward.benchmark import Runs

    try:
        return len(Runs.read(out).rows())
    except TruewardError:
        return 0


def _facts(outcome: Outcome) -> dict[str, Any]:
    counts = {k: outcome.count(k) for k in ("done", "failed", "not applicable")}
    return {"out": str(outcome.folder), "jobs": outcome.jobs, **counts, "left": outcome.left}


def _said(facts: dict[str, Any]) -> str:
    line = (
        f"{facts['out']}: {facts['done']} of {facts['jobs']} jobs done, {facts['failed']} failed, "
        f"{facts['not applicable']} not applicable, {facts['left']} left"
    )
    next_step = (
        "the same command goes on" if facts["left"] else "trueward benchmark table prints them"
    )
    return f"{line}; {next_step}"
