"""Helicone: requests with their bodies and scores, as JSON lines or JSON.

Fields read: ``request_id``, ``request_body``, ``response_body``, ``response_status``, ``scores``,
``feedback_rating`` or ``feedback.rating``, ``request_properties`` (``Helicone-Session-Id``,
``Helicone-Session-Path``, ``Helicone-Prompt-Id``), ``request_user_id``, ``model``, ``request_created_at``,
``response_created_at``, ``cached``, ``cache_reference_id``, ``signed_body_url``. CSV lacks some of them and
is refused.

The requests of a session with paths are read together: those at the path above all others were shown, and
those below it are steps. Without paths, every request is a turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import mapped_channel, signal_event
from trueward.importers.contract import (
    InvalidRecord,
    Record,
    Response,
    Row,
    Skip,
    Source,
    UserMapping,
)
from trueward.importers.messages import read_turn
from trueward.importers.spans import TEXTS, attribute_signals, mapped, read_parts
from trueward.importers.traces import NOT_NAMED, UNKNOWN
from trueward.importers.values import decode_json, id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NO_REFERENCE = {"0", "00000000-0000-0000-0000-000000000000"}
BELOW = "a request below another of its session, which users were not shown"
RATINGS = (
    "feedback_rating",
    "helicone-score-feedback",
)  # a column of older rows, and the score it became


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: request, or row of a CSV, which lacks needed fields.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        ``request`` or ``row of a CSV``, or None if the record is not of this source.

    """
    if {"request_id", "response_id", "request_properties"} <= record.keys():
        return "request"
    return "row of a CSV" if {"request_created_at", "response_status"} <= record.keys() else None


def group_key(record: Record) -> str | None:
    """Return the session of a request that has a path in it; such requests are read together.

    Parameters
    ----------
    record : Record
        A request.

    Returns
    -------
    str or None
        Id of the session; None for a request that stands by itself.

    """
    properties = _properties(record.value)
    return id_text(properties.get("Helicone-Session-Id")) if _path(properties) else None


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield answered requests that were shown as responses, and scores with a mapped name as events.

    Parameters
    ----------
    records : sequence of Record
        The requests of one `group_key`, or one request.
    mapping : UserMapping
        Channels of score names, paths of texts, and names of shown requests.

    Yields
    ------
    Row
        A response, an event, or a Skip for what gives neither.

    """
    paths = {_path(_properties(r.value)) for r in records}

    def read(record: Record) -> Iterator[Row]:
        return _request(record, mapping, paths)

    yield from read_parts(records, read, lambda record: (record.file, record.line))


def _request(record: Record, mapping: UserMapping, paths: set[str]) -> Iterator[Row]:
    value = record.value
    if record.kind != "request":
        raise InvalidRecord(
            "has no request_id, response_body and scores, as CSV leaves them out: export JSON lines"
        )
    status = value.get("response_status")
    if status is not None and int(float(status)) >= 400:
        yield Skip(f"a request that ended in status {int(float(status))}")
        return
    reference = id_text(value.get("cache_reference_id")) or "0"
    if value.get("cached") or reference not in NO_REFERENCE:
        yield Skip("an answer from the cache, which repeats another")
        return
    request, reply = decode_json(value.get("request_body")), decode_json(value.get("response_body"))
    if not request or not reply:
        remedy = ": the bodies are behind signed_body_url, export with --include-body"
        raise InvalidRecord(f"has no bodies{remedy if value.get('signed_body_url') else ''}")
    name, properties = f"helicone:{value['request_id']}", _properties(value)
    asked, answered = (
        mapped(value, mapping, text, body)
        for text, body in (("prompt", request), ("response", reply))
    )
    prompt, answer = read_turn(asked, answered)
    session = mapped(value, mapping, "session", properties.get("Helicone-Session-Id"))
    reason, span = _unshown(properties, mapping, paths)
    yield Response(
        response_id=name,
        prompt=prompt,
        response=answer,
        user_id=id_text(mapped(value, mapping, "user", value.get("request_user_id"))),
        session_id=id_text(session),
        shown_at=parse_time(value.get("response_created_at") or value.get("request_created_at")),
        model=id_text(value.get("model")),
        precedence="hidden" if reason else "answer",
        span_name=span,
        unshown=reason,
    )
    yield from _scores(value, name, mapping)
    yield from attribute_signals(properties, mapping, "property", response_id=name)


def _unshown(
    properties: Mapping[str, Any], mapping: UserMapping, paths: set[str]
) -> tuple[str | None, str | None]:
    """Return why a request was not shown to users, if so, and its name."""
    path = _path(properties)
    names = [path, path.rpartition("/")[2], str(properties.get("Helicone-Prompt-Id") or "")]
    names = [name for name in names if name]
    if mapping.shown:
        wanted = {name.strip("/"): name for name in mapping.shown}
        found = next((wanted[name] for name in names if name in wanted), None)
        return (None, found) if found else (NOT_NAMED, next(iter(names), None))
    top = [p for p in paths if all(q == p or q.startswith(f"{p}/") for q in paths)]
    if path in top:
        return None, next(iter(names), None)
    return (BELOW if top else UNKNOWN), path


def _scores(value: Mapping[str, Any], name: str, mapping: UserMapping) -> Iterator[Row]:
    """Yield the scores of a request; older rows have the thumb in a column of its own."""
    scores = decode_json(value.get("scores"), 1) or {}
    column, score = RATINGS
    feedback = decode_json(value.get("feedback"), 1)
    rating = feedback.get("rating") if isinstance(feedback, dict) else value.get(column)
    if rating is not None and score not in scores:
        scores = {**scores, score: rating}
    for score_name, given in scores.items():
        channel = mapped_channel(score_name, mapping)
        if channel is None:
            yield Skip(f"the score name {score_name!r} is not mapped")
        elif given is not None:
            number = given.get("value") if isinstance(given, dict) else given
            yield signal_event(channel, number, source="user", response_id=name, key=score_name)


def _properties(value: Mapping[str, Any]) -> dict[str, Any]:
    found = decode_json(value.get("request_properties"), 1)
    return found if isinstance(found, dict) else {}


def _path(properties: Mapping[str, Any]) -> str:
    return str(properties.get("Helicone-Session-Path") or "").strip("/")


SOURCE = Source(
    title="Helicone requests (query-clickhouse pages, JSON lines)",
    levels={"request": "full", "row of a CSV": "full"},
    record_kind=record_kind,
    rows=rows,
    group_key=group_key,
    covers="`full` within the exported window (30 days unless you ask for more); CSV is refused",
    wider="export all requests with bodies (includeInputs, --include-body), scored or not",
    signals={"helicone-score-feedback": "thumbs"},
    mappable=TEXTS,
)
