"""Dates and times of a column in one format, which is found or given."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DAYS = (
    *(
        "%d.%m.%Y",
        "%d.%m.%y",
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%d-%m-%Y",
        "%m-%d-%Y",
        "%Y/%m/%d",
        "%Y.%m.%d",
    ),
    *(
        "%d/%m/%y",
        "%m/%d/%y",
        "%Y%m%d",
        "%d %b %Y",
        "%d %B %Y",
        "%b %d, %Y",
        "%B %d, %Y",
        "%Y-%m-%d",
    ),
)
CLOCKS = (
    *(
        "",
        " %H:%M",
        " %H:%M:%S",
        " %H:%M:%S.%f",
        " %I:%M %p",
        " %I:%M:%S %p",
        ", %H:%M",
        ", %H:%M:%S",
    ),
    *(", %I:%M %p", ", %I:%M:%S %p", " %H:%M:%S %z", " %H:%M:%S%z", "T%H:%M:%S"),
)
OTHERS = ("%a, %d %b %Y %H:%M:%S %z", "%a, %d %b %Y %H:%M:%S %Z", "%a %b %d %H:%M:%S %Y")
FORMATS = (*(day + clock for day in DAYS for clock in CLOCKS), *OTHERS)
SAMPLE = 500  # different values that decide on the format, half of them from either end


def find_format(values: Sequence[str], name: str) -> str | None:
    """Return the one format that all values have.

    Parameters
    ----------
    values : sequence of str
        Texts that are neither ISO 8601 nor numbers.
    name : str
        The column, for the error.

    Returns
    -------
    str or None
        As for `datetime.strptime`; None if no known format fits all.

    Raises
    ------
    TruewardError
        If day and month could be either way round.

    Examples
    --------
    >>> find_format(["31.12.2025 23:59", "01.02.2026 08:00"], "time")
    '%d.%m.%Y %H:%M'

    """
    different = both_ends(values)
    fits = [f for f in FORMATS if all(parse_date(value, f) is not None for value in different)]
    if not fits:
        return None
    first = fits[0]
    read = [parse_date(value, first) for value in different]
    others = [f for f in fits[1:] if [parse_date(value, f) for value in different] != read]
    swapped = [f for f in others if sorted(re.findall("%.", f)) == sorted(re.findall("%.", first))]
    if swapped:
        raise TruewardError(
            f"the dates of {name!r}, such as {different[0]!r}, may have the day or the month first: say "
            f"which by --dates '{first}' or --dates '{swapped[0]}'"
        )
    return first


def both_ends(values: Iterable[str]) -> list[str]:
    """Return the first and the last of the different values in order: where days and months differ most.

    Parameters
    ----------
    values : iterable of str
        Any texts.

    Returns
    -------
    list of str
        All different values if they are few, sorted.

    Examples
    --------
    >>> both_ends(["31.12.2025", "01.02.2026", "31.12.2025"])
    ['01.02.2026', '31.12.2025']

    """
    different = sorted(set(values))
    half = SAMPLE // 2
    return different if len(different) <= SAMPLE else different[:half] + different[-half:]


def parse_date(value: str, form: str) -> datetime | None:
    """Return a time in UTC from text in a format; None if the text has another.

    Parameters
    ----------
    value : str
        The text.
    form : str
        As for `datetime.strptime`; without a zone it is UTC.

    Returns
    -------
    datetime or None
        The time.

    """
    try:
        time = datetime.strptime(value.strip(), form)  # noqa: DTZ007 - made UTC below
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
