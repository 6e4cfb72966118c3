"""What is known of a data set beside its rows: `dataset.json`, and what the user says on top."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from trueward.core.errors import TruewardError, UsageError
from trueward.data.export_scope import LEVELS, ExportScope, Level

from .channels import CHANNELS
from .contract import ODD, Bad
from .values import moment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .contract import Source

SCHEMA = "trueward/feedback/1"
GOOD = ("thumbs_up",)
POOR = ("thumbs_down", "flag", "correction")


@dataclass(frozen=True)
class Window:
    """When, and for which responses, a channel was there to be used."""

    spans: tuple[tuple[Any, Any], ...]  # from, up to; None is open
    where: Mapping[str, Any] = field(default_factory=dict)  # context.device -> web

    def holds(self, columns: Sequence[str]) -> pl.Expr:
        """Say of each response whether a missing signal means that nothing happened."""
        inside = pl.lit(value=False)
        if not set(columns) >= self.where.keys():
            return inside  # nothing says where the channel was
        for start, end in self.spans:
            after = pl.lit(value=True) if start is None else pl.col("shown_at") >= start
            before = pl.lit(value=True) if end is None else pl.col("shown_at") < end
            inside = inside | (after & before)
        for column, value in self.where.items():
            inside = inside & (pl.col(column).cast(pl.String) == str(value))
        return inside.fill_null(value=False)


@dataclass(frozen=True)
class About:
    """Export scope, scales, windows and labels of a data set."""

    export_scope: ExportScope
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    windows: Mapping[str, Window] = field(default_factory=dict)
    positive: tuple[str, ...] = ()  # conditions: thumbs_up, rating>=4
    negative: tuple[str, ...] = ()

    def labels(self) -> pl.Expr:
        """Give 1 for an event that calls the response good, 0 for one that calls it bad, else null."""
        good, poor = (_any(c) for c in (self.positive, self.negative))
        return pl.when(good & ~poor).then(1.0).when(poor & ~good).then(0.0)

    @property
    def labelled(self) -> list[str]:
        """Channels that a label comes from."""
        return sorted({_parts(c)[0] for c in (*self.positive, *self.negative)})


def about(
    source: Source,
    level: Level,
    document: Mapping[str, Any],
    *,
    scale: tuple[float, float] | None = None,
    positive: Sequence[str] = (),
    negative: Sequence[str] = (),
) -> About:
    """Join what the source declares, what `dataset.json` says and what the user asks for, last wins."""
    scales, windows = _declared(source, document)
    scales |= {"rating": scale} if scale else {}
    labels = document.get("label_map") or {}
    low, high = scales.get("rating", (None, None))
    graded = [] if low is None or high is None else [low + (high - low) * s for s in (0.75, 0.25)]
    good = [*GOOD, *(f"rating>={graded[0]:g}" for _ in graded[:1])]
    poor = [*POOR, *(f"rating<={graded[1]:g}" for _ in graded[:1])]
    made = About(
        ExportScope(document.get("coverage") or level, source.name, source.wider),
        scales,
        windows,
        tuple(positive or labels.get("positive") or good),
        tuple(negative or labels.get("negative") or poor),
    )
    for condition in (*made.positive, *made.negative):
        _parts(condition)
    return made


def _declared(
    source: Source, document: Mapping[str, Any]
) -> tuple[dict[str, tuple[float, float]], dict[str, Window]]:
    """Read scales and windows of the channels, from the source and then from `dataset.json`."""
    scales = dict(source.scales)
    windows = {name: Window(((None, None),)) for name in source.available}
    try:
        for name, said in dict(document.get("channels") or {}).items():
            if {"min", "max"} <= said.keys():
                scales[name] = (float(said["min"]), float(said["max"]))
            if said.get("available"):
                spans = tuple((moment(start), moment(end)) for start, end in said["available"])
                windows[name] = Window(spans, dict(said.get("where") or {}))
    except (Bad, *ODD) as e:
        raise TruewardError(
            "dataset.json should have an object of channels, each with numbers min and max and a list "
            f"`available` of [from, to] in ISO 8601, and has something else ({e}): correct it"
        ) from e
    for name, (least, most) in scales.items():
        if not least < most:
            raise TruewardError(
                f"the scale of {name} should run upwards, and runs from {least:g} to {most:g}: correct "
                "dataset.json"
            )
    return scales, windows


def read_document(paths: Sequence[Path]) -> dict[str, Any]:
    """Read the `dataset.json` among the files; empty where there is none."""
    found = [path for path in paths if path.name == "dataset.json"]
    if len(found) > 1:
        raise UsageError(
            f"{found[0]} and {found[1]} are two data sets: import each, they may differ in coverage"
        )
    if not found:
        return {}
    try:
        document = json.loads(found[0].read_bytes())
    except ValueError as e:
        raise TruewardError(
            f"{found[0]} should be JSON, but cannot be read ({e}): correct it"
        ) from e
    if not isinstance(document, dict) or document.get("schema", SCHEMA) != SCHEMA:
        raise TruewardError(f"{found[0]} should be an object of the schema {SCHEMA}: correct it")
    labels = document.get("label_map") or {}
    if not isinstance(labels, dict) or not all(isinstance(v, list) for v in labels.values()):
        raise TruewardError(
            f"{found[0]} should have a label_map of two lists, positive and negative: correct it"
        )
    if document.get("coverage", LEVELS[0]) not in LEVELS:
        raise TruewardError(
            f"{found[0]} should have a coverage of {', '.join(LEVELS)}, and has "
            f"{document['coverage']!r}: choose one"
        )
    return document


def _parts(condition: str) -> tuple[str, str, float]:
    """Read `rating>=4` as channel, comparison and number."""
    for mark in (">=", "<="):
        channel, found, limit = condition.partition(mark)
        if found:
            break
    channel = channel.strip()
    try:
        number = float(limit) if found else 0.0
    except ValueError:
        number = float("nan")
    if channel not in CHANNELS or number != number:  # noqa: PLR0124 - not a number
        raise UsageError(
            f"a label comes from a channel, as thumbs_up or rating>=4, not from {condition!r}; "
            f"choose one of {', '.join(CHANNELS)}"
        )
    return channel, found, number


def _any(conditions: Sequence[str]) -> pl.Expr:
    """Say of an event whether one of the conditions holds."""
    holds = pl.lit(value=False)
    for condition in conditions:
        channel, mark, limit = _parts(condition)
        value = pl.col("value")
        enough = {">=": value >= limit, "<=": value <= limit}.get(mark, value > 0)
        holds = holds | ((pl.col("channel") == channel) & enough)
    return holds
