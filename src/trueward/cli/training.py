"""`trueward training-data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trueward.core.remote_files import shown

from .choices import TRAINING_DATA
from .common import Map, Model, Split, writable
from .outputs import write_rows
from .reading import read
from .recorded_log import fitted_on


def training_data(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help=f"One of {', '.join(TRAINING_DATA)}.")
    ],
    model: Model,
    out: Annotated[Path, typer.Option("--out", help="The file to write: .parquet or .jsonl.")],
    log: Annotated[
        str | None, typer.Argument(help="A log [the log of the fit, if it exists].")
    ] = None,
    least: Annotated[
        float,
        typer.Option(
            min=0, help="Smallest difference of logits between the best and the worst response."
        ),
    ] = 0.5,
    mapping: Map = None,
    split: Split = None,
) -> None:
    """Write preference pairs, KTO rows, rankings or prompts for other trainers, labelled by the model."""
    import polars as pl

    from trueward.model.reward_model import load
    from trueward.rlhf import training_data as rows_of
    from trueward.rlhf.data import known_kind

    writable(out, (".parquet", ".jsonl"))
    known_kind(kind)
    rm = load(model)
    table = read(log, None, mapping, split) if log else fitted_on(rm, None, mapping, split)
    rows = rows_of(kind, rm, table, least=least)
    write_rows(pl.DataFrame(rows), out)
    typer.echo(f"{shown(out)}: {len(rows):,} rows of {kind} from {len(table):,} logged responses")
