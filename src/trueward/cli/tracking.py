"""`trueward track`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def track(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="A folder of align, fit --tune or benchmark run.")
    ],
    to: Annotated[
        list[str],
        typer.Option(
            "--to", metavar="NAME", help="trackio, tensorboard, mlflow or wandb; repeatable."
        ),
    ],
    run: Annotated[
        str | None, typer.Option("--run", help="Name of the run there [that of the folder].")
    ] = None,
) -> None:
    """Send the record of a finished run to trackers, as --track does while it runs."""
    from trueward.reporting.replay import track as send

    points = send(folder, to, run=run)
    typer.echo(f"{folder}: {points:,} points sent to {', '.join(dict.fromkeys(to))}")
