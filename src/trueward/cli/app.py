"""`trueward`: the commands, and how an error reaches a user."""

from __future__ import annotations

import functools
import shlex
import sys
import traceback
from importlib.metadata import version as installed
from typing import TYPE_CHECKING, Any

import typer

from trueward.core.errors import TruewardError

from . import (
    aligning,
    benchmark,
    bounding,
    demo,
    doubting,
    encoding,
    evaluating,
    exporting,
    fitting,
    importing,
    logs,
    reference,
    refuting,
    reporting,
    training,
)
from .config import expand

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(
    name="trueward",
    help="Reward models from the feedback a product already logs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def stoppable(command: Callable[..., None]) -> Callable[..., None]:
    """Turn Ctrl-C into a sentence and exit code 130, before click words it its own way."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt:
            typer.echo("stopped; nothing half-written is left behind", err=True)
            raise typer.Exit(130) from None

    return run


for _command in (
    demo.demo,
    logs.inspect,
    logs.simulate,
    encoding.encode,
    fitting.fit,
    fitting.score,
    evaluating.evaluate,
    doubting.calibrate,
    doubting.sensitivity,
    doubting.plan,
    bounding.bounds,
    refuting.refute,
    reporting.report,
    exporting.export,
    exporting.verify_export,
    training.training_data,
    aligning.align,
    reference.methods,
):
    app.command()(stoppable(_command))
app.command("import")(stoppable(importing.import_))
app.add_typer(benchmark.app)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(installed("trueward"))
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and stop."
    ),
    debug: bool = typer.Option(False, "--debug", help="Show a traceback for an error."),
    config: str = typer.Option(
        "", "--config", metavar="RUN.YAML", help="Options of the command by name, from a file."
    ),
) -> None:
    """Turn logged feedback into a reward model whose scores mean what people want."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 the data or the model is wrong, 2 the request is."""
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    try:
        app(
            args=expand([a for a in given if a != "--debug"]),
            prog_name="trueward",
            obj=shlex.join(["trueward", *given]),  # for what keeps the command that made it
        )
    except TruewardError as e:
        if debug:
            traceback.print_exc()
        typer.echo(f"error: {e}", err=True)
        sys.exit(e.exit_code)
    except MemoryError:
        typer.echo("error: this machine has too little memory for these rows; give fewer", err=True)
        sys.exit(1)
