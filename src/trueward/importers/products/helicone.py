"""Helicone: requests with their bodies and scores, as JSON lines or JSON.

Fields read: ``request_id``, ``request_body``, ``response_body``, ``response_status``, ``scores``,
``request_properties`` (``Helicone-Session-Id``), ``request_user_id``, ``model``, ``request_created_at``,
``response_created_at``, ``cached``, ``cache_reference_id``, ``signed_body_url``. CSV lacks some of them and
is refused.
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
from trueward.importers.messages import answer_text, to_messages
from trueward.importers.values import decode_json, id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NO_REFERENCE = {"0", "00000000-0000-0000-0000-000000000000"}


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


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield an answered request as a response, and scores with a mapped name as events.

    Parameters
    ----------
    records : sequence of Record
        One record.
    mapping : UserMapping
        Channels of score names.

    Yields
    ------
    Row
        A response, an event, or a Skip for what gives neither.

    Raises
    ------
    InvalidRecord
        If a record cannot be used.
    NoAnswer
        If a record has an answer without text, such as a tool call.

    """
    (record,) = records
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
    name = f"helicone:{value['request_id']}"
    properties = decode_json(value.get("request_properties"), 1) or {}
    yield Response(
        response_id=name,
        prompt=to_messages(request),
        response=answer_text(reply),
        user_id=id_text(value.get("request_user_id")),
        session_id=id_text(properties.get("Helicone-Session-Id")),
        shown_at=parse_time(value.get("response_created_at") or value.get("request_created_at")),
        model=id_text(value.get("model")),
    )
    for score_name, score in (decode_json(value.get("scores"), 1) or {}).items():
        channel = mapped_channel(score_name, mapping)
        if channel is None:
            yield Skip(f"the score name {score_name!r} is not mapped")
        elif score is not None:
            number = score.get("value") if isinstance(score, dict) else score
            yield signal_event(channel, number, source="user", response_id=name, key=score_name)


SOURCE = Source(
    title="Helicone requests (query-clickhouse pages, JSON lines)",
    levels={"request": "full", "row of a CSV": "full"},
    record_kind=record_kind,
    rows=rows,
    covers="`full` within the exported window (30 days unless you ask for more); CSV is refused",
    wider="export all requests with bodies (includeInputs, --include-body), scored or not",
    signals={"helicone-score-feedback": "thumbs"},
)
