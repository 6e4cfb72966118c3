"""`trueward monitor`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Literal

import typer

from trueward.core.errors import TruewardError, UsageError

from .common import (
    FAILED_CHECK,
    FailIf,
    Gold,
    Json,
    Map,
    Model,
    Seed,
    Split,
    conditions,
    fail_if,
    pairs,
    show_json,
    writable,
)
from .reading import read


def monitor(
    model: Model,
    reference: Annotated[
        str,
        typer.Option(
            "--reference", help="What is normal: a log, such as that of the fit; --map is for both."
        ),
    ],
    log: Annotated[str, typer.Option("--log", help="The new log.")],
    by: Annotated[
        Literal["day", "week", "month"] | None,
        typer.Option(
            "--by", help="Periods; needs a column time. Without it the log is one period."
        ),
    ] = None,
    gold: Gold = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="The day the monitoring began, where the log no longer reaches back to it.",
        ),
    ] = None,
    alpha: Annotated[
        float, typer.Option(help="P(any false alarm), over all drifts and looks together.")
    ] = 0.05,
    tolerance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DRIFT=CHANGE",
            help="Change of no concern [traffic=0.1 behaviour=0.2 quality=0.03 calibration=0.05].",
        ),
    ] = None,
    metrics: Annotated[
        Path | None, typer.Option(help="Write the newest period as a Prometheus text file, .prom.")
    ] = None,
    mapping: Map = None,
    split: Split = None,
    seed: Seed = 0,
    failing: FailIf = None,
    as_json: Json = False,
) -> None:
    """Compare a log with a reference: traffic, behaviour, quality, calibration; exit code 3: retrain."""
    from trueward.core.atomic_io import replacing
    from trueward.model.reward_model import load
    from trueward.production.monitoring import monitor as compare

    checks = conditions(failing)
    limits = {name: _number(text, name) for name, text in pairs(tolerance, "--tolerance").items()}
    began = None if since is None else _date(since)
    if since is not None and by is None:
        raise UsageError("--since counts periods: add --by week")
    if metrics is not None:
        writable(metrics, (".prom",), "--metrics")
    found = compare(
        load(model),
        read(reference, None, mapping, split),
        read(log, gold, mapping, split),
        by=by,
        since=began,
        alpha=alpha,
        tolerance=limits,
        seed=seed,
    )
    if metrics is not None:
        with replacing(metrics) as path:
            path.write_text(found.prometheus(), encoding="utf-8")
    if as_json:
        show_json(found.to_json())
        for warning in found.warnings:
            typer.echo(f"warning: {warning}", err=True)
    else:
        typer.echo(str(found))
    if all(drift.low is None for drift in found.periods[-1].strongest.values()):
        raise TruewardError("nothing can be told of the newest period: see the reasons above")
    fail_if(checks, found.estimates())
    if found.fires:
        typer.echo(f"failed: {', '.join(found.fires)} beyond tolerance: retrain", err=True)
        raise typer.Exit(FAILED_CHECK)


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(
            f"--tolerance {name}={text} should be a number, such as {name}=0.1"
        ) from None


def _date(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--since should be a day such as 2026-01-05, and is {text!r}") from None
