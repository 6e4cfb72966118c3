"""Dify: the feedback export, and pages of feedbacks and messages of the service API.

Fields read of the export: ``message_id``, ``user_query``, ``ai_response`` (cut to 500 characters),
``feedback_rating_raw``, ``feedback_comment``, ``feedback_source``, ``feedback_date``, ``message_date``,
``conversation_id``, ``from_end_user_id``, ``from_account_name``. Of feedback pages: ``message_id``,
``rating``, ``content``, ``from_source``, ``from_end_user_id``, ``from_account_id``, ``created_at``,
``updated_at``. Of messages: ``id``, ``conversation_id``, ``query``, ``answer``, ``feedback.rating``,
``from_end_user_id``, ``created_at``. Feedback with the source ``admin`` is an annotation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import signal_event
from trueward.importers.contract import Event, Record, Response, Row, Skip, Source, UserMapping
from trueward.importers.messages import to_message
from trueward.importers.values import id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CUT = 500  # characters of an answer in the export


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: feedback (of the export), feedback page or message.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        ``feedback``, ``feedback page`` or ``message``, or None if the record is not of this source.

    """
    keys = record.keys()
    if {"feedback_rating_raw", "ai_response"} <= keys:
        return "feedback"
    if {"message_id", "rating"} <= keys and ("from_end_user_id" in keys or "from_source" in keys):
        return "feedback page"
    return "message" if {"conversation_id", "query", "answer"} <= keys else None


def rows(records: Sequence[Record], _: UserMapping) -> Iterator[Row]:
    """Yield answers as responses, and likes and comments as events.

    Parameters
    ----------
    records : sequence of Record
        One record.
    _ : UserMapping
        Unused: this source has no names to map.

    Yields
    ------
    Row
        A response, an event, or a Skip for what gives neither.

    Raises
    ------
    InvalidRecord
        If a record cannot be used.

    """
    (record,) = records
    value = record.value
    if record.kind == "message":
        yield from _message(value)
    elif record.kind == "feedback":
        yield from _exported(value)
    else:
        user = id_text(value.get("from_end_user_id"))
        at = parse_time(value.get("updated_at") or value.get("created_at"))
        actor = user or id_text(value.get("from_account_id"))
        comment = value.get("content")
        yield from _feedback(
            value, value["rating"], value.get("from_source"), at, comment=comment, actor=actor
        )


def _message(value: Mapping[str, Any]) -> Iterator[Row]:
    name = f"dify:{value['id']}"
    if not value["answer"]:
        yield Skip("a message without an answer")
        return
    yield Response(
        response_id=name,
        prompt=[to_message(str(value["query"]))],
        response=str(value["answer"]),
        user_id=id_text(value.get("from_end_user_id")),
        session_id=id_text(value["conversation_id"]),
        shown_at=parse_time(value.get("created_at")),
    )
    feedback = value.get("feedback") or {}
    if feedback.get("rating"):
        key = "thumbs/message"
        yield signal_event("thumbs", feedback["rating"], source="user", response_id=name, key=key)


def _exported(value: Mapping[str, Any]) -> Iterator[Row]:
    text, user = str(value["ai_response"]), id_text(value.get("from_end_user_id"))
    if len(text) == CUT + 3 and text.endswith("..."):
        yield Skip(f"an answer cut to {CUT} characters: its full text must come from /v1/messages")
    else:
        yield Response(
            response_id=f"dify:{value['message_id']}",
            prompt=[to_message(str(value["user_query"]))],
            response=text,
            user_id=user,
            session_id=id_text(value.get("conversation_id")),
            shown_at=parse_time(value.get("message_date")),
            precedence="echo",  # a page of messages has the same answer and more fields
        )
    at, source = parse_time(value.get("feedback_date")), value.get("feedback_source")
    actor = user or id_text(value.get("from_account_name"))
    comment = value.get("feedback_comment")
    yield from _feedback(
        value, value["feedback_rating_raw"], source, at, comment=comment, actor=actor
    )


def _feedback(
    value: Mapping[str, Any], rating: Any, source: Any, at: Any, *, comment: Any, actor: str | None
) -> Iterator[Row]:
    """Yield a like and its comment; of one message, source and user the latest counts."""
    if not rating:
        yield Skip("feedback without a rating: it was retracted")
        return
    who = "annotator" if source == "admin" else "user"
    fields: dict[str, Any] = {"response_id": f"dify:{value['message_id']}", "source": who}
    fields |= {"at": at, "updated_at": at, "actor_id": actor}
    yield signal_event("thumbs", rating, **fields, key=f"thumbs/{who}/{actor}")
    if comment:
        yield Event("comment", 1.0, **fields, key=f"comment/{who}/{actor}", text=str(comment))


SOURCE = Source(
    title="Dify feedback (export or API pages) and messages",
    levels={"feedback": "rated_only", "feedback page": "rated_only", "message": "rated_chats_only"},
    record_kind=record_kind,
    rows=rows,
    covers="feedback: `rated_only`; with `/v1/messages` of the same conversations: `rated_chats_only`",
    wider="add the pages of GET /v1/messages for the same conversations",
)
