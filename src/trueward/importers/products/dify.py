"""Dify: the export of feedback, and pages of feedbacks and messages of the service API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import signal
from trueward.importers.contract import Ask, Event, Record, Response, Row, Skip, Source
from trueward.importers.values import message, moment, word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CUT = 500  # characters of an answer in the export


def shape(record: Mapping[str, Any]) -> str | None:
    """Tell the export from the two kinds of pages."""
    keys = record.keys()
    if {"feedback_rating_raw", "ai_response"} <= keys:
        return "feedback"
    if {"message_id", "rating"} <= keys and ("from_end_user_id" in keys or "from_source" in keys):
        return "feedback page"
    return "message" if {"conversation_id", "query", "answer"} <= keys else None


def rows(unit: Sequence[Record], _: Ask) -> Iterator[Row]:
    """Give answers as responses and likes as events."""
    (record,) = unit
    value = record.value
    if record.shape == "message":
        yield from _message(value)
    elif record.shape == "feedback":
        yield from _exported(value)
    else:
        user = word(value.get("from_end_user_id"))
        at = moment(value.get("updated_at") or value.get("created_at"))
        said = {
            "comment": value.get("content"),
            "actor": user or word(value.get("from_account_id")),
        }
        yield from _feedback(value, value["rating"], value.get("from_source"), at, **said)


def _message(value: Mapping[str, Any]) -> Iterator[Row]:
    name = f"dify:{value['id']}"
    if not value["answer"]:
        yield Skip("a message without an answer")
        return
    yield Response(
        response_id=name,
        prompt=[message(str(value["query"]))],
        response=str(value["answer"]),
        user_id=word(value.get("from_end_user_id")),
        session_id=word(value["conversation_id"]),
        shown_at=moment(value.get("created_at")),
    )
    rating = value.get("feedback") or {}
    if rating.get("rating"):
        yield signal(
            "thumbs", rating["rating"], source="user", response_id=name, key="thumbs/message"
        )


def _exported(value: Mapping[str, Any]) -> Iterator[Row]:
    text, user = str(value["ai_response"]), word(value.get("from_end_user_id"))
    if len(text) == CUT + 3 and text.endswith("..."):
        yield Skip(f"an answer cut to {CUT} characters: its full text must come from /v1/messages")
    else:
        yield Response(
            response_id=f"dify:{value['message_id']}",
            prompt=[message(str(value["user_query"]))],
            response=text,
            user_id=user,
            session_id=word(value.get("conversation_id")),
            shown_at=moment(value.get("message_date")),
            standing="echo",  # the page of messages has the same answer, and knows more
        )
    at, source = moment(value.get("feedback_date")), value.get("feedback_source")
    said = {
        "comment": value.get("feedback_comment"),
        "actor": user or word(value.get("from_account_name")),
    }
    yield from _feedback(value, value["feedback_rating_raw"], source, at, **said)


def _feedback(
    value: Mapping[str, Any], rating: Any, source: Any, at: Any, comment: Any, actor: str | None
) -> Iterator[Row]:
    """Give a like; of one message, source and user the newest counts."""
    if not rating:
        yield Skip("feedback without a rating: it was taken back")
        return
    who = "annotator" if source == "admin" else "user"
    about: dict[str, Any] = {"response_id": f"dify:{value['message_id']}", "source": who}
    about |= {"at": at, "updated": at, "actor_id": actor}
    yield signal("thumbs", rating, **about, key=f"thumbs/{who}/{actor}")
    if comment:
        yield Event("comment", 1.0, **about, key=f"comment/{who}/{actor}", text=str(comment))


SOURCE = Source(
    title="Dify feedback (export or API pages) and messages",
    levels={"feedback": "rated_only", "feedback page": "rated_only", "message": "rated_chats_only"},
    shape=shape,
    rows=rows,
    covers="feedback: `rated_only`; with `/v1/messages` of the same conversations: `rated_chats_only`",
    wider="add the pages of GET /v1/messages for the same conversations",
)
