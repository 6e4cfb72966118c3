"""`trueward import`: the exports that products give, as a log."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trueward.core.errors import TruewardError, UsageError

from .choices import products
from .common import Json, finish_progress, show_json

if TYPE_CHECKING:
    from trueward.importers import Gathered

SOME_REJECTED = 3  # exit code of an import that left rows out


def import_(
    source: Annotated[str, typer.Argument(help=f"auto, or one of {', '.join(products())}.")],
    files: Annotated[
        list[str], typer.Argument(help="Files or folders of one export, or queries (.sql).")
    ],
    out: Annotated[Path, typer.Option("--out", help="The folder to write.")],
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="OURS=THEIRS", help="thumbs=user-feedback, prompt=inputs.q."),
    ] = None,
    scale: Annotated[
        str | None, typer.Option(metavar="LEAST:MOST", help="Of ratings whose scale is not known.")
    ] = None,
    positive: Annotated[
        list[str] | None, typer.Option(help="What makes feedback 1: thumbs_up, rating>=4, copy.")
    ] = None,
    negative: Annotated[
        list[str] | None, typer.Option(help="What makes feedback 0: thumbs_down, rating<=2.")
    ] = None,
    hash_users: Annotated[
        Path | None,
        typer.Option("--hash-users", metavar="KEYFILE", help="Hash ids of people with this key."),
    ] = None,
    redact: Annotated[
        bool,
        typer.Option(
            "--redact", help="Remove e-mail addresses, phone numbers and secrets from texts."
        ),
    ] = False,
    phone_region: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODE", help="Whose phone numbers need no +: US (default), DE; repeatable."
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Write nothing if any row is rejected.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Turn the export of a product into a log; exit code 3 says that rows were rejected."""
    from trueward.importers import Redactor, claimed, gather, read_key, write

    claimed(out)
    if phone_region and not redact:
        raise UsageError("--phone-region says what --redact looks for: give both, or neither")
    made = gather(
        source,
        files,
        mapping=_mapping(mapping),
        scale=_scale(scale),
        positive=positive or (),
        negative=negative or (),
        key=None if hash_users is None else read_key(hash_users),
        redactor=Redactor(tuple(phone_region or ("US",))) if redact else None,
        folder=out.parent,
        progress=_progress,
    )
    finish_progress()
    rejected = made.tables.rejected
    if strict and rejected.height:
        first = rejected.row(0, named=True)
        raise TruewardError(
            f"--strict takes no rejected row, and {rejected.height} are, the first in line {first['line']} "
            f"of {first['file']} ({first['reason']}): correct it, or import without --strict"
        )
    write(made, out, _progress)
    finish_progress()
    show_json(made.summary) if as_json else typer.echo("\n".join(_told(made, source, out)))
    if rejected.height:
        raise typer.Exit(SOME_REJECTED)


def _progress(what: str, done: int, of: int) -> None:
    """Say on a terminal how far a long import is."""
    if sys.stderr.isatty():
        rows = f"{done:,} of {of:,}" if of else f"{done:,}"
        typer.echo(f"\r\x1b[K{what}: {rows}", nl=False, err=True)


def _mapping(given: list[str] | None) -> list[tuple[str, str]]:
    read = []
    for word in given or ():
        ours, equals, theirs = word.partition("=")
        if not equals or not ours.strip() or not theirs.strip():
            raise UsageError(f"--map takes OURS=THEIRS, as thumbs=user-feedback, not {word!r}")
        read.append((ours.strip(), theirs.strip()))
    return read


def _scale(given: str | None) -> tuple[float, float] | None:
    if given is None:
        return None
    try:
        low, high = (float(part) for part in given.split(":"))
    except ValueError:
        low = high = 0.0
    if not low < high:
        raise UsageError(f"--scale takes LEAST:MOST, as 1:5, not {given!r}")
    return low, high


def _told(made: Gathered, asked: str, out: Path) -> list[str]:
    """Lay out the account."""
    from trueward.data.export_scope import MEANING
    from trueward.importers import KINDS

    s, coverage = made.summary, made.about.export_scope
    read = ", ".join(f"{count:,} {shape}" for shape, count in s["read"].items())
    lines = [
        f"{made.source.name}: {made.source.title}" + (" (found by auto)" if asked == "auto" else "")
    ]
    names = ", ".join(f"{ours}={theirs}" for theirs, ours in s["mapping"]["names"].items())
    paths = ", ".join(f"{k}={p}" for k, v in s["mapping"]["paths"].items() for p in v)
    lines.append(f"  mapping    {', '.join(filter(None, (names, paths))) or 'none needed'}")
    lines.append(
        f"  labels     1: {', '.join(made.about.positive)}; 0: {', '.join(made.about.negative)}"
    )
    lines.append(f"  coverage   {coverage.level}: {MEANING[coverage.level]}")
    if not coverage.shows_unrated:
        lines.append(f"             for the responses nobody rated: {coverage.remedy}")
    lines.append(f"  read       {read}")
    lines.append(
        f"  kept       {s['kept']['responses']:,} responses, {s['rated']:,} with feedback, {s['gold']:,} "
        f"with a gold label; {s['kept']['events']:,} events, {s['pairs']:,} pairs"
    )
    signals = ", ".join(f"{name} {count:,}" for name, count in s["channels"].items())
    lines.append(f"  signals    {signals or 'none'}")
    told = sum(s["duplicates"].values())
    lines += [f"  told twice {told:,} rows"] if told else []
    lines += [f"  skipped    {count:,}: {reason}" for reason, count in s["skipped"].items()]
    if made.redacted is not None:
        removed = ", ".join(f"{count:,} {KINDS[kind]}" for kind, count in made.redacted.items())
        lines.append(f"  redacted   {removed}")
    rejected = s["rejected"]
    lines += [
        f"  rejected   {n:,}: {reason}" for reason, n in list(rejected["reasons"].items())[:5]
    ]
    if rejected["rows"]:
        lines.append(
            f"             {rejected['rows']:,} rows in all, in {out / 'rejected.parquet'}"
        )
    lines += [f"  note       {note}" for note in s["notes"]]
    return [*lines, f"{out / 'log.parquet'}: read it with trueward inspect {out / 'log.parquet'}"]
