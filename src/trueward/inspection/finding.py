"""One finding of an inspection, and the formatting of counts, shares and values in its message."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from trueward.data.log import Log

Severity = Literal["error", "warning", "note"]
RANK: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}
SHOWN = 3  # examples of a finding
LONG = 40  # characters of an id or a category in a sentence


@dataclass(frozen=True)
class Finding:
    """One result of an inspection: a sentence, its figures and example rows.

    Examples
    --------
    >>> Finding("coverage", "note", "40 of 100 responses have feedback (40%)").severity
    'note'

    """

    #: Identifier of the kind of finding, such as ``coverage``.
    name: str
    #: ``error``: no method can repair it, or a fit would be wrong. ``warning``: read it before
    #: trusting a fit. ``note``: a fact.
    severity: Severity
    #: One sentence in plain words.
    message: str
    #: The figures of the message as plain data; shares are in [0, 1].
    figures: Mapping[str, Any] = field(default_factory=dict)
    #: At most 3 row numbers, counted from 1, or names of columns.
    examples: tuple[int | str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the finding as plain data."""
        return {
            "name": self.name,
            "severity": self.severity,
            "message": self.message,
            "figures": dict(self.figures),
            "examples": list(self.examples),
        }

    @property
    def order(self) -> tuple[int, str, str]:
        """Sort key: severity, then name, then message."""
        return RANK[self.severity], self.name, self.message


def percent(share: float) -> str:
    """Format a share as a percentage with three digits; 0% and 100% only where exact.

    Parameters
    ----------
    share : float
        Share in [0, 1].

    Returns
    -------
    str
        The percentage with its sign.

    Examples
    --------
    >>> percent(0.4), percent(0.99999), percent(0.00001)
    ('40%', 'over 99.9%', 'under 0.01%')

    """
    if 0 < share < 1e-4:
        return "under 0.01%"
    text = f"{100 * share:.3g}%"
    return "over 99.9%" if share < 1 and text == "100%" else text


def percent_of(log: Log, share: float) -> str:
    """Format a share of the responses of a log, and state where its rows count by their weight.

    Parameters
    ----------
    log : Log
        The log.
    share : float
        Share in [0, 1].

    Returns
    -------
    str
        The percentage.

    """
    return percent(share) + (" by weight" if "weight" in log.columns else "")


def pluralised(count: int, noun: str) -> str:
    """Format a count with its noun.

    Parameters
    ----------
    count : int
        Number of things.
    noun : str
        The noun in the singular; its plural ends in s.

    Returns
    -------
    str
        The count, with commas, and the noun.

    Examples
    --------
    >>> pluralised(1, "row"), pluralised(2000, "row")
    ('1 row', '2,000 rows')

    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def shortened(text: str) -> str:
    """Format a value of the log on one line, without control characters, cut after 40 characters.

    Parameters
    ----------
    text : str
        Value of the log.

    Returns
    -------
    str
        One line of at most 40 characters.

    """
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= LONG else f"{line[: LONG - 3]}..."


def example_rows(mask: pl.Series) -> tuple[int, ...]:
    """Return the numbers, counted from 1, of the first 3 rows where ``mask`` is true.

    Parameters
    ----------
    mask : polars.Series of bool, length n
        Whether each row has the property.

    Returns
    -------
    tuple of int
        At most 3 row numbers.

    """
    return tuple(int(i) + 1 for i in mask.arg_true().head(SHOWN))
