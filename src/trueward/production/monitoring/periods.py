"""Days, weeks and months of a log, numbered as looks."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from trueward.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueward.data.log import Log

By = Literal["day", "week", "month"]
MOST = 1000  # periods, from the first look to the last


def with_time(log: Log, by: By | None) -> tuple[Log, tuple[str, ...]]:
    """Return the rows with a time, where periods need it.

    Parameters
    ----------
    log : Log
        The log.
    by : {"day", "week", "month"} or None
        Periods; None needs no time.

    Returns
    -------
    log : Log
        Without the rows that have no time.
    warnings : tuple of str
        How many these are.

    Raises
    ------
    UsageError
        If no row has a time.

    """
    if by is None:
        return log, ()
    if "time" not in log.columns:
        raise UsageError(
            f"periods need the time of every response, and {log.source} has no `time`: write "
            "--map time=NAME, or leave --by out"
        )
    untimed = log.frame["time"].null_count()
    if not untimed:
        return log, ()
    note = f"{untimed:,} of {len(log):,} responses have no time and are left out"
    return replace(log, frame=log.frame.drop_nulls("time")), (note,)


def looks_of(log: Log, by: By | None, since: dt.date | None) -> tuple[list[str], NDArray[np.int64]]:
    """Number the periods of a log as looks.

    Parameters
    ----------
    log : Log
        The log; every row has a time, where there are periods.
    by : {"day", "week", "month"} or None
        Periods; None makes one of the whole log.
    since : date or None
        A day of the first look; None is that of the first row.

    Returns
    -------
    names : list of str
        First day of every period from the first look to the last, also of those without rows.
    number : (n,) array of int
        Number of the look of every row, from 1.

    Raises
    ------
    UsageError
        If a row is from before the first look, or the looks are too many.

    """
    if by is None:
        return ["all"], np.ones(len(log), dtype=np.int64)
    days: list[dt.date] = log.frame["time"].dt.date().to_list()
    earliest = min(days)
    first = _number(since or earliest, by)
    number = np.array([_number(day, by) for day in days], dtype=np.int64) - first + 1
    if number.min() < 1:
        raise UsageError(
            f"{log.source} has responses of {earliest}, before the monitoring began on {since}: give an "
            "earlier day, or a log that begins later"
        )
    count = int(number.max())
    if count > MOST:
        raise UsageError(
            f"the times reach over {count:,} periods, and at most {MOST:,} are compared: choose longer "
            "periods, or check the times"
        )
    return [str(_start(first + k, by)) for k in range(count)], number


def _number(day: dt.date, by: By) -> int:
    """Number of the period of a day; 0001-01-01 is a Monday and has the ordinal 1."""
    if by == "month":
        return day.year * 12 + day.month - 1
    return day.toordinal() if by == "day" else (day.toordinal() - 1) // 7


def _start(number: int, by: By) -> dt.date:
    """First day of a period."""
    if by == "month":
        return dt.date(number // 12, number % 12 + 1, 1)
    return dt.date.fromordinal(number if by == "day" else number * 7 + 1)
