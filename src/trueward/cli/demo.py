"""`trueward demo`: the main job in under a minute, on a world that needs no outside data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import Json, Seed, show_json, writable


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
    """Simulate a log whose truth is known, inspect it, fit six ways, and compare."""
    from trueward.demo import run, write_world

    writable(out, (".html",))
    found = run(lambda line: typer.echo(line, err=True), seed=seed)
    found.page(context.obj).save(out)
    if world is not None:
        write_world(world, seed)
    if as_json:
        show_json({name: metrics.to_json() for name, metrics in found.metrics.items()})
        return
    typer.echo(f"\nTruth recovered on clean test answers, 95 % intervals:\n\n{found.table()}\n")
    typer.echo(f"The page: {out}")
