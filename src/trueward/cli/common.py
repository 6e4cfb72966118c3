"""Shared by the commands: options, key=value pairs, progress, printing."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trueward.core.errors import TruewardError, UsageError
from trueward.core.remote_files import exists, output_address, shown
from trueward.core.wrapping import wrapped

from .outputs import NO_CLOBBER, claim_output, keeps_outputs
from .terminal import stop_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from trueward.core.estimate import Estimate
    from trueward.core.processes import Processes
    from trueward.evaluation.conditions import Condition

FAILED_CHECK = 3  # exit code of a check that was asked for and failed; 1 and 2 are errors

Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="NAME=COLUMN", help="Read column NAME from COLUMN; repeatable."),
]
Split = Annotated[
    str | None, typer.Option("--split", help="Which split of a folder that has several.")
]
Positive = Annotated[
    list[str] | None,
    typer.Option(help="Value of feedback that means good: up, 5, '>=4'; repeatable."),
]
Negative = Annotated[
    list[str] | None, typer.Option(help="Value of feedback that means bad: down, 0, '<=2'.")
]
Unrated = Annotated[
    list[str] | None, typer.Option(help="Value of feedback that means none: 0, meh.")
]
PerRated = Annotated[
    str,
    typer.Option(
        "--unrated-per-rated",
        metavar="K",
        help="Keep a random K unrated rows for each rated one, with weights; all: every row; auto: of "
        "logs above 500,000 rows so many, and 2 for each rated one at least.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Model = Annotated[Path, typer.Argument(help="A folder that fit --out wrote.")]
Named = Annotated[str, typer.Argument(help="A name from `trueward methods`.")]
LogFile = Annotated[
    str, typer.Argument(help="Parquet, JSONL(.gz), CSV, Arrow, SQL or dataset folder.")
]
Gold = Annotated[
    str | None, typer.Option("--gold", help="A table of prompt, response, gold to join.")
]
PairsOf = Annotated[
    str | None,
    typer.Option(
        "--pairs",
        metavar="FILE",
        help="Comparisons of responses of the log: prompt, chosen, rejected, battles of two models, or the "
        "pairs of an import. Without a log, their responses are the log. Columns: --map pairs.chosen=NAME.",
    ),
]
Given = Annotated[
    list[str] | None,
    typer.Option("-o", metavar="NAME=VALUE", help="An option of the method; repeatable."),
]
Backbone = Annotated[
    str,
    typer.Option(
        help="Features: wordllama, the folder or hub name of a transformers model, "
        "http://HOST/v1, or precomputed:FILE; with options as NAME,layer=-4,pooling=mean."
    ),
]
Track = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="NAME",
        help="Report to a tracker: trackio, tensorboard, mlflow, wandb; repeatable.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of all random numbers.")]
FailIf = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-if",
        metavar="METRIC<NUMBER",
        help="Exit with 3 where this holds: auroc<0.6, 'auroc.low<0.6', 'brier>0.25'; repeatable.",
    ),
]
SafeCsv = Annotated[
    bool,
    typer.Option(
        "--safe-csv/--no-safe-csv",
        help="CSV: an apostrophe before texts that a spreadsheet would run as formulas.",
    ),
]


def pairs(given: Iterable[str] | None, flag: str) -> dict[str, str]:
    """Read ``key=value`` words; the last of one key wins. The value of an option ``-o`` may be empty."""
    read = {}
    for word in given or ():
        key, equals, value = word.partition("=")
        if not equals or not key or not (value or flag == "-o"):
            raise UsageError(f"{flag} takes NAME=VALUE, not {word!r}")
        read[key.strip()] = value.strip()
    return read


def conditions(given: list[str] | None) -> list[Condition]:
    """Read --fail-if before any work."""
    from trueward.evaluation.conditions import read_condition

    return [read_condition(text) for text in given or ()]


def fail_if(conditions: list[Condition], estimates: Mapping[str, Estimate]) -> None:
    """Exit with 3 where a condition of --fail-if holds, after stderr has said which."""
    held = [said for c in conditions if (said := c.holds(estimates))]
    for said in held:
        typer.echo(f"failed: {said}", err=True)
    if held:
        raise typer.Exit(FAILED_CHECK)


def show_json(value: Any) -> None:
    """Print plain data as JSON."""
    typer.echo(json.dumps(value, indent=1, allow_nan=False))


def writable(path: Path, kinds: tuple[str, ...], option: str = "--out") -> None:
    """Claim an output file before any work; refuse an unknown kind, and a place where a folder is."""
    if path.suffix not in kinds:
        raise UsageError(f"{option} {shown(path)} must end in {', '.join(kinds)}")
    if address := output_address(path):
        if keeps_outputs() and exists(address):
            raise TruewardError(
                f"{option} {address} exists, and {NO_CLOBBER} keeps it: give another address"
            )
        return
    if path.is_dir():
        raise TruewardError(f"{option} {path} is a folder; name a file")
    place = next(p for p in path.resolve().parents if p.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise TruewardError(f"{option} {path} is where you may not write; choose another place")
    claim_output(path, option)


def say_next(*words: str, why: str = "") -> None:
    """Print the command to run next, unbroken, so that it can be pasted."""
    typer.echo(f"next: {shlex.join(words)}{why and f'  # {why}'}")


def paragraph(text: str, head: str = "", *, err: bool = False) -> None:
    """Print a text in lines that fit the terminal."""
    typer.echo("\n".join(wrapped(head, text, further=" " * len(head))), err=err)


@contextlib.contextmanager
def first_alone(*, several: bool) -> Iterator[Processes]:
    """Let only the first of several processes print; refuse several where a command cannot share its work."""
    if not several and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            "only `encode` and `fit --tune` run in several processes: start this command in one, without "
            "torchrun or accelerate launch"
        )
    from trueward.core.processes import launched_processes

    team = launched_processes()
    try:
        with contextlib.ExitStack() as stack:
            if not team.main:
                nowhere = stack.enter_context(Path(os.devnull).open("w"))
                stack.enter_context(contextlib.redirect_stdout(nowhere))
                stack.enter_context(contextlib.redirect_stderr(nowhere))
            stack.enter_context(team.raise_together())
            yield team
    except TruewardError as e:
        if team.main:
            raise
        raise typer.Exit(e.exit_code) from None
    except KeyboardInterrupt as e:
        if team.main:
            raise
        raise typer.Exit(stop_code(e)) from None
