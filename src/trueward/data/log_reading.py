"""Read a log; take what a caller gives as a log or a test set."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from trueward.core.arguments import MAPPING, TEXT, require_kinds
from trueward.core.errors import UsageError

from .feedback_column import read_feedback
from .feedback_words import FeedbackWords
from .gold import require_gold_weight
from .log import Log
from .log_columns import (
    FAMILIES,
    OPTIONAL,
    REQUIRED,
    context_candidates,
    ignored_columns,
    log_order,
    may_be_context,
    no_feedback_error,
    require_feedback,
    require_texts,
)
from .log_pairs import attach, log_of
from .lottery_columns import lottery_names
from .pair_layouts import read_comparisons
from .readers import match_columns, read_table, typed_frame, wanted_columns, without_gaps
from .truth import Test, read_test

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping


def read_log(
    source: str | os.PathLike[str] | object | None,
    *,
    pairs: str | os.PathLike[str] | object | None = None,
    mapping: Mapping[str, str] | None = None,
    split: str | None = None,
    positive: object = (),
    negative: object = (),
    unrated: object = (),
    **columns: str,
) -> Log:
    """Read a log from a file, a folder, a query or a table in memory.

    Parameters
    ----------
    source : str, Path or table
        JSON lines, JSON, CSV (each plain or ``.gz``), Parquet or Arrow; a ``.sql`` file with a query; a
        folder of shards; a table of polars, pandas, pyarrow or `datasets`; a list of dictionaries; or a
        dictionary of columns. None: the log is made of the responses that ``pairs`` compare, without ratings.
    pairs : str, Path or table, optional
        Comparisons of responses of the log: prompt, chosen and rejected (texts, messages, or transcripts of
        Human and Assistant), battles of two models with their conversations, or the ``pairs.parquet`` of an
        import. Those that cannot be used are counted in ``log.pairs.left_out``.
    mapping : mapping of str to str or None
        Canonical name -> column of the source; needed for names with a dot, such as ``context.length``.
    split : str or None
        Which split of a folder or of a ``DatasetDict`` to read.
    positive, negative, unrated : value or sequence of values
        Values of feedback that mean good, bad, and none: words, numbers, or conditions such as ``">=4"``.
        Words such as ``like``, ``thumbs down`` or ``yes``, -1/0/1, and stars of 1 to 5 or 1 to 10 are known
        without them.
    **columns : str
        The same as ``mapping``, such as ``prompt="question"``.

    Returns
    -------
    Log
        A column without any value counts as absent. Without ``prompt_id`` it is computed from the prompt.

    Raises
    ------
    TruewardError
        If the source cannot be read, lacks a column, or has a wrong value; with row and column.
    UsageError
        If the mapping or the split is wrong.

    Examples
    --------
    >>> frame = pl.DataFrame({"q": ["a", "b"], "response": ["c", "d"], "thumb": ["up", None]})
    >>> read_log(frame, prompt="q", feedback="thumb").feedback_rate
    0.5
    >>> read_log(frame, prompt="q", feedback="thumb").frame["feedback"].to_list()
    [1.0, None]

    """
    require_kinds("read_log", mapping=(mapping, MAPPING.or_none), split=(split, TEXT.or_none))
    words = FeedbackWords.of(positive, negative, unrated)
    if source is None:
        return _log_of_pairs(pairs, mapping, columns, words, split)
    wanted = wanted_columns((*REQUIRED, *OPTIONAL), FAMILIES, mapping, **columns)
    table = read_table(source, replace(wanted, also=may_be_context), split)
    names = match_columns(wanted, table.names, table.source)
    by_id = pairs is not None
    names = lottery_names(names, wanted.mapping, table.source, compared=by_id)
    if pairs is None or "feedback" in names:
        require_feedback(table, names)
    else:
        require_texts(table, names)
    table, without_text = without_gaps(table, [names["prompt"], names["response"]])
    meanings: dict[str, tuple[float | None, int]] = {}
    if (column := names.get("feedback")) in table.columns:
        ask = column not in REQUIRED and "." not in column
        values, meanings = read_feedback(table.columns[column], column, table.place, words, ask=ask)
        table = replace(table, columns={**table.columns, column: values})
    elif words.given:
        raise UsageError(f"{table.source} has no column of feedback whose values could be given")
    frame = typed_frame(table, names)
    channels = [name for name in frame.columns if name.startswith("channel.")]
    if "feedback" not in frame.columns:
        if len(channels) < 2 and pairs is None:
            raise no_feedback_error(table, names, channels)
        frame = frame.with_columns(pl.lit(None, pl.Float64).alias("feedback"))
    frame = frame.select(log_order(frame.columns))
    require_gold_weight(frame, table.source)
    ignored = ignored_columns(table, names, frame)
    scope = table.export_scope
    return Log(
        frame,
        table.source,
        ignored,
        export_scope=scope,
        feedback_values=meanings,
        context_candidates=context_candidates(table, names),
        without_text=without_text,
        pairs=None if pairs is None else attach(frame, read_comparisons(pairs)),
    )


def _log_of_pairs(
    pairs: object,
    mapping: Mapping[str, str] | None,
    columns: Mapping[str, str],
    words: FeedbackWords,
    split: str | None,
) -> Log:
    """Return the log that consists of the responses which pairs compare."""
    if pairs is None:
        raise UsageError(
            "read_log needs a log, or pairs whose responses are the log: give one of them"
        )
    if words.given:
        raise UsageError(
            "positive, negative and unrated are values of feedback, and pairs have none"
        )
    found = read_comparisons(pairs, mapping={**(mapping or {}), **columns}, split=split)
    frame = log_of(found)
    return Log(frame, found.source, pairs=attach(frame, found))


def as_log(source: object, function: str) -> Log:
    """Return a log, or read what `read_log` reads.

    Parameters
    ----------
    source : Log, path or table
        The log.
    function : str
        Name of the function that needs it; begins the error.

    Returns
    -------
    Log

    Raises
    ------
    UsageError
        If the source is neither.
    TruewardError
        If it cannot be read.

    """
    if isinstance(source, Log):
        return source
    if isinstance(source, Test):
        raise UsageError(
            f"{function} takes a log of feedback, and was given a test with true labels"
        )
    if type(source).__module__ == "trueward.data.feedback":  # which would load torch
        raise UsageError(
            f"{function} takes a log with its texts, and was given {type(source).__name__}, which has "
            "features only: pass what read_log returns"
        )
    if source is None or isinstance(source, int | float):
        raise UsageError(
            f"{function} takes a log, or a table or file to read one from, not {source!r}"
        )
    return read_log(source)


def as_test(source: object, function: str) -> Test:
    """Return a test, or read what `read_test` reads.

    Parameters
    ----------
    source : Test, path or table
        The test.
    function : str
        Name of the function that needs it; begins the error.

    Returns
    -------
    Test

    Raises
    ------
    UsageError
        If the source is neither.
    TruewardError
        If it cannot be read.

    """
    if isinstance(source, Test):
        return source
    if isinstance(source, Log) or type(source).__module__ == "trueward.data.feedback":
        raise UsageError(
            f"{function} takes a test with true labels and texts, and was given {type(source).__name__}"
        )
    if source is None or isinstance(source, int | float):
        raise UsageError(
            f"{function} takes a test, or a table or file to read one from, not {source!r}"
        )
    return read_test(source)
