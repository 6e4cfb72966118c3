"""The steps of an import: detect the source, read and stage, merge, derive the log, write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from polars.exceptions import PolarsError

from trueward.core.arguments import PATH, PATHS, SEVERAL, TEXT, Kind, require_kinds
from trueward.core.errors import TruewardError, UsageError
from trueward.core.remote_files import local_paths
from trueward.data.readers.delimited import Reading
from trueward.data.readers.unpacked_size import require_memory_by_groups

from .ask_key import check_ask_key
from .checks import check_logged, check_paths, check_scope, unknown_calls, user_notes, widest_level
from .columns import find_damaged
from .dataset_info import dataset_info, read_document
from .derive import summarise_events
from .detect import OWN_TABLE, detect_source, list_files, other_product, source_named
from .empty_results import found_notes, labels_and_words, require_feedback, require_none_rejected
from .imported import ImportedLog, check_output
from .merge import merge_rows
from .privacy import PUBLIC_KEY, Redactor, hash_people, read_key
from .queries import query_tables
from .records import QUERY, file_format
from .scratch import Scratch
from .sorted_ranges import no_progress
from .staging import stage
from .traces import check_shown
from .user_mapping import mapping_pairs, user_mapping

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from .contract import Source, UserMapping
    from .merge import Tables
    from .sorted_ranges import Progress
    from .staging import StagedRows

WORDS = Kind("a word or a list of words", lambda v: TEXT.admits(v) or SEVERAL.admits(v))
ARGUMENTS = {"source": TEXT, "paths": PATHS, "out": PATH.or_none, "ask_key": TEXT.or_none}
ARGUMENTS |= dict.fromkeys(("shown", "logged", "phone_regions"), SEVERAL)
ARGUMENTS |= dict.fromkeys(("positive", "negative", "unrated"), WORDS)


def import_log(
    source: str,
    paths: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    mapping: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    shown: Sequence[str] = (),
    logged: Sequence[str] = (),
    scale: tuple[float, float] | None = None,
    positive: Sequence[str] = (),
    negative: Sequence[str] = (),
    unrated: Sequence[str] = (),
    hash_users: bytes | str | os.PathLike[str] | None = None,
    redact: bool = False,
    phone_regions: Sequence[str] = ("US",),
    strict: bool = False,
    ask_key: str | None = None,
    reading: Reading | None = None,
    scratch: Path | None = None,
    progress: Progress = no_progress,
) -> ImportedLog:
    """Import the export of a product as a log, as ``trueward import`` does.

    Parameters
    ----------
    source : str
        Name of a product, such as ``langfuse``, or ``auto`` to detect it; see `sources`.
    paths : path or sequence of paths
        Files or folders of one export, or SQL queries (``.sql``) for the generic tables.
    out : path, optional
        Folder to write; an earlier import there is replaced. None writes nothing.
    mapping : mapping of str to str, or sequence of (str, str)
        Pairs of our name and the name in the export: (channel, signal) or (``prompt``, path).
    shown : sequence of str
        Names of the model calls or spans whose answers users saw; by default, a call of several in one trace
        was shown if the trace itself put its text out.
    logged : sequence of str
        Implicit channels that the product logs for every response, so that absence is 0.
    scale : (float, float), optional
        Lowest and highest rating, if the export does not say.
    positive, negative, unrated : sequence of str
        What makes feedback 1, 0 and null: channels with a limit or none, such as ``thumbs_up`` or
        ``rating>=4``, or values of thumbs that the vocabulary does not know, such as ``meh``.
    hash_users : bytes or path, optional
        Secret key, or the file with it, that ids of people are hashed with.
    redact : bool
        Whether to remove e-mail addresses, phone numbers and secrets from texts. Ids of people are then
        hashed for every source.
    phone_regions : sequence of str
        Countries whose phone numbers are found as they are dialled there.
    strict : bool
        Whether to raise, and write nothing, if any row is rejected.
    ask_key : str, optional
        Key of the lottery of asks: draw it again, and raise if it does not give the asks of the export.
    reading : Reading, optional
        Separator, encoding, table and dates of the files, where they are not found out.
    scratch : Path, optional
        Folder for temporary files; by default beside ``out``, else the system's.
    progress : callable
        Called as ``progress(step, rows, total)``; a total of 0 is unknown.

    Returns
    -------
    ImportedLog
        Tables, log and account; ``.log`` is the data frame.

    Raises
    ------
    UsageError
        If the request is wrong: an unknown source or channel, or ``out`` holds other files.
    TruewardError
        If the export cannot be read or has no responses.

    Examples
    --------
    >>> import json, tempfile
    >>> path = Path(tempfile.mkdtemp(), "responses.jsonl")
    >>> row = {"response_id": "a", "prompt": "How?", "response": "So."}
    >>> _ = path.write_text(json.dumps(row))
    >>> import_log("auto", path).log.select("prompt", "response", "feedback").rows()
    [('How?', 'So.', None)]

    """
    given = locals()
    require_kinds("import_log", **{name: (given[name], kind) for name, kind in ARGUMENTS.items()})
    mapping = mapping_pairs(mapping)
    folder = None if out is None else Path(out)
    if folder is not None:
        check_output(folder)
        scratch = scratch or folder.parent
    if hash_users is not None and not isinstance(hash_users, bytes):
        hash_users = read_key(Path(hash_users))
    redactor = Redactor(tuple(phone_regions)) if redact else None
    files, document, product = _inputs(source, local_paths(paths))
    positive, negative, words = labels_and_words(positive, negative, unrated)
    reading = replace(reading or Reading(), guess=product.name == OWN_TABLE)
    product = replace(product, reading=reading)
    names = user_mapping(product, mapping, words, reading.dates, tuple(shown))
    if product.with_names is not None and mapping:
        product = product.with_names(product, names)
    protect = _protection(product, hash_users, redactor)
    tables = _read_tables(product, files, names, protect, Scratch(scratch), progress)
    tables = _redact_reasons(tables, redactor)
    _require_responses(product, names, tables, logged)
    product = replace(product, always_logged=product.always_logged.union(logged))
    level = widest_level(product, tables)
    info = dataset_info(product, level, document, scale=scale, positive=positive, negative=negative)
    events = summarise_events(tables.shown_at, tables.events, info)
    scope, lowered = check_scope(info.export_scope, tables, events)
    info = replace(info, export_scope=scope)
    told = user_notes(product, tables, info, events, hash_users)
    notes = (*found_notes(names, files, reading), *lowered, *told)
    require_feedback(product, tables, events, names, mapping, info)
    redacted = None if redactor is None else dict(redactor.total)
    pairs = tables.comparisons
    result = ImportedLog(product, tables, events, pairs, info, names, notes, redacted)
    _check_result(result, ask_key, strict=strict)
    if folder is not None:
        result.write(folder, progress)
    return result


def _check_result(result: ImportedLog, ask_key: str | None, *, strict: bool) -> None:
    if strict:
        require_none_rejected(result.tables.rejected)
    if ask_key is not None:
        check_ask_key(result, ask_key)


def _inputs(source: str, paths: list[Path]) -> tuple[list[Path], dict[str, Any], Source]:
    """Return the files with rows, the content of ``dataset.json``, and the source."""
    files = list_files(paths, own_table=source == OWN_TABLE)
    document = read_document(files)
    files = [path for path in files if path.name != "dataset.json"]
    if not files:
        raise TruewardError(
            "dataset.json describes tables, and no tables were given: name their files too"
        )
    if source == "auto" and any(path.suffix == QUERY for path in files):
        source = "generic"
    for path in files:
        if file_format(path) == ".parquet":
            require_memory_by_groups(path)
    product = detect_source(files) if source == "auto" else source_named(source)
    if source == OWN_TABLE and (other := other_product(files)) is not None:
        raise UsageError(
            f"{files[0]} is an export of {other.name}, whose answers and signals stand in several records: "
            f"trueward import {other.name}"
        )
    return files, document, product


def _protection(
    source: Source, key: bytes | None, redactor: Redactor | None
) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Return what hashes ids of people and redacts texts of rows before they are stored.

    Network addresses are left out unless a secret key hashes them: there are few enough to guess them all.
    """
    left_out = {"user_id", "actor_id"} if source.ids_are_addresses and key is None else set()

    def protect(rows: pl.DataFrame) -> pl.DataFrame:
        if key is None and not source.hash_ids and redactor is None:
            return rows
        names = sorted(left_out & {*rows.columns})
        nulls = [pl.lit(None, pl.String).alias(name) for name in names]
        rows = hash_people(rows.with_columns(nulls), key or PUBLIC_KEY)
        return rows if redactor is None else redactor.redact_rows(rows, key or PUBLIC_KEY)

    return protect


def _read_tables(
    source: Source,
    files: Sequence[Path],
    mapping: UserMapping,
    protect: Callable[[pl.DataFrame], pl.DataFrame],
    scratch: Scratch,
    progress: Progress,
) -> Tables:
    with query_tables(source, files) as queries:
        staged = _stage_files(source, files, mapping, queries, scratch, progress)
        try:
            check_shown(staged.responses, mapping.shown)
            return merge_rows(staged, protect, progress, mapping)
        except PolarsError as e:
            raise _damaged_table(files) or e from e


def _stage_files(
    source: Source,
    files: Sequence[Path],
    mapping: UserMapping,
    queries: Mapping[Path, tuple[str, pl.LazyFrame]],
    scratch: Scratch,
    progress: Progress,
) -> StagedRows:
    """Read typed tables by column, and all other files record by record."""
    tables = {
        path: source.read_columns(path)
        for path in files
        if source.read_columns and file_format(path) == ".parquet"
    } | {**queries}
    others = [path for path in files if not tables.get(path)]
    staged = stage(source, others, mapping, scratch, progress)
    for table in filter(None, tables.values()):
        kind, rows = table
        (staged.responses if kind == "response" else staged.events).append(rows)
        staged.read[kind] += rows.select(pl.len()).collect().item()
    return staged


def _damaged_table(files: Sequence[Path]) -> TruewardError | None:
    """Return the error about a damaged Parquet file, if there is one."""
    damaged = find_damaged(path for path in files if file_format(path) == ".parquet")
    if damaged is None:
        return None
    return TruewardError(
        f"{damaged[0]} should be a whole Parquet file, but it cannot be read ({damaged[1]}): write or copy "
        "it again"
    )


def _redact_reasons(tables: Tables, redactor: Redactor | None) -> Tables:
    """Redact the reasons of rejected and skipped rows."""
    if redactor is None:
        return tables
    reasons = sorted({*tables.rejected["reason"], *tables.skipped})
    redacted = {reason: redactor.redact_reason(reason) for reason in reasons}
    column = pl.col("reason").replace(list(redacted), list(redacted.values()))
    skipped = {redacted[reason]: count for reason, count in tables.skipped.items()}
    return replace(tables, rejected=tables.rejected.with_columns(column), skipped=skipped)


def _require_responses(
    source: Source, mapping: UserMapping, tables: Tables, logged: Sequence[str]
) -> None:
    """Raise if there are none, or if what the user named is not there."""
    check_paths(source, mapping)
    if tables.ranges.height:
        check_logged(logged, tables)
        return
    first = [*tables.rejected["reason"].head(1).to_list(), *list(tables.skipped)[:1]]
    reasons = unknown_calls(tables) or first
    reason = f" (the first reason: {reasons[0]})" if reasons else ""
    wider = f"; {source.wider}" if source.wider else ""
    raise TruewardError(
        f"an import needs responses, and none of the {sum(tables.read.values())} records of {source.title} "
        f"became one{reason}: give the export that has the texts{wider}"
    )
