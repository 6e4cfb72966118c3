"""`trueward bounds`: what a log says about quality and about models of the product, whoever reacts."""

from __future__ import annotations

from typing import Annotated

import typer

from trueward.core.errors import UsageError

from .common import Gold, Json, Map, Model, Seed, Split, show_json
from .reading import read, warn_of_export_scope, with_features
from .recorded_log import fitted_on


def bounds(
    model: Model,
    log: Annotated[
        str | None, typer.Argument(help="A log [the one it was fitted on, if it is there].")
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            "--compare", "--by", metavar="COLUMN", help="Compare the values of a column [model]."
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="The value that the others are compared with [the most frequent]."),
    ] = None,
    rho_01: Annotated[float, typer.Option("--rho-01", help="P(rated bad given good).")] = 0.0,
    rho_10: Annotated[float, typer.Option("--rho-10", help="P(rated good given bad).")] = 0.0,
    gold: Gold = None,
    mapping: Map = None,
    split: Split = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Bound mean P(good), pair orders and differences of models for every limit on who reacts."""
    from trueward.evaluation.bounds import bounds as bound
    from trueward.evaluation.model_balance import compared_column, traffic_columns
    from trueward.model.reward_model import load

    rm = load(model)
    table = read(log, gold, mapping, split) if log else fitted_on(rm, gold, mapping, split)
    warn_of_export_scope(table)
    names = compared_column(table, compare)
    if names is None and reference is not None:
        raise UsageError("--reference needs a column to compare: add --compare COLUMN")
    result = bound(
        rm,
        with_features(rm, table),
        compare=names,
        reference=reference,
        covariates=None if names is None else traffic_columns(table),
        rho_01=rho_01,
        rho_10=rho_10,
        seed=seed,
    )
    show_json(result.to_json()) if as_json else typer.echo(str(result))
