"""Conditions on metrics, such as ``auroc < 0.6``, that stop a pipeline before a model is promoted."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trueward.core.errors import UsageError

OPERATORS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}
NUMBER = r"\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?"
GRAMMAR = re.compile(
    r"\s*(?P<metric>[A-Za-z][\w.]*)\s*(?P<operator><=|>=|<|>)\s*"
    rf"(?:(?P<current>current)\s*(?:(?P<sign>[+-])\s*(?P<margin>{NUMBER}))?|(?P<number>[+-]?(?:{NUMBER})))\s*",
    re.IGNORECASE,
)
PARTS = ("value", "low", "high")


@dataclass(frozen=True)
class Finding:
    """What a condition says of a model.

    Attributes
    ----------
    condition : str
        The condition as written.
    fails : bool or None
        Whether it holds, so that the model is refused; None where there is no current model to compare with.
    value, limit : float or None
        Both sides of the comparison; None where the metric is not defined.
    sentence : str
        The result in words.

    """

    condition: str
    fails: bool | None
    value: float | None
    limit: float | None
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "condition": self.condition,
            "fails": self.fails,
            "value": self.value,
            "limit": self.limit,
        }


@dataclass(frozen=True)
class Condition:
    """metric < limit, where the limit is a number or the metric of the current model plus a margin.

    Attributes
    ----------
    text : str
        The condition as written.
    metric, part : str
        Name of the metric, and ``value``, ``low`` or ``high`` of its 95 % interval.
    operator : str
        One of ``<``, ``<=``, ``>``, ``>=``.
    number : float
        The limit, or the margin to the current model.
    relative : bool
        Whether the limit is relative to the current model.

    """

    text: str
    metric: str
    part: str
    operator: str
    number: float
    relative: bool

    @staticmethod
    def parse(text: str) -> Condition:
        """Read a condition.

        Parameters
        ----------
        text : str
            ``METRIC < NUMBER``, ``METRIC < current`` or ``METRIC < current - NUMBER``, also with ``<=``,
            ``>`` and ``>=``; ``METRIC.low`` and ``METRIC.high`` are the ends of the 95 % interval.

        Returns
        -------
        Condition

        Raises
        ------
        UsageError
            If it is no condition.

        Examples
        --------
        >>> Condition.parse("auroc < current - 0.01").check({"auroc": 0.70}, {"auroc": 0.72}).sentence
        'auroc 0.7000 < 0.7100 (current - 0.01)'

        """
        match = GRAMMAR.fullmatch(text)
        if match is None:
            raise UsageError(
                f"a condition is written as 'auroc < 0.6' or 'auroc < current - 0.01', and {text!r} is not"
            )
        name, dot, part = match["metric"].partition(".")
        if dot and part not in PARTS:
            raise UsageError(f"{text!r}: a metric has .value, .low and .high, and no .{part}")
        relative = match["current"] is not None
        number = float(match["margin"] or 0) if relative else float(match["number"])
        sign = -1.0 if match["sign"] == "-" else 1.0
        return Condition(
            text.strip(), name, part or "value", match["operator"], sign * number, relative
        )

    def check(self, metrics: Mapping[str, Any], current: Mapping[str, Any] | None) -> Finding:
        """Compare a model with the limit; what cannot be compared is refused.

        Parameters
        ----------
        metrics : mapping
            Metric -> a number, or ``{"value": .., "low": .., "high": ..}`` as ``evaluate --json`` prints.
        current : mapping or None
            The same of the current model; None if there is none yet.

        Returns
        -------
        Finding

        Raises
        ------
        UsageError
            If the evaluation has no such metric.

        """
        value = self._of(metrics)
        if self.relative and current is None:
            sentence = f"{self.text}: not checked, there is no current model"
            return Finding(self.text, None, value, None, sentence)
        base = self._of(current) if self.relative and current is not None else 0.0
        if value is None or base is None:
            whose = "the current model" if value is not None else "this model"
            sentence = f"{self.text}: {self.metric} of {whose} is not defined on these rows"
            return Finding(self.text, True, value, None, sentence)
        limit = base + self.number
        margin = f" {'-' if self.number < 0 else '+'} {abs(self.number):g}" if self.number else ""
        origin = f" (current{margin})" if self.relative else ""
        fails = bool(OPERATORS[self.operator](value, limit))
        shown = self.operator if fails else f"is not {self.operator}"
        sentence = f"{self._name()} {value:.4f} {shown} {limit:.4f}{origin}"
        return Finding(self.text, fails, value, limit, sentence)

    def _name(self) -> str:
        return self.metric if self.part == "value" else f"{self.metric}.{self.part}"

    def _of(self, metrics: Mapping[str, Any]) -> float | None:
        """Return the metric of one model; None where it is not defined."""
        if self.metric not in metrics:
            known = ", ".join(metrics) or "none"
            raise UsageError(
                f"{self.text!r}: the evaluation has no metric {self.metric}; it has {known}"
            )
        found = metrics[self.metric]
        if isinstance(found, Mapping):
            found = found.get(self.part)
        elif self.part != "value":
            found = None
        number = isinstance(found, int | float) and not isinstance(found, bool)
        return float(found) if number and math.isfinite(found) else None
