"""Feedback scores of Opik: inside a trace or span, and in columns of the UI's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import finite_number, mapped_channel, shortened, signal_event
from trueward.importers.contract import Actor, Event, InvalidRecord, Row, Skip, UserMapping
from trueward.importers.spans import attribute_signals, read_parts, stated
from trueward.importers.values import decode_json, id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ACTORS: dict[str, Actor] = {"sdk": "user", "ui": "annotator", "online_scoring": "judge"}
COLUMN = "feedback_scores."
Value = dict[str, Any]


def column_rows(value: Mapping[str, Any], mapping: UserMapping, **about: Any) -> Iterator[Row]:
    """Yield the scores in columns of a table row, which do not say who gave them.

    Parameters
    ----------
    value : mapping
        A row with columns ``feedback_scores.NAME`` and ``feedback_scores.NAME_reason``.
    mapping : UserMapping
        Channels of score names.
    **about
        ``response_id`` and ``group`` of the events.

    Yields
    ------
    Row
        An event of a user for each mapped name, and its reason as a comment; else a Skip.

    """
    for column, cell in value.items():
        name = column.removeprefix(COLUMN)
        is_reason = name.endswith("_reason") and column.removesuffix("_reason") in value
        if name == column or is_reason or cell in (None, "", "-", "undefined"):
            continue
        channel = mapped_channel(name, mapping)
        if channel is None:
            yield Skip(f"the score {name!r} is not mapped")
            continue
        fields: Value = {**about, "source": "user", "key": f"column/{name}"}
        yield signal_event(channel, cell, **fields)
        if reason := value.get(f"{column}_reason"):
            fields["key"] += "/comment"
            yield Event("comment", 1.0, **fields, text=str(reason))


def score_rows(value: Mapping[str, Any], mapping: UserMapping, **about: Any) -> Iterator[Row]:
    """Yield the scores inside a trace or a span, and what an application wrote into its metadata.

    Parameters
    ----------
    value : mapping
        The trace or span.
    mapping : UserMapping
        Channels of score names.
    **about
        ``response_id`` and ``group`` of the events.

    Yields
    ------
    Row
        An event for each author of a score, or a Skip or Reject for what is none.

    """
    scores = decode_json(value.get("feedback_scores")) or []
    yield from read_parts(scores, lambda score: _score(score, mapping, about))
    yield from attribute_signals(value.get("metadata"), mapping, "key of metadata", **about)
    for _ in decode_json(value.get("comments")) or ():
        yield Skip("comments of the team are not read")


def _score(score: Value, mapping: UserMapping, about: Value) -> Iterator[Row]:
    """Yield the signal of each author of a score; the value of the score itself is their mean."""
    name = score["name"]
    authors = decode_json(score.get("value_by_author")) or {}
    entries = authors.items() if isinstance(authors, dict) else ()
    of_score = {**score, "author": score.get("last_updated_by") or score.get("created_by")}
    for author, entry in entries or [(None, of_score)]:
        part = {**score, **{k: v for k, v in entry.items() if v is not None}}
        yield from _statement(name, id_text(part.get("author")) or author, part, mapping, about)


def _statement(
    name: Any, author: str | None, part: Value, mapping: UserMapping, about: Value
) -> Iterator[Row]:
    source = ACTORS.get(str(part.get("source")))
    if source is None:
        raise InvalidRecord(
            f"the source of a score should be sdk, ui or online_scoring, and is "
            f"{shortened(part.get('source'))}"
        )
    channel = mapped_channel(name, mapping)
    fields: Value = {**about, "source": source, "actor_id": author, "key": f"{name}/{author}"}
    if source == "judge":
        fields["group"] = None if "response_id" in about else about["group"]
    fields["at"] = fields["updated_at"] = parse_time(
        part.get("last_updated_at") or part.get("created_at")
    )
    if channel is None and source == "judge":
        yield Event("rating", finite_number(part.get("value")), **fields)
        return
    if channel is None:
        yield Skip(f"the score {name!r} is not mapped")
        return
    yield signal_event(channel, stated(channel, part.get("category_name"), part["value"]), **fields)
    if part.get("reason"):
        fields["key"] += "/comment"
        yield Event("comment", 1.0, **fields, text=str(part["reason"]))
