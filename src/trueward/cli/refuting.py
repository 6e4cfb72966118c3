"""`trueward refute`."""

from __future__ import annotations

from typing import Annotated

import typer

from .choices import CHECKS
from .common import (
    Backbone,
    Given,
    Gold,
    Json,
    LogFile,
    Map,
    Named,
    Seed,
    Split,
    finish_progress,
    pairs,
    progress,
    show_json,
)
from .reading import read, require_fittable


def refute(
    method: Named,
    log: LogFile,
    option: Given = None,
    gold: Gold = None,
    only: Annotated[
        str | None, typer.Option(metavar="NAME,...", help=f"Run only these of {', '.join(CHECKS)}.")
    ] = None,
    mapping: Map = None,
    split: Split = None,
    backbone: Backbone = "wordllama",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Try to refute a method on a log: placebos, leaks, halves; exit code 1 if a check fails."""
    from trueward.features import encode
    from trueward.refutation import ROWS, selected_checks
    from trueward.refutation import refute as try_to_refute

    chosen = pairs(option, "-o")
    require_fittable(method, {**chosen, "seed": seed})
    names = None if only is None else selected_checks(name.strip() for name in only.split(","))
    table = read(log, gold, mapping, split)
    if len(table) > ROWS:
        typer.echo(f"{len(table):,} rows: fits use a sample of {ROWS:,}", err=True)
    prompts = table.frame["prompt"].to_list()
    try:
        result = try_to_refute(
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
    show_json(result.to_json()) if as_json else typer.echo(str(result))
    if not result.passed:
        raise typer.Exit(1)
