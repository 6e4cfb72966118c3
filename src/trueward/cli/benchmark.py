"""`trueward benchmark`: run a benchmark from a YAML config and print its table."""

from __future__ import annotations

import contextlib
import functools
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trueward.core.errors import TruewardError, UsageError

from .clusters import NumGpus, Ray, cluster_of
from .common import Json, Track, show_json
from .outputs import claim_output
from .terminal import stoppable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trueward.benchmark import Config, Outcome

app = typer.Typer(
    name="benchmark",
    help="Compare methods on simulated and real logs with known truth.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
@stoppable
def run(
    config: Annotated[
        str,
        typer.Argument(
            metavar="NAME_OR_YAML", help="A config of the package (see list) or a YAML file."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the run; an existing run continues.")
    ],
    jobs: Annotated[
        int | None, typer.Option("--jobs", help="Parallel processes [one for each core].")
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the sets.")] = None,
    seeds: Annotated[
        str | None,
        typer.Option("--seeds", help="Replace the seeds of the config: 0,1,2,3,4 or 0-4."),
    ] = None,
    few: Annotated[
        bool,
        typer.Option(
            "--allow-few-seeds", help="Accept fewer than five seeds; the table has a warning."
        ),
    ] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", help="Run at most this many jobs now.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Run failed jobs again.")] = False,
    ray: Ray = None,
    num_gpus: NumGpus = 0,
    track: Track = None,
    as_json: Json = False,
) -> None:
    """Run the jobs of a benchmark that are not finished; finished jobs are stored and not repeated."""
    from trueward.benchmark import read_config

    settings = read_config(config, seeds=seed_numbers(seeds), allow_few=few)
    how: dict[str, Any] = {
        "processes": jobs,
        "data": data,
        "limit": limit,
        "retry": retry,
        "track": track or (),
    }
    how["ray"] = cluster_of(ray, num_gpus, jobs=jobs is not None)
    facts = _facts(_run(settings, out, **how))
    show_json(facts) if as_json else typer.echo(_summary(facts))


@app.command()
@stoppable
def table(
    runs: Annotated[Path, typer.Argument(help="Folder of the run (`benchmark run --out`).")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the files [RUNS/table].")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the table as Markdown and CSV, with a figure, and print it."""
    from trueward.benchmark.table import write_table

    claim_output(out or runs / "table")
    written = write_table(runs, out)
    if as_json:
        show_json({"files": [str(f) for f in written.files], "figures": written.figures})
    else:
        typer.echo(written.markdown)
        typer.echo("written: " + ", ".join(str(f) for f in written.files))
    if written.note:
        typer.echo(written.note, err=True)


@app.command("list")
@stoppable
def list_ready(
    name: Annotated[
        str | None, typer.Argument(help="Print this config, as a template for yours.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the configs of the package, or print one."""
    from trueward.benchmark import read_config, ready
    from trueward.benchmark.validation import one_of

    configs = ready()
    if name is not None:
        text = configs[one_of(name, configs, "ready benchmark")].read_text(encoding="utf-8")
        show_json({"name": name, "yaml": text}) if as_json else typer.echo(text.rstrip())
        return
    about = {k: " ".join(read_config(k).about.split()) for k in configs}
    if as_json:
        show_json(about)
        return
    for key, line in about.items():
        typer.echo(f"{key:<20} {line}")


def _run(config: Config, out: Path, **options: Any) -> Outcome:
    """Run with a progress bar; after Ctrl-C, report the stored jobs."""
    from trueward.benchmark import run_benchmark

    try:
        with reporting() as report:
            say = functools.partial(typer.echo, err=True)
            return run_benchmark(config, out, say=say, report=report, **options)
    except KeyboardInterrupt as e:
        e.args = (f"{_finished(out)} finished jobs are stored; the same command continues the run",)
        raise


def seed_numbers(given: str | None) -> list[int] | None:
    """Read 0,1,2 or 0-4."""
    if given is None:
        return None
    if span := re.fullmatch(r"(\d+)-(\d+)", given.strip()):
        return list(range(int(span[1]), int(span[2]) + 1))
    try:
        return [int(word) for word in given.replace(",", " ").split()]
    except ValueError:
        raise UsageError(f"--seeds must be numbers such as 0,1,2 or 0-4, found {given!r}") from None


@contextlib.contextmanager
def reporting() -> Iterator[Callable[[int, int, dict[str, Any]], None]]:
    """Show a progress bar on a terminal, and one line a job elsewhere."""
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
    metrics = [f"{k} {v:.3f}" for k, v in list(row["metrics"].items())[:3] if v is not None]
    return f"{where}: {', '.join(metrics)} ({row['seconds']} s)"


def _finished(out: Path) -> int:
    from trueward.benchmark import Runs

    try:
        return len(Runs.read(out).rows())
    except TruewardError:
        return 0


def _facts(outcome: Outcome) -> dict[str, Any]:
    counts = {k: outcome.count(k) for k in ("done", "failed", "not applicable")}
    return {"out": str(outcome.folder), "jobs": outcome.jobs, **counts, "left": outcome.left}


def _summary(facts: dict[str, Any]) -> str:
    line = (
        f"{facts['out']}: {facts['done']} of {facts['jobs']} jobs done, {facts['failed']} failed, "
        f"{facts['not applicable']} not applicable, {facts['left']} left"
    )
    next_step = (
        "the same command continues the run"
        if facts["left"]
        else "print the table with trueward benchmark table"
    )
    return f"{line}; {next_step}"
