"""`trueward demo`: the main workflow in under a minute, on a simulated log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import Json, Seed, say_next, show_json, writable
from .outputs import claim_output
from .progress import note


def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="The HTML page to write.")] = Path(
        "trueward-demo.html"
    ),
    world: Annotated[
        Path | None, typer.Option(help="Also write the simulated world to this folder.")
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Simulate a log with known truth, inspect it, fit six methods and compare them."""
    from trueward.reporting.demo import run, write_world

    writable(out, (".html",))
    if world is not None:
        claim_output(world, "--world")
    result = run(note, seed=seed)
    result.page(context.obj).save(out)
    if world is not None:
        write_world(world, seed)
    if as_json:
        show_json({name: metrics.to_json() for name, metrics in result.metrics.items()})
        return
    typer.echo(f"\nMetrics on clean test answers, with 95 % intervals:\n\n{result.table()}\n")
    typer.echo(f"The page: {out}")
    if world is None:
        say_next("trueward", "demo", "--world", "world", why="the log and the test, as files")
    else:
        say_next("trueward", "inspect", str(world / "log.parquet"))
