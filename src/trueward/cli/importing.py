"""`trueward import`: turn the export of a product into a log."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trueward.core.errors import UsageError

from .choices import products
from .common import Json, Unrated, say_next, show_json
from .outputs import claim_output
from .progress import finish_progress

if TYPE_CHECKING:
    from trueward.importers import ImportedLog

SOME_REJECTED = 3  # exit code of an import with rejected rows

Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="OURS=THEIRS",
        help="Name of a signal or path to a text: thumbs=user-feedback, prompt=inputs.q.",
    ),
]
Shown = Annotated[
    list[str] | None,
    typer.Option(
        "--shown",
        metavar="NAME",
        help="Name of the model calls that users saw, where a trace has several; repeatable.",
    ),
]
Logged = Annotated[
    list[str] | None,
    typer.Option(
        "--logged",
        metavar="CHANNEL",
        help="Channel that is logged for every response, so that absence is 0: copy.",
    ),
]
Positive = Annotated[
    list[str] | None, typer.Option(help="What makes feedback 1: thumbs_up, rating>=4, copy, up.")
]
Negative = Annotated[
    list[str] | None, typer.Option(help="What makes feedback 0: thumbs_down, rating<=2, down.")
]
HashUsers = Annotated[
    Path | None,
    typer.Option(
        "--hash-users", metavar="KEYFILE", help="Hash ids of people with the key in this file."
    ),
]
Redact = Annotated[
    bool,
    typer.Option("--redact", help="Remove e-mail addresses, phone numbers and secrets from texts."),
]
Scale = Annotated[
    str | None,
    typer.Option(metavar="LEAST:MOST", help="Rating scale, if the export does not say: 1:5."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Write nothing if any row is rejected.")]
AskKey = Annotated[
    str | None,
    typer.Option(
        "--ask-key", metavar="KEY", help="Draw the lottery of asks again; refuse other asks."
    ),
]
Separator = Annotated[
    str | None, typer.Option(metavar="CHAR", help="Separator of a CSV file, or tab [found].")
]
Encoding = Annotated[
    str | None, typer.Option(metavar="NAME", help="Encoding of a CSV file: cp1252, utf-16 [found].")
]
Dates = Annotated[
    str | None, typer.Option(metavar="FORMAT", help="Format of dates: '%d.%m.%Y %H:%M' [found].")
]
TableName = Annotated[
    str | None, typer.Option("--table", metavar="NAME", help="Table of a database, or Excel sheet.")
]
PhoneRegion = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CODE",
        help="Country whose phone numbers are found without +: US (default), DE; repeatable.",
    ),
]


def import_(
    source: Annotated[str, typer.Argument(help=f"auto, or one of {', '.join(products())}.")],
    files: Annotated[
        list[str], typer.Argument(help="Files or folders of one export, or SQL queries (.sql).")
    ],
    out: Annotated[Path, typer.Option("--out", help="The folder to write.")],
    mapping: Map = None,
    shown: Shown = None,
    logged: Logged = None,
    scale: Scale = None,
    positive: Positive = None,
    negative: Negative = None,
    unrated: Unrated = None,
    hash_users: HashUsers = None,
    redact: Redact = False,
    phone_region: PhoneRegion = None,
    strict: Strict = False,
    ask_key: AskKey = None,
    separator: Separator = None,
    encoding: Encoding = None,
    dates: Dates = None,
    table: TableName = None,
    as_json: Json = False,
) -> None:
    """Turn the export of a product into a log; exit code 3 means that some rows were rejected."""
    if phone_region and not redact:
        raise UsageError("--phone-region applies to --redact only: give both, or neither")
    from trueward.data.readers.delimited import Reading
    from trueward.importers import import_log

    claim_output(out)
    result = import_log(
        source,
        files,
        out,
        mapping=_mapping(mapping),
        shown=shown or (),
        logged=logged or (),
        scale=_scale(scale),
        positive=positive or (),
        negative=negative or (),
        unrated=unrated or (),
        hash_users=hash_users,
        redact=redact,
        phone_regions=phone_region or ("US",),
        strict=strict,
        ask_key=ask_key,
        reading=Reading(separator, encoding, table, dates),
        progress=_progress,
    )
    finish_progress()
    if as_json:
        show_json(result.summary)
    else:
        typer.echo("\n".join(_account(result, source, out)))
        labels = result.info.export_scope.level == "annotation"  # no log of its own
        say_next("trueward", "inspect", *(["LOG", "--gold"] if labels else []), str(out))
    if result.tables.rejected.height:
        raise typer.Exit(SOME_REJECTED)


def _progress(step: str, rows: int, total: int) -> None:
    """Show on a terminal how far a long import is."""
    if sys.stderr.isatty():
        count = f"{rows:,} of {total:,}" if total else f"{rows:,}"
        typer.echo(f"\r\x1b[K{step}: {count}", nl=False, err=True)


def _mapping(options: list[str] | None) -> list[tuple[str, str]]:
    pairs = []
    for option in options or ():
        ours, equals, theirs = option.partition("=")
        if not equals or not ours.strip() or not theirs.strip():
            raise UsageError(f"--map takes OURS=THEIRS, as thumbs=user-feedback, not {option!r}")
        pairs.append((ours.strip(), theirs.strip()))
    return pairs


def _scale(option: str | None) -> tuple[float, float] | None:
    if option is None:
        return None
    try:
        low, high = (float(part) for part in option.split(":"))
    except ValueError:
        low = high = 0.0
    if not (low < high and math.isfinite(low) and math.isfinite(high)):
        raise UsageError(f"--scale takes LEAST:MOST, as 1:5, not {option!r}")
    return low, high


def _account(result: ImportedLog, source: str, out: Path) -> list[str]:
    """Return the account of the import, line by line."""
    from trueward.data.export_scope import MEANING
    from trueward.importers import KINDS

    summary, info = result.summary, result.info
    detected = " (detected by auto)" if source == "auto" else ""
    names = ", ".join(f"{ours}={theirs}" for theirs, ours in summary["mapping"]["names"].items())
    paths = ", ".join(f"{k}={p}" for k, v in summary["mapping"]["paths"].items() for p in v)
    signals = ", ".join(f"{name} {count:,}" for name, count in summary["channels"].items())
    copies = sum(summary["duplicates"].values())
    lines = [
        f"{result.source.name}: {result.source.title}{detected}",
        f"  mapping    {', '.join(filter(None, (names, paths))) or 'none needed'}",
        f"  labels     1: {', '.join(info.positive)}; 0: {', '.join(info.negative)}",
        f"  coverage   {info.export_scope.level}: {MEANING[info.export_scope.level]}",
    ]
    if not info.export_scope.shows_unrated:
        lines.append(f"             for responses without feedback: {info.export_scope.remedy}")
    read = ", ".join(f"{count:,} {kind}" for kind, count in summary["read"].items())
    kept = summary["kept"]
    responses = f"{kept['responses']:,} responses, {summary['rated']:,} with feedback"
    others = f"{kept['events']:,} events, {summary['pairs']:,} pairs"
    lines += [
        f"  read       {read}",
        f"  kept       {responses}, {summary['gold']:,} with a gold label; {others}",
        f"  signals    {signals or 'none'}",
    ]
    lines += [f"  duplicates {copies:,} rows"] if copies else []
    lines += [f"  skipped    {count:,}: {reason}" for reason, count in summary["skipped"].items()]
    if result.redacted is not None:
        removed = ", ".join(f"{count:,} {KINDS[kind]}" for kind, count in result.redacted.items())
        lines.append(f"  redacted   {removed}")
    rejected = summary["rejected"]
    first = list(rejected["reasons"].items())[:5]
    lines += [f"  rejected   {count:,}: {reason}" for reason, count in first]
    if rejected["rows"]:
        file = out / "rejected.parquet"
        lines.append(f"             {rejected['rows']:,} rows in all, in {file}")
    lines += [f"  note       {note}" for note in summary["notes"]]
    return lines
