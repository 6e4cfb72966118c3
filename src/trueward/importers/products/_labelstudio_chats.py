"""Label Studio tasks whose annotations are chats: messages, and labels of single messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.contract import Response, Row, Skip
from trueward.importers.messages import content_text, to_message
from trueward.importers.values import id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from trueward.importers.contract import Message

    Label = Callable[[dict[str, str], Mapping[str, Any], str], Iterator[Row]]

CHAT = "chatmessage"


def is_chat(annotations: list[Mapping[str, Any]]) -> bool:
    """Return whether annotations hold messages of a chat.

    Parameters
    ----------
    annotations : list of mapping
        Annotations or predictions of one task.

    Returns
    -------
    bool
        True if some result is a message.

    """
    return any(r.get("type") == CHAT for a in annotations for r in a.get("result") or [])


def chat_rows_of(
    task: Mapping[str, Any], annotation: Mapping[str, Any], label: Label
) -> Iterator[Row]:
    """Yield the answers of one annotator's chat, and the labels of each.

    Parameters
    ----------
    task : mapping
        The task; a list of messages in its data comes before those of the annotation.
    annotation : mapping
        One annotation: every annotator has a chat of their own.
    label : callable
        ``label(ids, result, key)`` yields the rows of one result about a response.

    Yields
    ------
    Row
        A response for each answer, its labels, and a Skip for a label of anything else.

    """
    results = [r for r in annotation.get("result") or [] if isinstance(r, dict)]
    messages = [r for r in results if r.get("type") == CHAT]
    messages.sort(key=lambda r: _message(r).get("createdAt") or 0)
    prefix = f"labelstudio:{task['id']}/{annotation.get('id')}"
    prompt = _given(task.get("data") or {})
    answers: dict[str, str] = {}
    if messages and prompt and _as_message(messages[0]) == prompt[0]:
        prompt = []  # the annotation repeats the messages of the task
    for result in messages:
        message = _as_message(result)
        name, place = id_text(result.get("id")) or "", len(answers)
        if message["role"] == "assistant" and message["content"] and prompt:
            answers[name] = f"{prefix}/{name}"
            yield Response(
                answers[name],
                list(prompt),
                message["content"],
                session_id=prefix,
                shown_at=parse_time(_message(result).get("createdAt")),
                turn=place,
            )
        prompt.append(message)
    for i, result in enumerate(results):
        if result.get("type") == CHAT:
            continue
        target = answers.get(id_text(result.get("id")) or "") or answers.get(
            id_text(result.get("parentID")) or ""
        )
        if target is None:
            yield Skip("a label that is about no answer of the chat")
        else:
            yield from label({"response": target}, result, str(i))


def _message(result: Mapping[str, Any]) -> dict[str, Any]:
    message = (result.get("value") or {}).get(CHAT)
    return message if isinstance(message, dict) else {}


def _as_message(result: Mapping[str, Any]) -> Message:
    message = _message(result)
    return {"role": str(message.get("role")), "content": content_text(message.get("content"))}


def _given(data: Mapping[str, Any]) -> list[Message]:
    """Return the first list of messages among the data of a task."""
    for value in data.values():
        is_list = isinstance(value, list) and value
        if is_list and all(isinstance(m, dict) and {"role", "content"} <= m.keys() for m in value):
            return [to_message(m) for m in value]
    return []
