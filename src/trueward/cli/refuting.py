"""`trueward refute`."""

from __future__ import annotations

from typing import Annotated

import typer

from trueward.errors import UsageError
from trueward.features import encode
from trueward.fit import configure
from trueward.refute import CHECKS, ROWS, known
from trueward.refute import refute as try_to_refute

from .common import Json, Map, Seed, Split, finish_progress, pairs, progress, show_json
from .reading import read


def refute(
    method: Annotated[str, typer.Argument(help="A name from `trueward methods`.")],
    log: Annotated[str, typer.Argument(help="Parquet, JSONL(.gz), CSV, Arrow or dataset folder.")],
    option: Annotated[
        list[str] | None,
        typer.Option("-o", metavar="NAME=VALUE", help="An option of the method; repeatable."),
    ] = None,
    gold: Annotated[
        str | None, typer.Option("--gold", help="A table of prompt, response, gold to join.")
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="NAME,...", help=f"Of {', '.join(CHECKS)}.")
    ] = None,
    mapping: Map = None,
    split: Split = None,
    backbone: Annotated[
        str, typer.Option(help="What makes features: wordllama, or precomputed:FILE.")
    ] = "wordllama",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Try to refute a method on a log: placebos, leaks, halves; exit code 1 where a check fails."""
    chosen = pairs(option, "-o")
    made, _ = configure(method, {**chosen, "seed": seed})
    if made.takes_truth:
        raise UsageError(f"{method} is fitted on clean labels, which a log has not: it is for demo")
    names = None if only is None else known(name.strip() for name in only.split(","))
    table = read(log, gold, mapping, split)
    if len(table) > ROWS:
        typer.echo(f"{len(table):,} rows: fits take a sample of {ROWS:,}", err=True)
    prompts = table.frame["prompt"].to_list()
    try:
        found = try_to_refute(
            method,
            encode(table, backbone=backbone),
            texts=prompts,
            seed=seed,
            only=names,
            progress=progress(),
            **chosen,
        )
    finally:
        finish_progress()
    show_json(found.to_json()) if as_json else typer.echo(str(found))
    if not found.passed:
        raise typer.Exit(1)
