"""`trueward push`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from trueward.core.errors import TruewardError

from .common import Json, Map, Model, Split, pairs, show_json
from .outputs import claim_output


def push(
    to: Annotated[
        Literal["langfuse", "phoenix", "mlflow"],
        typer.Argument(metavar="PRODUCT", help="langfuse, phoenix or mlflow."),
    ],
    model: Model,
    log: Annotated[
        str, typer.Argument(help="A log with response_id, such as `trueward import` writes.")
    ],
    address: Annotated[
        str | None,
        typer.Option(help="The server [that of the product's variable in the environment]."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Send nothing; print the first payloads and counts.")
    ] = False,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A file of what is done; later runs skip it."),
    ] = None,
    per_minute: Annotated[
        int | None, typer.Option(min=1, help="Largest number of requests in a minute.")
    ] = None,
    mapping: Map = None,
    split: Split = None,
    as_json: Json = False,
) -> None:
    """Write the scores of a log to where its traces are; keys come from the environment."""
    from trueward.production.write_back import push as write

    if resume is not None and not dry_run:
        claim_output(resume, "--resume")
    found = write(
        model,
        log,
        to,
        address=address,
        dry_run=dry_run,
        resume=resume,
        per_minute=per_minute,
        mapping=pairs(mapping, "--map"),
        split=split,
    )
    show_json(found.to_json()) if as_json else typer.echo(str(found))
    if found.refused:
        raise TruewardError(
            f"{len(found.refused):,} of {found.responses:,} responses were refused by {found.address}"
        )
