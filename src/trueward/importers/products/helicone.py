"""Helicone: requests with their bodies and scores, as JSON lines or JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import channel_of, signal
from trueward.importers.contract import Ask, Bad, Record, Response, Row, Skip, Source
from trueward.importers.values import answer, conversation, decoded, moment, word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NOTHING = {"00000000-0000-0000-0000-000000000000"}


def shape(record: Mapping[str, Any]) -> str | None:
    """Know a request, and the CSV of requests that leaves out what is needed."""
    if {"request_id", "response_id", "request_properties"} <= record.keys():
        return "request"
    return "row of a CSV" if {"request_created_at", "response_status"} <= record.keys() else None


def rows(unit: Sequence[Record], ask: Ask) -> Iterator[Row]:
    """Give answered requests as responses, and scores with a mapped name as events."""
    (record,) = unit
    value = record.value
    if record.shape != "request":
        raise Bad(
            "has no request_id, response_body and scores, as CSV leaves them out: export JSON lines"
        )
    status = value.get("response_status")
    if status is not None and int(float(status)) >= 400:
        yield Skip(f"a request that ended in status {int(float(status))}")
        return
    if value.get("cached") or (word(value.get("cache_reference_id")) or "0") not in {"0", *NOTHING}:
        yield Skip("an answer from the cache repeats another")
        return
    asked, reply = decoded(value.get("request_body")), decoded(value.get("response_body"))
    if not asked or not reply:
        kept = ": the bodies are behind signed_body_url, export with --include-body"
        raise Bad(f"has no bodies{kept if value.get('signed_body_url') else ''}")
    name = f"helicone:{value['request_id']}"
    properties = decoded(value.get("request_properties"), 1) or {}
    yield Response(
        response_id=name,
        prompt=conversation(asked),
        response=answer(reply),
        user_id=word(value.get("request_user_id")),
        session_id=word(properties.get("Helicone-Session-Id")),
        shown_at=moment(value.get("response_created_at") or value.get("request_created_at")),
        model=word(value.get("model")),
    )
    for score, held in (decoded(value.get("scores"), 1) or {}).items():
        channel = channel_of(score, ask)
        if channel is None:
            yield Skip(f"the score name {score!r} is not mapped")
        elif held is not None:
            plain = held.get("value") if isinstance(held, dict) else held
            yield signal(channel, plain, source="user", response_id=name, key=score)


SOURCE = Source(
    title="Helicone requests (query-clickhouse pages, JSON lines)",
    levels={"request": "full", "row of a CSV": "full"},
    shape=shape,
    rows=rows,
    covers="`full` within the exported window (30 days unless you ask for more); CSV is refused",
    wider="export all requests with bodies (includeInputs, --include-body), scored or not",
    names={"helicone-score-feedback": "thumbs"},
)
