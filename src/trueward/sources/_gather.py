"""From files of an export to the tables of a log and all that is to be said of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from trueward.coverage import LEVELS
from trueward.errors import TruewardError, UsageError

from ._about import SCHEMA, About, about, read_document
from ._bundles import units
from ._channels import CHANNELS, THUMBS
from ._contract import Ask
from ._levels import checked
from ._log import conflicts, derived, pairs
from ._queries import queried
from ._records import QUERY, ending, files
from ._redact import redacted
from ._sources import named, sniff
from ._staging import Staged, stage
from ._tables import merged
from ._users import OPEN_KEY, hashed

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from trueward.coverage import Level

    from ._contract import Source
    from ._redact import Redactor
    from ._tables import Tables


@dataclass(frozen=True)
class Gathered:
    """An import: the two tables, the log made of them, and the account of every row."""

    source: Source
    tables: Tables
    log: pl.DataFrame
    pairs: pl.DataFrame
    about: About
    ask: Ask
    notes: tuple[str, ...]
    redacted: dict[str, int] | None = None  # how many of each kind, where that was asked for
    summary: dict[str, Any] = field(default_factory=dict)


def gather(
    source: str,
    paths: Sequence[str | os.PathLike[str]],
    *,
    mapping: Sequence[tuple[str, str]] = (),
    scale: tuple[float, float] | None = None,
    positive: Sequence[str] = (),
    negative: Sequence[str] = (),
    key: bytes | None = None,
    redactor: Redactor | None = None,
) -> Gathered:
    """Read the exports of ``source`` ("auto" finds out which) into a log and its account.

    mapping: pairs of ours and theirs, (channel, name of a signal) or (prompt, path). scale: least and most
    of ratings whose scale the source does not say. positive, negative: what makes feedback 1 and 0.
    key: the secret that ids of people are hashed with. redactor: what finds personal and secret things in
    texts, which are then written without them; ids of people are hashed then, whatever the source.
    """
    found = files([Path(path) for path in paths])
    document = read_document(found)
    found = [path for path in found if path.name != "dataset.json"]
    if not found:
        raise TruewardError("dataset.json describes tables, and none was given: name them too")
    if source == "auto" and any(path.suffix == QUERY for path in found):
        source = "generic"
    read = sniff(found) if source == "auto" else named(source)
    ask = asked(read, mapping)
    with queried(read, found) as given:
        tables = merged(_staged(read, found, ask, given))
    if not tables.responses.height:
        raise _nothing(read, tables)
    tables = _hidden(read, tables, key, always=redactor is not None)
    tables = redacted(tables, redactor, key or OPEN_KEY) if redactor else tables
    known = about(
        read, _level(read, tables), document, scale=scale, positive=positive, negative=negative
    )
    log = derived(tables.responses, tables.events, known)
    coverage, notes = checked(known.coverage, log)
    if coverage != known.coverage:
        known = replace(known, coverage=coverage)
        log = derived(tables.responses, tables.events, known)
    notes = [*notes, *_notes(read, tables, known, log, key)]
    made = Gathered(
        read,
        tables,
        log,
        pairs(tables.events),
        known,
        ask,
        tuple(notes),
        None if redactor is None else dict(redactor.total),
    )
    return replace(made, summary=_summary(made))


def _staged(
    source: Source, found: Sequence[Path], ask: Ask, given: Mapping[Path, tuple[str, pl.LazyFrame]]
) -> Staged:
    """Read tables by column, and everything else record by record; those of queries are given."""
    tables = {
        path: source.columns(path)
        for path in found
        if source.columns and ending(path) == ".parquet"
    } | {**given}
    staged = stage(source, units(source, [path for path in found if not tables.get(path)]), ask)
    for part in filter(None, tables.values()):
        kind, rows = part
        (staged.responses if kind == "response" else staged.events).append(rows)
        staged.read[kind] += rows.select(pl.len()).collect().item()
    return staged


def asked(source: Source, mapping: Sequence[tuple[str, str]]) -> Ask:
    """Part a user's mapping into names of signals and paths to texts."""
    names = dict(source.names)
    paths: dict[str, tuple[str, ...]] = {}
    for ours, theirs in mapping:
        if ours in CHANNELS or ours == THUMBS:
            names[theirs] = ours
        elif ours in source.paths:
            paths[ours] = (*paths.get(ours, ()), theirs)
        else:
            known = ", ".join([*sorted(source.paths), THUMBS, *CHANNELS])
            raise UsageError(
                f"--map {ours}={theirs}: {source.name} has nothing called {ours!r} to map; choose one "
                f"of {known}"
            )
    return Ask(names, paths)


def _level(source: Source, tables: Tables) -> Level:
    """Take the widest level of the kinds of records that were read: a wide export holds the narrow one."""
    seen = {source.levels.get(shape) for shape in tables.read}
    return next((level for level in LEVELS if level in seen), "rated_only")


def _hidden(source: Source, tables: Tables, key: bytes | None, *, always: bool) -> Tables:
    """Hash the ids of people; network addresses, which an open hash does not hide, go without a key."""
    if key is None and not source.hashes and not always:
        return tables
    responses, events = tables.responses, tables.events
    if source.addresses and key is None:
        responses = responses.with_columns(user_id=None).cast(
            {"user_id": responses.schema["user_id"]}
        )
        events = events.with_columns(actor_id=None).cast({"actor_id": events.schema["actor_id"]})
    responses, events = (hashed(frame, key or OPEN_KEY) for frame in (responses, events))
    order = ["response_id", "at", "channel", "value", "source", "event_id", "actor_id"]
    rest = [name for name in events.columns if name not in order]
    return replace(tables, responses=responses, events=events.sort([*order, *rest]))


def _nothing(source: Source, tables: Tables) -> TruewardError:
    reasons = [*tables.rejected["reason"].head(1).to_list(), *list(tables.skipped)[:1]]
    why = f" (the first reason: {reasons[0]})" if reasons else ""
    wider = f"; {source.wider}" if source.wider else ""
    return TruewardError(
        f"an import needs responses, and none of the {sum(tables.read.values())} records of {source.title} "
        f"became one{why}: give the export that has the texts{wider}"
    )


def _notes(
    source: Source, tables: Tables, known: About, log: pl.DataFrame, key: bytes | None
) -> list[str]:
    """Say what a user must know before trusting the log."""
    notes = []
    people = tables.events.filter((pl.col("channel") == "rating") & (pl.col("source") != "judge"))
    if people.height and "rating" not in known.scales:
        notes.append("ratings have no known scale, so they are no labels: give it by --scale 1:5")
    slipped = conflicts(tables.responses, tables.events, known)
    if slipped:
        notes.append(
            f"{slipped} responses were called good and bad within 5 seconds: feedback is null there"
        )
    early = tables.events.join(
        tables.responses.select("response_id", "shown_at"), on="response_id"
    ).filter(pl.col("at") < pl.col("shown_at"))
    if early.height:
        notes.append(
            f"{early.height} events are from before their response was shown: check the clocks"
        )
    if known.coverage.level == "annotation":
        notes.append(
            "these are labels of annotators: give log.parquet to fit --gold beside the log of the product"
        )
    elif not log["feedback"].count():
        notes.append(
            "no response has feedback: a fit needs two channels or a label, as --positive copy or "
            "--positive preferred --negative 'preferred<=0' makes one"
        )
    if source.addresses and key is None:
        notes.append(
            "user ids are network addresses and were left out: --hash-users KEYFILE keeps them hashed"
        )
    return notes


def _summary(made: Gathered) -> dict[str, Any]:
    tables, log = made.tables, made.log
    reasons = (
        tables.rejected["reason"].value_counts().sort("count", "reason", descending=[True, False])
    )
    return {
        "schema": SCHEMA,
        "source": made.source.name,
        "coverage": made.about.coverage.level,
        "wider": made.about.coverage.wider,
        "read": tables.read,
        "kept": {"responses": tables.responses.height, "events": tables.events.height},
        "rated": log["feedback"].count(),
        "gold": log["gold"].count(),
        "pairs": made.pairs.height,
        "channels": tables.channels,
        "duplicates": tables.duplicates,
        "events_without_response": tables.join_misses,
        "skipped": tables.skipped,
        "rejected": {"rows": tables.rejected.height, "reasons": dict(reasons.head(20).iter_rows())},
        **({} if made.redacted is None else {"redacted": made.redacted}),
        "mapping": {
            "names": dict(made.ask.names),
            "paths": {k: list(v) for k, v in made.ask.paths.items()},
        },
        "notes": list(made.notes),
    }
