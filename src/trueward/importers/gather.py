"""From files of an export to the tables of a log and all that is to be said of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from polars.exceptions import PolarsError

from trueward.core.errors import TruewardError, UsageError
from trueward.data.export_scope import LEVELS

from .about import SCHEMA, About, about, read_document
from .bundles import units
from .channels import CHANNELS, THUMBS
from .columns import damaged
from .contract import Ask
from .levels import checked
from .log import Told, derived, pairs, told
from .queries import queried
from .ranges import silent
from .records import QUERY, ending, files
from .scratch import Scratch
from .sources import named, sniff
from .staging import Staged, stage
from .tables import merged
from .users import OPEN_KEY, hashed

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from trueward.data.export_scope import Level

    from .contract import Source
    from .ranges import Progress
    from .redact import Redactor
    from .tables import Tables


@dataclass(frozen=True)
class Gathered:
    """An import: the two tables, the log made of them, and the account of every row."""

    source: Source
    tables: Tables
    told: Told
    pairs: pl.DataFrame
    about: About
    ask: Ask
    notes: tuple[str, ...]
    redacted: dict[str, int] | None = None  # how many of each kind, where that was asked for
    summary: dict[str, Any] = field(default_factory=dict)

    def parts(self) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        """Yield responses and their log, in their order, as much at a time as memory holds."""
        for responses, said in _spoken(self.tables, self.told):
            yield responses, derived(responses, said, self.told.used, self.about)

    @cached_property
    def log(self) -> pl.DataFrame:
        """The whole log at once."""
        return pl.concat([log for _, log in self.parts()])


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
    folder: Path | None = None,
    progress: Progress = silent,
) -> Gathered:
    """Read the exports of ``source`` ("auto" finds out which) into a log and its account.

    mapping: pairs of ours and theirs, (channel, name of a signal) or (prompt, path). scale: least and most
    of ratings whose scale the source does not say. positive, negative: what makes feedback 1 and 0.
    key: the secret that ids of people are hashed with. redactor: what finds personal and secret things in
    texts, which are then written without them; ids of people are hashed then, whatever the source. folder:
    where rows are kept meanwhile that memory does not hold; None: the system's temporary folder. progress:
    is told what is done, how many rows, of how many (0: not known).
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
        staged = _staged(read, found, ask, given, Scratch(folder), progress)
        try:
            tables = merged(staged, _hiding(read, key, redactor), progress)
        except PolarsError as e:
            raise _unreadable(found) or e from e
        del staged  # and the files of its rows
    if redactor is not None:
        tables = _reasons(tables, redactor)
    if not tables.ranges.height:
        raise _nothing(read, tables)
    known = about(
        read, _level(read, tables), document, scale=scale, positive=positive, negative=negative
    )
    said = told(tables.known, tables.events, known)
    coverage, notes = checked(known.export_scope, _dated(tables, said))
    known = replace(known, export_scope=coverage)
    notes = [*notes, *_notes(read, tables, known, said, key)]
    removed = None if redactor is None else dict(redactor.total)
    made = Gathered(read, tables, said, pairs(tables.events), known, ask, tuple(notes), removed)
    return replace(made, summary=_summary(made))


def _spoken(
    tables: Tables, told: Told, columns: Sequence[str] | None = None
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield the responses of each range, and what is told of them."""
    said = dict(tables.ranges.split(told.rows))
    for k in range(len(tables.ranges)):
        yield tables.ranges.range(k, columns), said.get(k, told.rows.clear())


def _dated(tables: Tables, told: Told) -> pl.DataFrame:
    """Give the chat, the time and the feedback of every response."""
    columns = ["response_id", "session_id", "shown_at"]
    parts = [
        rows.join(
            said.select("response_id", "feedback"),
            on="response_id",
            how="left",
            maintain_order="left",
        ).select("session_id", pl.col("shown_at").alias("time"), "feedback")
        for rows, said in _spoken(tables, told, columns)
    ]
    return pl.concat(parts)


def _staged(
    source: Source,
    found: Sequence[Path],
    ask: Ask,
    given: Mapping[Path, tuple[str, pl.LazyFrame]],
    scratch: Scratch,
    progress: Progress,
) -> Staged:
    """Read tables by column, and everything else record by record; those of queries are given."""
    tables = {
        path: source.columns(path)
        for path in found
        if source.columns and ending(path) == ".parquet"
    } | {**given}
    rest = [path for path in found if not tables.get(path)]
    staged = stage(source, units(source, rest), ask, scratch, progress)
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


def _hiding(
    source: Source, key: bytes | None, redactor: Redactor | None
) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Hash the ids of people; network addresses, which an open hash does not hide, go without a key."""
    left_out = {"user_id", "actor_id"} if source.addresses and key is None else set()

    def hide(frame: pl.DataFrame) -> pl.DataFrame:
        if key is None and not source.hashes and redactor is None:
            return frame
        gone = [pl.lit(None, pl.String).alias(name) for name in sorted(left_out & {*frame.columns})]
        frame = hashed(frame.with_columns(gone), key or OPEN_KEY)
        return frame if redactor is None else redactor.rows(frame, key or OPEN_KEY)

    return hide


def _reasons(tables: Tables, redactor: Redactor) -> Tables:
    """Redact what is said of rows that are left out."""
    said = {*tables.rejected["reason"], *tables.skipped}
    read = {reason: redactor.reason(reason) for reason in sorted(said)}
    reason = pl.col("reason").replace(list(read), list(read.values()))
    skipped = {read[reason]: count for reason, count in tables.skipped.items()}
    return replace(tables, rejected=tables.rejected.with_columns(reason), skipped=skipped)


def _unreadable(found: Sequence[Path]) -> TruewardError | None:
    """Say which table cannot be read, if that is why an import ended."""
    bad = damaged(path for path in found if ending(path) == ".parquet")
    if bad is None:
        return None
    return TruewardError(
        f"{bad[0]} should be a whole Parquet file, but it cannot be read ({bad[1]}): write or copy it again"
    )


def _nothing(source: Source, tables: Tables) -> TruewardError:
    reasons = [*tables.rejected["reason"].head(1).to_list(), *list(tables.skipped)[:1]]
    why = f" (the first reason: {reasons[0]})" if reasons else ""
    wider = f"; {source.wider}" if source.wider else ""
    return TruewardError(
        f"an import needs responses, and none of the {sum(tables.read.values())} records of {source.title} "
        f"became one{why}: give the export that has the texts{wider}"
    )


def _notes(
    source: Source, tables: Tables, known: About, told: Told, key: bytes | None
) -> list[str]:
    """Say what a user must know before trusting the log."""
    notes = []
    people = tables.events.filter((pl.col("channel") == "rating") & (pl.col("source") != "judge"))
    if people.height and "rating" not in known.scales:
        notes.append("ratings have no known scale, so they are no labels: give it by --scale 1:5")
    if told.slips:
        notes.append(
            f"{told.slips} responses were called good and bad within 5 seconds: feedback is null there"
        )
    early = tables.events.join(tables.known, on="response_id")
    early = early.filter(pl.col("at") < pl.col("shown_at"))
    if early.height:
        notes.append(
            f"{early.height} events are from before their response was shown: check the clocks"
        )
    if known.export_scope.level == "annotation":
        notes.append(
            "these are labels of annotators: give log.parquet to fit --gold beside the log of the product"
        )
    elif not told.rows["feedback"].count():
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
    tables, said = made.tables, made.told.rows
    reasons = (
        tables.rejected["reason"].value_counts().sort("count", "reason", descending=[True, False])
    )
    return {
        "schema": SCHEMA,
        "source": made.source.name,
        "coverage": made.about.export_scope.level,
        "wider": made.about.export_scope.wider,
        "read": tables.read,
        "kept": {"responses": tables.ranges.height, "events": tables.events.height},
        "rated": said["feedback"].count(),
        "gold": said["gold"].count(),
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
