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
    pairs,
    show_json,
)
from .progress import finish_progress, note, progress
from .reading import read, require_fittable

_REAL, _NOISE = {"the log"}, {"permuted 1", "permuted 2", "permuted 3"}
#: Check -> its fits, which checks share; a result near its limit takes more.
FITS = {
    "permuted_feedback": _REAL | _NOISE,
    "placebo_feedback": _REAL | _NOISE | {"seed", "placebo 1", "placebo 2"},
    "random_common_cause": _REAL | {"seed", "columns"},
    "subset_stability": _REAL | _NOISE | {"one half", "the other half"},
    "null_channel": _REAL | {"seed", "channel"},
}


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
        note(f"{len(table):,} rows: fits use a sample of {ROWS:,}")
    prompts = table.frame["prompt"].to_list()
    try:
        result = try_to_refute(
            method,
            encode(table, backbone=backbone),
            texts=prompts,
            seed=seed,
            only=names,
            progress=progress(_fits(names, channels=bool(table.channels))),
            **chosen,
        )
    finally:
        finish_progress()
    show_json(result.to_json()) if as_json else typer.echo(str(result))
    if not result.passed:
        raise typer.Exit(1)


def _fits(names: list[str] | None, *, channels: bool) -> int:
    """Count the fits of the checks, without those that are repeated."""
    chosen = [n for n in names or CHECKS if channels or n != "null_channel"]
    return len(set().union(*(FITS.get(n, set[str]()) for n in chosen)))
