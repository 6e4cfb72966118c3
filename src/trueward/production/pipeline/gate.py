"""Conditions on metrics, such as ``auroc < 0.6``, that stop a pipeline before a model is promoted."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trueward.core.errors import UsageError
from trueward.evaluation.conditions import OPERATORS, read_condition

RELATIVE = re.compile(
    r"(?P<metric>.+?(?:<=|>=|<|>))\s*current\s*(?:(?P<sign>[+-])\s*(?P<margin>[\d.e-]+))?\s*"
)


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
        match = RELATIVE.fullmatch(text)
        margin = f"{match['sign'] or ''}{match['margin'] or 0}" if match else ""
        try:
            read = read_condition(f"{match['metric']} {margin}" if match else text)
        except UsageError:
            raise UsageError(
                "a condition is written as 'auroc < 0.6', 'auroc.low < 0.6' or 'auroc < current - 0.01', and "
                f"{text!r} is not"
            ) from None
        return Condition(
            text.strip(), read.name, read.part, read.sign, read.limit, match is not None
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
