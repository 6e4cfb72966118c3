"""Conditions on named estimates, such as ``auroc<0.6``, under which a command fails."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from trueward.core.errors import TruewardError, UsageError
from trueward.core.suggest import suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trueward.core.estimate import Estimate

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
FORM = re.compile(r"\s*([a-z_][a-z0-9_]*)(?:\.(low|high))?\s*(<=|>=|<|>)\s*(\S+)\s*")


@dataclass(frozen=True)
class Condition:
    """A metric, or an end of its interval, compared with a number.

    Attributes
    ----------
    name : str
        Name of the metric.
    part : {"value", "low", "high"}
        The estimate, or the end of its interval.
    sign : str
        ``<``, ``<=``, ``>`` or ``>=``.
    limit : float
        The number.

    """

    name: str
    part: Literal["value", "low", "high"]
    sign: str
    limit: float

    def __str__(self) -> str:
        """Format as it is written."""
        part = "" if self.part == "value" else f".{self.part}"
        return f"{self.name}{part}{self.sign}{self.limit:g}"

    def holds(self, estimates: Mapping[str, Estimate]) -> str | None:
        """Compare the estimate of the metric.

        Parameters
        ----------
        estimates : mapping of str to Estimate
            Estimates by name.

        Returns
        -------
        str or None
            A sentence with the value where the condition holds.

        Raises
        ------
        UsageError
            If there is no such metric.
        TruewardError
            If the metric has no value or no interval here: a condition that cannot be checked is no success.

        """
        if self.name not in estimates:
            raise UsageError(
                f"--fail-if {self}: there is no metric {self.name!r} here: {suggestion(self.name, estimates)}"
            )
        estimate = estimates[self.name]
        value: float | None = getattr(estimate, self.part)
        if value is None:
            what = "value" if estimate.value is None else "interval"
            reason = f" ({estimate.reason})" if estimate.reason else ""
            raise TruewardError(
                f"--fail-if {self} cannot be checked: {self.name} has no {what}{reason}"
            )
        if not OPERATORS[self.sign](value, self.limit):
            return None
        part = "" if self.part == "value" else f".{self.part}"
        return f"{self.name}{part} is {value:.4f}: --fail-if {self}"


def read_condition(text: str) -> Condition:
    """Read a condition.

    Parameters
    ----------
    text : str
        ``NAME<NUMBER``, with ``<``, ``<=``, ``>`` or ``>=``; ``NAME.low`` and ``NAME.high`` are the ends of
        its interval.

    Returns
    -------
    Condition
        What it says.

    Raises
    ------
    UsageError
        If it is none.

    Examples
    --------
    >>> read_condition("auroc.low < 0.6")
    Condition(name='auroc', part='low', sign='<', limit=0.6)

    """
    found = FORM.fullmatch(text)
    try:
        limit = float(found[4]) if found else float("nan")
    except ValueError:
        limit = float("nan")
    if found is None or math.isnan(limit):
        raise UsageError(
            "--fail-if takes a metric, one of < <= > >= and a number, such as 'auroc<0.6' or "
            f"'auroc.low<0.6', not {text!r}"
        )
    return Condition(found[1], found[2] or "value", found[3], limit)  # type: ignore[arg-type]
