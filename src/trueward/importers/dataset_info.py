"""Export scope, scales, windows and labels of a data set: the source, `dataset.json` and the user."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from trueward.core.errors import TruewardError, UsageError
from trueward.data.export_scope import LEVELS, ExportScope, Level

from .channels import CHANNELS
from .contract import WRONG_TYPE, InvalidRecord
from .values import parse_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .contract import Source

SCHEMA = "trueward/feedback/1"
POSITIVE = ("thumbs_up",)
NEGATIVE = ("thumbs_down", "flag", "correction")
QUARTERS = (0.75, 0.25)  # of a rating scale: above the first is positive, below the second negative


@dataclass(frozen=True)
class Window:
    """When, and for which responses, a channel was available.

    Attributes
    ----------
    spans : tuple of (datetime or None, datetime or None)
        Start and end of each period; None is open.
    where : mapping of str to object
        Column of the responses -> value that it must have, such as ``context.device`` -> ``web``.

    """

    spans: tuple[tuple[Any, Any], ...]
    where: Mapping[str, Any] = field(default_factory=dict)

    def contains(self, columns: Sequence[str]) -> pl.Expr:
        """Return whether the channel was available for each response, so that absence means 0.

        Parameters
        ----------
        columns : sequence of str
            Columns of the responses.

        Returns
        -------
        Expr
            Boolean; False if a column of ``where`` is missing.

        """
        inside = pl.lit(value=False)
        if not set(columns) >= self.where.keys():
            return inside
        for start, end in self.spans:
            after = pl.lit(value=True) if start is None else pl.col("shown_at") >= start
            before = pl.lit(value=True) if end is None else pl.col("shown_at") < end
            inside = inside | (after & before)
        for column, value in self.where.items():
            inside = inside & (pl.col(column).cast(pl.String) == str(value))
        return inside.fill_null(value=False)


@dataclass(frozen=True)
class DatasetInfo:
    """What is known about a data set besides its rows.

    Attributes
    ----------
    export_scope : ExportScope
        Which responses the export holds.
    scales : mapping of str to (float, float)
        Channel -> lowest and highest value.
    windows : mapping of str to Window
        Channel -> when and where it was available.
    positive, negative : tuple of str
        Conditions on events that make feedback 1 or 0, such as ``thumbs_up`` or ``rating>=4``.

    """

    export_scope: ExportScope
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    windows: Mapping[str, Window] = field(default_factory=dict)
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()

    def labels(self) -> pl.Expr:
        """Return 1 for a positive event, 0 for a negative one, null for both or neither.

        Returns
        -------
        Expr
            Float64, for the rows of the events table.

        """
        good, bad = (_any_holds(conditions) for conditions in (self.positive, self.negative))
        return pl.when(good & ~bad).then(1.0).when(bad & ~good).then(0.0)

    @property
    def label_channels(self) -> list[str]:
        """Channels that labels come from."""
        return sorted({_parse_condition(c)[0] for c in (*self.positive, *self.negative)})


def dataset_info(
    source: Source,
    level: Level,
    document: Mapping[str, Any],
    *,
    scale: tuple[float, float] | None = None,
    positive: Sequence[str] = (),
    negative: Sequence[str] = (),
) -> DatasetInfo:
    """Join the facts of the source, of ``dataset.json`` and of the user; the last wins.

    Parameters
    ----------
    source : Source
        The product of the export.
    level : Level
        Level of the records that were read; ``dataset.json`` overrides it.
    document : mapping
        Content of ``dataset.json``; empty if there is none.
    scale : (float, float), optional
        Lowest and highest rating.
    positive, negative : sequence of str
        Conditions of labels; by default thumbs, flags, corrections and the outer quarters of the scale.

    Returns
    -------
    DatasetInfo
        The joined facts.

    Raises
    ------
    TruewardError
        If ``dataset.json`` has wrong values.
    UsageError
        If a condition names no channel.

    """
    scales, windows = _channel_facts(source, document)
    scales |= {"rating": (float(scale[0]), float(scale[1]))} if scale else {}
    labels = document.get("label_map") or {}
    low, high = scales.get("rating", (None, None))
    known = low is not None and high is not None
    upper, lower = ([low + (high - low) * q] if known else [] for q in QUARTERS)  # type: ignore[operator]
    good = [*POSITIVE, *(f"rating>={limit:g}" for limit in upper)]
    bad = [*NEGATIVE, *(f"rating<={limit:g}" for limit in lower)]
    info = DatasetInfo(
        ExportScope(document.get("coverage") or level, source.name, source.wider),
        scales,
        windows,
        tuple(positive or labels.get("positive") or good),
        tuple(negative or labels.get("negative") or bad),
    )
    for condition in (*info.positive, *info.negative):
        _parse_condition(condition)
    return info


def _channel_facts(
    source: Source, document: Mapping[str, Any]
) -> tuple[dict[str, tuple[float, float]], dict[str, Window]]:
    """Return scales and windows of the channels, from the source and then from ``dataset.json``."""
    scales = dict(source.scales)
    windows = {name: Window(((None, None),)) for name in source.always_logged}
    try:
        for name, facts in dict(document.get("channels") or {}).items():
            if {"min", "max"} <= facts.keys():
                scales[name] = (float(facts["min"]), float(facts["max"]))
            if facts.get("available"):
                spans = facts["available"]
                times = tuple((parse_time(start), parse_time(end)) for start, end in spans)
                windows[name] = Window(times, dict(facts.get("where") or {}))
    except (InvalidRecord, *WRONG_TYPE) as e:
        raise TruewardError(
            "dataset.json should have an object of channels, each with numbers min and max and a list "
            f"`available` of [from, to] in ISO 8601, and has something else ({e}): correct it"
        ) from e
    for name, (low, high) in scales.items():
        if not low < high:
            raise TruewardError(
                f"the scale of {name} should have a lowest value below its highest, and has {low:g} to "
                f"{high:g}: correct dataset.json"
            )
    return scales, windows


def read_document(paths: Sequence[Path]) -> dict[str, Any]:
    """Return the content of the ``dataset.json`` among the files; empty if there is none.

    Parameters
    ----------
    paths : sequence of Path
        Files of one data set.

    Returns
    -------
    dict
        The JSON object.

    Raises
    ------
    UsageError
        If there are two such files.
    TruewardError
        If the file is not as it should be.

    """
    documents = [path for path in paths if path.name == "dataset.json"]
    if len(documents) > 1:
        raise UsageError(
            f"{documents[0]} and {documents[1]} are two data sets, which may differ in scope: import each "
            "by itself"
        )
    if not documents:
        return {}
    path = documents[0]
    try:
        document = json.loads(path.read_bytes())
    except ValueError as e:
        raise TruewardError(f"{path} should be JSON, but cannot be read ({e}): correct it") from e
    if not isinstance(document, dict) or document.get("schema", SCHEMA) != SCHEMA:
        raise TruewardError(f"{path} should be an object of the schema {SCHEMA}: correct it")
    labels = document.get("label_map") or {}
    if not isinstance(labels, dict) or not all(isinstance(v, list) for v in labels.values()):
        raise TruewardError(
            f"{path} should have a label_map of two lists, positive and negative: correct it"
        )
    if document.get("coverage", LEVELS[0]) not in LEVELS:
        raise TruewardError(
            f"{path} should have a coverage of {', '.join(LEVELS)}, and has {document['coverage']!r}: "
            "choose one"
        )
    return document


def is_condition(text: str) -> bool:
    """Return whether a label comes from a channel, as ``thumbs_up`` or ``rating>=4``; else it is a value.

    Parameters
    ----------
    text : str
        What the user gave by --positive or --negative.

    Returns
    -------
    bool
        True for a channel, with or without a limit.

    """
    return text.replace("<=", ">=").partition(">=")[0].strip() in CHANNELS


def _parse_condition(condition: str) -> tuple[str, str, float]:
    """Return channel, comparison and number of a condition such as ``rating>=4``."""
    for comparison in (">=", "<="):
        channel, operator, limit = condition.partition(comparison)
        if operator:
            break
    channel = channel.strip()
    try:
        number = float(limit) if operator else 0.0
    except ValueError:
        number = float("nan")
    if channel not in CHANNELS or number != number:  # noqa: PLR0124 - not a number
        raise UsageError(
            f"a label comes from a channel, such as thumbs_up or rating>=4, not from {condition!r}; "
            f"choose one of {', '.join(CHANNELS)}"
        )
    return channel, operator, number


def _any_holds(conditions: Sequence[str]) -> pl.Expr:
    """Return whether one of the conditions holds for an event."""
    holds = pl.lit(value=False)
    for condition in conditions:
        channel, operator, limit = _parse_condition(condition)
        value = pl.col("value")
        enough = {">=": value >= limit, "<=": value <= limit}.get(operator, value > 0)
        holds = holds | ((pl.col("channel") == channel) & enough)
    return holds
