"""`trueward training-data`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trueward.core.remote_files import shown

from .choices import TRAINING_DATA
from .common import Map, Model, Split, pairs, writable
from .outputs import write_rows
from .progress import Steps, finish_progress
from .reading import read
from .recorded_log import fitted_on

if TYPE_CHECKING:
    from trueward.data.pair_table import PairTable


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
    """Write preference pairs, KTO rows, rankings or prompts for other trainers, labelled by the model.

    The prompts of a Parquet file above 200,000 rows are divided into parts in the folder OUT.parts, and one
    part is in memory: after an interruption, run the same command again.
    """
    import polars as pl

    from trueward.data.pair_table import PairTable
    from trueward.data.sampled_parquet import large_parquet
    from trueward.model.reward_model import load
    from trueward.rlhf import training_data as rows_of
    from trueward.rlhf.data import known_kind

    writable(out, (".parquet", ".jsonl"))
    known_kind(kind)
    if split is None and (large := large_parquet(log)) is not None:
        texts = PairTable.open(large, pairs(mapping, "--map"), None)
        return _in_parts(kind, model, texts, out, least)
    rm = load(model)
    table = read(log, None, mapping, split) if log else fitted_on(rm, None, mapping, split)
    rows = rows_of(kind, rm, table, least=least)
    write_rows(pl.DataFrame(rows), out)
    typer.echo(f"{shown(out)}: {len(rows):,} rows of {kind} from {len(table):,} logged responses")
    return None


def _in_parts(kind: str, model: Path, table: PairTable, out: Path, least: float) -> None:
    """Write the rows of a large log bucket by bucket; an interrupted command continues."""
    from trueward.core.work_parts import parts_folder
    from trueward.rlhf.data_file import training_file

    step = Steps()
    try:
        rows = training_file(
            kind,
            model,
            table,
            out,
            least=least,
            progress=lambda done, of: step(f"[{done + 1}/{of}] scoring") if done < of else None,
        )
    except KeyboardInterrupt as e:
        e.args = (
            f"the parts so far are kept in {parts_folder(out)}: run the same command to continue",
        )
        raise
    finally:
        finish_progress()
    typer.echo(f"{shown(out)}: {rows:,} rows of {kind} from {table.rows:,} logged responses")
