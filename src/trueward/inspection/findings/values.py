"""Feedback that is neither good, bad nor absent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.inspection.finding import Finding, rows_where

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.log import Log


def find(log: Log) -> Iterator[Finding]:
    """Refuse values other than 1, 0 and null; `read_log` does, a frame made by hand may not."""
    for column in ("feedback", *log.channels):
        values = log.frame[column]
        wrong = values.is_not_null() & ~values.is_in([0.0, 1.0]).fill_null(value=False)
        rows = rows_where(wrong)
        if rows:
            count = int(wrong.sum())
            yield Finding(
                "values",
                "error",
                f"{column} must be 1, 0 or null, and {count:,} of {len(log):,} rows hold something "
                f"else, the first of them {values[rows[0] - 1]}",
                {"column": column, "rows": count, "share": count / len(log)},
                rows,
            )
