"""`trueward`: the commands, and how an error reaches a user."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from importlib.metadata import version as installed

import typer

from trueward.core.errors import TruewardError
from trueward.core.wording import flags_in_messages

from . import (
    aligning,
    asking,
    benchmark,
    bounding,
    demo,
    doubting,
    encoding,
    evaluating,
    exporting,
    fitting,
    importing,
    labelling,
    logs,
    monitoring,
    pipelining,
    pushing,
    ranking,
    reference,
    refuting,
    reporting,
    reproducing,
    safety,
    scoring,
    serving,
    tracking,
    training,
)
from .clusters import with_address
from .config import expand
from .help_groups import GroupedHelp
from .outputs import NO_CLOBBER, outputs
from .progress import finish_progress
from .terminal import (
    escaped_output,
    shortened,
    stop_code,
    stop_signals,
    stoppable,
    undisturbed,
)

STDOUT = 1  # its file descriptor
TOO_LITTLE_MEMORY = "this machine has too little memory for these rows; give fewer"
# what libraries say of it in errors of other types: torch, the loader of shared libraries, the system
OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "failed to map segment",
    "annot allocate memory",
)

QUIET, NO_COLOUR = "--quiet", "--no-color"
ANYWHERE = {"--debug", NO_CLOBBER, QUIET, NO_COLOUR}  # flags of every command, anywhere in the line

app = typer.Typer(
    name="trueward",
    cls=GroupedHelp,
    help="Reward models from the feedback a product already logs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


for _command in (
    demo.demo,
    logs.inspect,
    logs.simulate,
    encoding.encode,
    fitting.fit,
    scoring.score,
    evaluating.evaluate,
    ranking.leaderboard,
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
    safety.safety,
    serving.serve,
    monitoring.monitor,
    pushing.push,
    tracking.track,
    pipelining.pipeline,
    reproducing.reproduce,
    reference.methods,
):
    app.command()(stoppable(_command))
app.command("import")(stoppable(importing.import_))
app.add_typer(asking.app)
app.add_typer(labelling.app)
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
    endpoint: str = typer.Option(
        "",
        "--allow-endpoint",
        metavar="URL",
        help="Let a model send texts to this embeddings server; repeatable, anywhere in the line.",
    ),
    no_clobber: bool = typer.Option(
        False, NO_CLOBBER, help="Replace no file and no folder; anywhere in the line."
    ),
    quiet: bool = typer.Option(
        False, QUIET, help="Print results, warnings and errors only; anywhere in the line."
    ),
    no_color: bool = typer.Option(
        False, NO_COLOUR, help="Print without colours, as with NO_COLOR=1; anywhere in the line."
    ),
    config: str = typer.Option(
        "", "--config", metavar="RUN.YAML", help="Options of the command by name, from a file."
    ),
) -> None:
    """Turn logged feedback into a reward model whose scores mean what people want."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 wrong data or model, 2 wrong request, 3 a check failed."""
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    look = {"colour": NO_COLOUR not in given, "say_little": QUIET in given}
    with (
        flags_in_messages(),
        stop_signals(),
        escaped_output(**look),
        outputs(keep=NO_CLOBBER in given),
    ):
        try:
            app(
                args=with_address(expand([w for w in _allow(given) if w not in ANYWHERE])),
                prog_name="trueward",
                obj=shlex.join(["trueward", *given]),  # for what keeps the command that made it
            )
        except TruewardError as e:
            _fail(str(e), e.exit_code, debug=debug)
        except MemoryError:
            _fail(TOO_LITTLE_MEMORY, debug=debug)
        except KeyboardInterrupt as e:
            with undisturbed():
                typer.echo("stopped", err=True)
                sys.exit(stop_code(e))
        except SystemExit as e:
            interrupt = getattr(e.__context__, "__cause__", None)
            if not isinstance(interrupt, KeyboardInterrupt):
                raise
            with undisturbed():  # outside of a command, where typer exits with 130, quiet
                typer.echo("stopped", err=True)
                sys.exit(stop_code(interrupt))
        except OSError as e:
            if e.filename is None:  # nothing more can be written there, at exit either
                os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
            _fail(f"{e.filename or 'the output could not be written'}: {e.strerror}", debug=debug)
        except BaseException as e:  # the last guard: one sentence in place of a traceback
            if (
                not isinstance(e, Exception) and type(e).__name__ != "PanicException"
            ):  # that of polars
                raise
            reason = f"{type(e).__name__}: {' '.join(str(e).split())[:300]}"
            if any(part in reason for part in OUT_OF_MEMORY):
                _fail(TOO_LITTLE_MEMORY, debug=debug)
            _fail(
                f"trueward itself failed ({reason}). Please report this, with what the same command prints "
                "after `trueward --debug`",
                debug=debug,
            )


def _allow(given: list[str]) -> list[str]:
    """Take --allow-endpoint URL out of the words, wherever it stands, and allow these addresses."""
    words, rest = iter(given), []
    for word in words:
        name, equals, address = word.partition("=")
        if name != "--allow-endpoint":
            rest.append(word)
            continue
        from trueward.features.named_servers import allow_endpoint

        allow_endpoint(address if equals else next(words, ""))
    return rest


def _fail(message: str, code: int = 1, *, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    finish_progress()  # the error does not stand behind a bar
    typer.echo(f"error: {shortened(message)}", err=True)
    sys.exit(code)
