"""`trueward evaluate`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trueward.core.errors import UsageError

from .common import Gold, Json, Map, Model, Seed, Split, pairs, show_json
from .reading import read, with_features

if TYPE_CHECKING:
    from trueward.data.feedback import Feedback
    from trueward.evaluation.measure import Metrics


def evaluate(
    model: Model,
    test: Annotated[
        str | None, typer.Argument(help="A table of prompt, response, label or rating.")
    ] = None,
    log: Annotated[
        str | None,
        typer.Option(
            "--log", help="Instead of a test table: a log, with gold labels in it or in --gold."
        ),
    ] = None,
    gold: Gold = None,
    future: Annotated[
        bool,
        typer.Option(
            "--future", help="--log: estimate the metrics on new prompts, not on the logged ones."
        ),
    ] = False,
    chosen: Annotated[
        bool, typer.Option("--chosen", help="--log: the gold rows are not a random draw.")
    ] = False,
    mapping: Map = None,
    split: Split = None,
    draws: Annotated[
        int | None,
        typer.Option(min=20, help="Test table: draws of the noise in the interval of ece [1000]."),
    ] = None,
    cluster: Annotated[
        Literal["prompt", "user", "both"],
        typer.Option(
            "--cluster", help="Units that the intervals are clustered by, where ids exist."
        ),
    ] = "both",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure a model on clean labels, or on a log with a few gold labels, with 95 % intervals."""
    from trueward.data.log import read_test
    from trueward.evaluation.audit import audit
    from trueward.evaluation.evaluate import evaluate as measure
    from trueward.model.reward_model import load

    if (test is None) == (log is None):
        raise UsageError(
            "evaluate needs either a test table or --log (a log with gold labels), and not both"
        )
    if test is not None:
        _only_with_log({"--gold": gold is not None, "--future": future, "--chosen": chosen})
    elif draws is not None:
        raise UsageError("--draws needs a test table: --log has no ece")
    rm = load(model)
    if log is not None:
        data = _clustered(with_features(rm, read(log, gold, mapping, split)), cluster)
        audited = audit(rm, data, future=future, chosen=chosen, seed=seed)
        show_json(audited.to_json()) if as_json else typer.echo(str(audited))
        return
    assert test is not None
    table = read_test(test, mapping=pairs(mapping, "--map"), split=split)
    found = measure(rm, table, cluster=cluster, draws=draws or 1000, seed=seed)
    _show(found, as_json)


def _show(found: Metrics, as_json: bool) -> None:
    """Print metrics; as JSON without the warnings, which go to stderr."""
    if not as_json:
        typer.echo(str(found))
        return
    show_json(found.to_json())
    for warning in found.warnings:
        typer.echo(f"warning: {warning}", err=True)


def _clustered(data: Feedback, cluster: str) -> Feedback:
    """Return a log without its users where intervals are clustered by prompt alone."""
    if cluster == "user":
        raise UsageError("--cluster user needs a test table: --log takes prompt or both")
    return dataclasses.replace(data, user=None) if cluster == "prompt" else data


def _only_with_log(given: dict[str, bool]) -> None:
    """Refuse options that have no meaning for a test table."""
    for flag, there in given.items():
        if there:
            raise UsageError(f"{flag} needs --log: a test table has a label in every row")
