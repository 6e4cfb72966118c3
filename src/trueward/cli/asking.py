"""`trueward ask`: a lottery that decides whom a product asks for feedback."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from trueward.core.errors import UsageError

from .common import Gold, Json, LogFile, Map, Split, show_json
from .reading import read
from .terminal import stoppable

app = typer.Typer(
    name="ask",
    help="Ask a random part of the users for feedback: the code, how many, whether it was fair.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
@stoppable
def snippet(
    product: Annotated[
        str,
        typer.Option(
            "--for", help="Where the outcome is logged: generic, langfuse, otel, posthog."
        ),
    ] = "generic",
    lang: Annotated[str, typer.Option("--lang", help="py, ts or js.")] = "py",
) -> None:
    """Print the lottery as code to paste into a product."""
    from trueward.asking.shipped import code

    typer.echo(code(lang, product), nl=False)


@app.command()
@stoppable
def plan(
    log: Annotated[
        str | None,
        typer.Argument(help="A log: its rows, its share of feedback and of thumbs up."),
    ] = None,
    width: Annotated[
        float,
        typer.Option(help="Wanted width of the 95 % interval of the share of good responses."),
    ] = 0.05,
    answering: Annotated[float, typer.Option(help="Share of the asked who will answer.")] = 0.4,
    responses: Annotated[
        int | None, typer.Option(help="Number of responses [rows of the log].")
    ] = None,
    unasked: Annotated[
        float | None, typer.Option(help="Share of the others who react [as in the log].")
    ] = None,
    up: Annotated[
        float | None, typer.Option(help="Share of thumbs up among reactions [as in the log].")
    ] = None,
    mapping: Map = None,
    split: Split = None,
    as_json: Json = False,
) -> None:
    """Show how many to ask for an interval, beside what gold labels would cost."""
    from trueward.asking.worth import plan_asks, reactions

    known: dict[str, Any] = {"responses": responses, "unasked": unasked, "up": up}
    given = {k: v for k, v in known.items() if v is not None}
    if log is not None:
        given = reactions(read(log, None, mapping, split)) | given
    elif responses is None:
        raise UsageError("ask plan needs a log, or --responses N")
    result = plan_asks(width=width, answering=answering, **given)
    show_json(result.to_json()) if as_json else typer.echo(str(result))


@app.command()
@stoppable
def check(
    log: LogFile,
    key: Annotated[
        str | None,
        typer.Option("--key", help="The key of the lottery: compute again who was to be asked."),
    ] = None,
    gold: Gold = None,
    mapping: Map = None,
    split: Split = None,
    as_json: Json = False,
) -> None:
    """Test that a lottery was fair, and show what its answers say; exit 1 if it was not."""
    from trueward.asking.answers import asked_share
    from trueward.asking.fairness import check_asks

    table = read(log, gold, mapping, split)
    result = check_asks(table, key)
    share = asked_share(table) if result.fair and result.counts[1] else None
    if as_json:
        show_json({**result.to_json(), "share_good": None if share is None else share.to_json()})
    else:
        typer.echo(str(result) if share is None else f"{result}\n\n{share}")
    if not result.fair:
        sys.exit(1)
