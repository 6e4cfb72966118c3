"""An import whose names never occur, or that ends without feedback although scores are there, is refused."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

import polars as pl

from trueward.core.errors import TruewardError, UsageError
from trueward.core.suggest import nearest
from trueward.data.feedback_words import FeedbackWords, spelled
from trueward.data.readers.delimited import find_dialect

from .channels import CHANNELS, THUMBS
from .dataset_info import is_condition
from .records import file_format

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from trueward.data.readers.delimited import Reading

    from .contract import Source, UserMapping
    from .dataset_info import DatasetInfo
    from .derive import EventSummary
    from .merge import Tables

SHOWN = 8  # names in an error


def labels_and_words(
    positive: Iterable[str], negative: Iterable[str], unrated: Iterable[str]
) -> tuple[tuple[str, ...], tuple[str, ...], FeedbackWords]:
    """Separate conditions on channels from values of thumbs.

    Parameters
    ----------
    positive, negative, unrated : iterable of str
        What --positive, --negative and --unrated gave: ``rating>=4``, ``copy`` or ``meh``.

    Returns
    -------
    tuple of (tuple of str, tuple of str, FeedbackWords)
        Conditions of 1 and of 0, and the values.

    """
    positive, negative, unrated = (
        [given] if isinstance(given, str) else list(given)
        for given in (positive, negative, unrated)
    )
    good, bad = ([text for text in given if is_condition(text)] for given in (positive, negative))
    words = FeedbackWords.of(
        [text for text in positive if text not in good],
        [text for text in negative if text not in bad],
        tuple(unrated),
    )
    return tuple(good), tuple(bad), words


def found_notes(mapping: UserMapping, files: Sequence[Path], reading: Reading) -> list[str]:
    """Return what was found out about the files: separator and encoding, dates, values of feedback.

    Parameters
    ----------
    mapping : UserMapping
        With what the source found.
    files : sequence of Path
        The files of the import.
    reading : Reading
        What the user said.

    Returns
    -------
    list of str
        One sentence each; nothing about comma-separated UTF-8.

    """
    notes = []
    for path in files:
        if file_format(path) in {".csv", ".tsv"}:
            dialect = find_dialect(path, reading)
            if (dialect.separator, dialect.encoding.removesuffix("-sig")) != (",", "utf-8"):
                notes.append(f"{path.name}: {dialect}")
    return [*notes, *(f"{what}: {found}" for what, found in mapping.found.items())]


def require_feedback(
    source: Source,
    tables: Tables,
    events: EventSummary,
    mapping: UserMapping,
    pairs: Sequence[tuple[str, str]],
    info: DatasetInfo,
) -> None:
    """Raise if what the user named never occurs, or if scores of the export became no feedback at all.

    Parameters
    ----------
    source : Source
        The product.
    tables : Tables
        Responses, events and the account.
    events : EventSummary
        Labels and signals of the responses.
    mapping : UserMapping
        Names and values, with those that the export has.
    pairs : sequence of (str, str)
        What --map gave.
    info : DatasetInfo
        Scales.

    Raises
    ------
    UsageError
        If a value of thumbs never occurs.
    TruewardError
        If a mapped name never occurs, or if there is no feedback.

    """
    known = mapping.names_seen
    for ours, theirs in pairs:
        if (ours in CHANNELS or ours == THUMBS) and theirs not in known:
            found = _listed(known) or "none"
            unmapped = [name for name in _by_count(known) if _is_skipped(name, tables)]
            best = nearest(theirs, known) or next(iter([*unmapped, *_by_count(known)]), "NAME")
            raise TruewardError(
                f"--map {ours}={theirs}: no signal of the export has that name; its names are {found}: "
                f"write --map {quote(f'{ours}={best}')}"
            )
    for word in (*mapping.words.positive, *mapping.words.negative, *mapping.words.unrated):
        if (
            not any(mark in word for mark in (">=", "<="))
            and spelled(word) not in mapping.words_seen
        ):
            raise UsageError(
                f"a label comes from a channel, such as thumbs_up or rating>=4, or from a value of thumbs; "
                f"{word!r} is no channel, and the export has {_listed(mapping.words_seen) or 'no thumbs'}; "
                f"channels are {', '.join(CHANNELS)}"
            )
    rows = events.rows
    if rows["feedback"].count() or rows["gold"].count() or events.columns:
        return
    if tables.events.filter(pl.col("channel") == "preferred").height:
        return
    _refuse_without_feedback(source, tables, mapping, scaled="rating" in info.scales)


def _refuse_without_feedback(
    source: Source, tables: Tables, mapping: UserMapping, *, scaled: bool
) -> None:
    unmapped = {
        name: count
        for name, count in mapping.names_seen.items()
        if name not in mapping.signals and _is_skipped(name, tables)
    }
    if unmapped:
        first = _by_count(unmapped)[0]
        thumbs, rating = quote(f"thumbs={first}"), quote(f"rating={first}")
        raise TruewardError(
            f"no response of this {source.name} export has feedback, although it has signals that are not "
            f"mapped: {_listed(unmapped)}. Name the one that users gave by --map {thumbs}, or, if it is a "
            f"rating, by --map {rating} --scale 1:5"
        )
    is_rating = (pl.col("channel") == "rating") & (pl.col("source") != "judge")
    ratings = tables.events.filter(is_rating)["value"].to_list()
    if len(ratings) and not scaled:
        raise TruewardError(
            f"no response of this {source.name} export has feedback: its {len(ratings):,} ratings run from "
            f"{min(ratings):g} to {max(ratings):g}, and their scale is not known: give it by --scale 1:5, "
            "with the limits of your scale"
        )
    unknown = {w: n for w, n in mapping.words_seen.items() if mapping.words.meaning(w) is None}
    if unknown:
        word = quote(_by_count(unknown)[0])
        raise TruewardError(
            f"no response of this {source.name} export has feedback: its thumbs have values without a known "
            f"meaning: {_listed(unknown)}. Give their meaning by --positive {word}, --negative {word} or "
            f"--unrated {word}"
        )


def _is_skipped(name: str, tables: Tables) -> bool:
    return any(repr(name) in reason and "not mapped" in reason for reason in tables.skipped)


def _by_count(counts: dict[str, int]) -> list[str]:
    return sorted(counts, key=lambda name: (-counts[name], name))


def _listed(counts: dict[str, int]) -> str:
    first = ", ".join(f"{name!r} ({counts[name]:,})" for name in _by_count(counts)[:SHOWN])
    return f"{first} and {len(counts) - SHOWN} more" if len(counts) > SHOWN else first


def require_none_rejected(rejected: pl.DataFrame) -> None:
    """Raise about the first rejected row, if there is one."""
    if not rejected.height:
        return
    first = rejected.row(0, named=True)
    raise TruewardError(
        f"a strict import takes no rejected row, and there are {rejected.height}, the first in line "
        f"{first['line']} of {first['file']} ({first['reason']}): correct it, or import without --strict"
    )
