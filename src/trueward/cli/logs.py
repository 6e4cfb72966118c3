"""`trueward inspect` and `trueward simulate`: what a log is, and logs whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .choices import MECHANISMS
from .common import (
    Json,
    Map,
    Negative,
    Positive,
    Seed,
    Split,
    Unrated,
    pairs,
    paragraph,
    say_next,
    show_json,
)
from .outputs import claim_output
from .reading import log_words, read

OfAsked = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        metavar="NAME=VALUE",
        help="An option of the mechanism asked, such as answering=.6; repeatable.",
    ),
]


def inspect(
    log: Annotated[str, typer.Argument(help="Parquet, JSONL(.gz), CSV, Arrow or dataset folder.")],
    mapping: Map = None,
    split: Split = None,
    gold: Annotated[
        str | None, typer.Option("--gold", help="A table of prompt, response, gold to join.")
    ] = None,
    positive: Positive = None,
    negative: Negative = None,
    unrated: Unrated = None,
    with_methods: Annotated[
        bool,
        typer.Option(
            "--methods", help="List the methods that the log supports, and why not others."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what a log shows and what it hides, and what to fit on it."""
    from trueward.core.postponed import postpone

    postpone("torch")  # methods only declare here what they need; loading it would take two seconds
    from trueward.inspection import inspect as inspect_log

    values = {"positive": positive, "negative": negative, "unrated": unrated}
    inspection = inspect_log(read(log, gold, mapping, split, values))
    if as_json:
        show_json(inspection.to_json())
        return
    text = str(inspection)
    if with_methods:
        text += f"\n\n{inspection.methods_text()}"
    else:
        text = f"{text.removesuffix('.')}: see --methods."
    typer.echo(f"{text}\n")
    if inspection.selected is None:
        paragraph("next: mend what is marked as error, and inspect again")
    else:
        words = log_words(log, gold, mapping, split, values)
        say_next("trueward", "fit", "auto", *words, "--out", "rm")


def simulate(
    rated: Annotated[str, typer.Argument(help="A table of prompt, response and rating or label.")],
    world: Annotated[Path, typer.Argument(help="The folder to write.")],
    mechanism: Annotated[
        str,
        typer.Option(help=f"Who reacts: {', '.join(MECHANISMS)}."),
    ] = "rating",
    alpha: Annotated[
        float, typer.Option(help="In (0, 1]; the smaller, the stronger the selection.")
    ] = 0.5,
    rate: Annotated[
        float | None, typer.Option(help="Share of responses with a reaction [.2; clicks: .5].")
    ] = None,
    rho_01: Annotated[float, typer.Option("--rho-01", help="P(observed 0 given true 1).")] = 0.0,
    rho_10: Annotated[float, typer.Option("--rho-10", help="P(observed 1 given true 0).")] = 0.0,
    gold: Annotated[
        int, typer.Option(min=0, help="Trusted labels to put into the log, drawn at random.")
    ] = 0,
    test_share: Annotated[float, typer.Option(help="Share of the prompts kept for test.")] = 0.2,
    threshold: Annotated[
        float | None, typer.Option(help="r* = rating > threshold [median of the levels].")
    ] = None,
    option: OfAsked = None,
    seed: Seed = 0,
    mapping: Map = None,
    split: Split = None,
    as_json: Json = False,
) -> None:
    """Turn rated answers into a log and its truth: log, test, truth and scenario files."""
    from trueward.data.truth import read_test
    from trueward.simulation import simulate as simulate_world

    claim_output(world, "the folder")
    table = read_test(rated, mapping=pairs(mapping, "--map"), split=split)
    simulated = simulate_world(
        table.frame,
        mechanism=mechanism,
        alpha=alpha,
        rate=rate,
        rho_01=rho_01,
        rho_10=rho_10,
        gold=gold,
        test_share=test_share,
        threshold=threshold,
        seed=seed,
        options=pairs(option, "-o"),
    )
    folder = simulated.write(world)
    if as_json:
        show_json(simulated.scenario)
        return
    realised = {k: v for k, v in simulated.scenario["realised"].items() if v is not None}
    facts = ", ".join(f"{k} {v:.3f}" for k, v in realised.items())
    typer.echo(
        f"{folder}: {len(simulated.log)} rows in the log, {len(simulated.test)} in the test; {facts}"
    )
