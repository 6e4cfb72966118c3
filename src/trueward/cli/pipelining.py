"""`trueward pipeline`."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trueward.core.errors import UsageError
from trueward.core.suggest import suggestion

from .common import Json, show_json
from .config import expand, option_words, with_options
from .outputs import NO_CLOBBER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueward.production.pipeline import CommandLine, Executed

OUTPUTS = ("out", "world", "figure", "prom")  # parameters that name what a command writes
INPUTS = (
    "log",
    "test",
    "texts",
    "gold",
    "rated",
    "files",
    "pairs_file",
    "model",
)  # what must exist
NO_FILES = (  # whose values are never paths
    ("fit", "method"),
    ("refute", "method"),
    ("import", "source"),
    ("training-data", "kind"),
)
ANYWHERE = ("--debug", NO_CLOBBER)  # flags of the command line itself
ENDLESS = ("pipeline", "serve")
LOOK = 0.5  # seconds between looks at a command that runs
GRACE = 60.0  # seconds that a command has to end after a signal to stop


def pipeline(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="RUN.YAML", help="The steps, see docs/pipeline.md.")
    ],
    state: Annotated[
        Path | None,
        typer.Option("--state", help="Folder of the state and the records [NAME.pipeline]."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print which steps would run, and why.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Run every step, also where nothing changed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run import, fit, evaluate, export and reload as one command; exit code 3: the model was refused.

    A step whose inputs, options and version did not change is skipped, so the same command continues a run.
    """
    from importlib.metadata import version

    from trueward.production.pipeline import read_pipeline, run_pipeline

    if context.obj and NO_CLOBBER in shlex.split(context.obj):
        raise UsageError(f"a pipeline replaces the results of its last run: leave out {NO_CLOBBER}")
    group = context.find_root().command
    steps = read_pipeline(file, lambda words, options: _parsed(group, words, options))
    ended = run_pipeline(
        steps,
        state or Path(f"{steps.name}.pipeline"),
        _execute,
        version=version("trueward"),
        say=lambda line: typer.echo(line, err=True),
        force=force,
        dry_run=dry_run,
    )
    show_json(ended.record) if as_json else typer.echo(ended.sentence)
    if ended.exit_code:
        raise typer.Exit(ended.exit_code)


def _parsed(group: Any, given: list[str], options: dict[str, Any]) -> CommandLine:
    """Read a command as the command line does, without running it."""
    from trueward.production.pipeline import CommandLine

    words = expand(with_options(given, option_words(options)))
    try:
        command, name, values = _values(
            group, _without_endpoints([w for w in words if w not in ANYWHERE])
        )
    except typer.Exit as e:
        raise UsageError(f"{words[0]}: --help is no step") from e
    except Exception as e:  # of click, which typer carries under several names
        if not callable(message := getattr(e, "format_message", None)):
            raise
        raise UsageError(f"{words[0]}: {' '.join(message().split())}") from e
    if name in ENDLESS:
        raise UsageError(f"{name} cannot be a step: it has steps or no end of its own")
    reads, needs, writes = [], [], []
    for parameter in command.params:
        found = _texts(values.get(parameter.name))
        if parameter.name in OUTPUTS:
            writes += found
        elif (name, parameter.name) not in NO_FILES:
            reads += [_path(v) for v in found]
            if parameter.name in INPUTS:
                needs += [v for v in found if "://" not in v]
    model = str(values["model"]) if name == "evaluate" else None
    return CommandLine(
        tuple(words), tuple(reads), tuple(needs), tuple(writes), model, "resume" in values
    )


def _values(group: Any, words: list[str]) -> tuple[Any, str, dict[str, Any]]:
    """Return the command that words name, its name, and its parameters as the parser reads them."""
    command, names = group, list[str]()
    while (known := getattr(command, "commands", None)) is not None:
        context = command.make_context(names[-1] if names else "trueward", words or ["nothing"])
        parts: list[str] = [*context._protected_args, *context.args]  # noqa: SLF001 - of click
        if parts[0] not in known:
            group_of = " ".join(["trueward", *names])
            raise UsageError(
                f"{group_of} has no command {parts[0]!r}: {suggestion(parts[0], known)}"
            )
        command, words = known[parts[0]], parts[1:]
        names.append(parts[0])
    return command, " ".join(names), command.make_context(names[-1], words).params


def _without_endpoints(words: list[str]) -> list[str]:
    """Leave out --allow-endpoint URL, which may stand anywhere."""
    rest, given = [], iter(words)
    for word in given:
        if word == "--allow-endpoint":
            next(given, None)
        elif not word.startswith("--allow-endpoint="):
            rest.append(word)
    return rest


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list | tuple) else [value]
    return [str(v) for v in values if isinstance(v, str | Path)]


def _path(value: str) -> str:
    """Return the path in the value of an option: that of NAME=PATH, and of precomputed:PATH,..."""
    name, equals, after = value.partition("=")
    value = after if equals and "/" not in name and "," not in name else value
    return value.removeprefix("precomputed:").partition(",")[0]


def _execute(words: Sequence[str], ours: bool, keep: bool) -> Executed:
    """Run a command in a process of its own, which ends before this one does."""
    from trueward.production.pipeline import Executed

    command = [sys.executable, "-P", "-m", "trueward", *words] if ours else list(words)
    sys.stderr.flush()
    try:
        process = subprocess.Popen(  # noqa: S603 - the words of the user's own file, without a shell
            command,
            stdout=subprocess.PIPE if keep else 2,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as e:
        raise UsageError(f"{command[0]} cannot be run: {e.strerror}") from e
    try:
        output = _output(process)
    except BaseException:
        _stop(process)
        raise
    return Executed(process.returncode, output.decode("utf-8", "replace"))


def _output(process: subprocess.Popen[bytes]) -> bytes:
    """Wait for a command; look up now and then, because a signal to stop may reach another thread."""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=LOOK)[0] or b""


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a command to end, and end it after a while or after a second signal to stop."""
    process.terminate()
    try:
        process.communicate(timeout=GRACE)
    except BaseException:  # noqa: BLE001 - the command is ended whatever happens
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL) if os.name == "posix" else process.kill()
        process.wait()
