"""Findings on the file: export scope, unused columns, values of feedback, repeated rows."""

from __future__ import annotations

import re
from shlex import quote
from typing import TYPE_CHECKING

import polars as pl

from trueward.data.export_scope import MEANING
from trueward.inspection.finding import (
    SHOWN,
    Finding,
    example_rows,
    percent,
    pluralised,
    shortened,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log

MANY_COPIES = 0.01  # share of the rows
IMPORTED = frozenset(  # columns of an imported log beside those of `read_log`
    "ask_level asked first_feedback_s gold gold_n judge model n_events p_ask parent_response_id position"  # noqa: SIM905
    " rating response_id seen session_id source_coverage time turn user_id".split()
)


def export_scope(log: Log) -> Iterator[Finding]:
    """Report which responses the export covers, and where the unrated ones are if it has none.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A note, a warning or an error; nothing where the export has no stated scope.

    """
    if log.export_scope is None:
        return
    scope = log.export_scope
    source = f" of {scope.source}" if scope.source else ""
    message = f"this export{source} is {scope.level}: {MEANING[scope.level]}"
    if scope.level != "full":
        message += f"; for the others: {scope.remedy}"
    yield Finding(
        "export",
        "note" if scope.level == "full" else "warning" if scope.shows_unrated else "error",
        message,
        {"coverage": scope.level, "source": scope.source},
    )


def unused_columns(log: Log) -> Iterator[Finding]:
    """Name the columns of the source that the log does not use; some may be context.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A note, where the source has unused columns.

    """
    ignored = log.ignored
    if log.export_scope is not None:  # an import keeps these for people to look up
        ignored = tuple(name for name in ignored if name not in IMPORTED)
    if ignored:
        advice = ""
        if log.context_candidates:
            name = log.context_candidates[0]
            short = re.sub(r"\W+", "_", name.rpartition(".")[2]).lower()
            option = quote(f"context.{short}={name}")
            advice = f": if {shortened(name)} affects who reacts, add --map {option}"
        yield Finding(
            "ignored",
            "note",
            f"{pluralised(len(ignored), 'column')} of the source went unused{advice}",
            {"columns": len(ignored), "candidates": list(log.context_candidates)},
            ignored[:SHOWN],
        )


def missing_texts(log: Log) -> Iterator[Finding]:
    """Count the rows that were left out because a text is missing.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A warning, where there are such rows.

    """
    if log.without_text:
        yield Finding(
            "without_text",
            "warning",
            f"{pluralised(log.without_text, 'row')} of the source without a prompt or a response (NaN) left "
            "out",
            {"rows": log.without_text},
        )


def value_meanings(log: Log) -> Iterator[Finding]:
    """Report how words and numbers of feedback were read.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A note, where feedback was anything but 1, 0 and null.

    """
    if not log.feedback_values:
        return
    parts = []
    for label, name in ((1.0, "1"), (0.0, "0"), (None, "none")):
        values = [(v, n) for v, (read, n) in log.feedback_values.items() if read == label]
        values.sort(key=lambda pair: -pair[1])
        listed = ", ".join(f"{value or 'empty'} ({n:,})" for value, n in values[:SHOWN])
        more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
        parts += [f"{name} from {listed}{more}"] if values else []
    yield Finding(
        "feedback_values",
        "note",
        f"feedback is read as {'; '.join(parts)}: change it by --positive, --negative or --unrated VALUE",
        {"values": {v: read for v, (read, _) in log.feedback_values.items()}},
    )


def invalid_values(log: Log) -> Iterator[Finding]:
    """Report feedback and channels other than 1, 0 and null; a frame built by hand may have them.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        An error for each column with such values.

    """
    for column in ("feedback", *log.channels):
        values = log.frame[column]
        wrong = values.is_not_null() & ~values.is_in([0.0, 1.0]).fill_null(value=False)
        rows = example_rows(wrong)
        if rows:
            count = int(wrong.sum())
            yield Finding(
                "values",
                "error",
                f"{column} must be 1, 0 or null, and {count:,} of {len(log):,} rows have another value; "
                f"the first is {values[rows[0] - 1]}",
                {"column": column, "rows": count, "share": count / len(log)},
                rows,
            )


def repeated_rows(log: Log) -> Iterator[Finding]:
    """Count the rows that repeat an earlier row in every column.

    Parameters
    ----------
    log : Log
        The log to inspect.

    Yields
    ------
    Finding
        A note or a warning, where rows are repeated.

    """
    copy = log.frame.select(~pl.struct(pl.all()).is_first_distinct()).to_series()
    copies = int(copy.sum())
    if not copies:
        return
    share = copies / len(log)
    message = f"{copies:,} of {len(log):,} rows repeat an earlier row exactly ({percent(share)})"
    if not {"user_id", "time"} & log.columns:
        message += "; without user_id or time they may be other users or the same event twice"
    yield Finding(
        "duplicates",
        "warning" if share >= MANY_COPIES else "note",
        message,
        {"rows": copies, "share": share},
        example_rows(copy),
    )


FINDINGS = (
    export_scope,
    unused_columns,
    missing_texts,
    value_meanings,
    invalid_values,
    repeated_rows,
)
