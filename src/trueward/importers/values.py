"""Values of product records: times, chat messages and answers in many dialects, JSON inside strings."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from .channels import shortened
from .contract import InvalidRecord, NoAnswer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .contract import Message

# keys of which a message, a request or a reply of a chat has at least one
CHAT_KEYS = frozenset(
    "role content parts messages message message.role choices kwargs prompt input output text".split()  # noqa: SIM905
)
NO_TEXT = frozenset({"reasoning", "thinking", "tool_call", "tool_use", "image_url"})  # part types
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# (limit, counts per second): seconds up to the year 5138; larger numbers are milli-, micro- or nanoseconds
TIME_UNITS = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (float("inf"), 1e9))


def parse_time(value: Any) -> datetime | None:
    """Return a time in UTC from ISO 8601 text or from a number since 1970.

    Parameters
    ----------
    value : object
        Text (UTC if it names no zone), a number in seconds, milli-, micro- or nanoseconds, a datetime, or
        the object that ``mongoexport`` writes.

    Returns
    -------
    datetime or None
        The time; None for an empty value.

    Raises
    ------
    InvalidRecord
        If the value is no time.

    """
    if value is None or value == "":
        return None
    if isinstance(value, dict) and len(value) == 1:  # mongoexport: {"$date": ...}
        return parse_time(next(iter(value.values())))
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    try:
        return _from_number(float(value))
    except (TypeError, ValueError, OverflowError):
        pass
    try:
        time = datetime.fromisoformat(value.strip().removesuffix(" UTC"))
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (AttributeError, TypeError, ValueError, OverflowError):
        reason = f"its time should be ISO 8601 or a number, and is {shortened(value)}"
        raise InvalidRecord(reason) from None


def _from_number(number: float) -> datetime:
    size = abs(number)
    per_second = next(unit for limit, unit in TIME_UNITS if size < limit)
    return EPOCH + timedelta(microseconds=round(number / per_second * 1e6))


def decode_json(value: Any, times: int = 2) -> Any:
    """Decode JSON inside a string, up to ``times`` levels; other text is returned unchanged.

    Parameters
    ----------
    value : object
        Any value of a record.
    times : int
        How many levels of strings to decode.

    Returns
    -------
    object
        The list, object or text inside; ``value`` itself if it is no such JSON.

    """
    for _ in range(times):
        if not isinstance(value, str) or value.lstrip()[:1] not in {"{", "[", '"'}:
            return value
        try:
            inner = json.loads(value)
        except (ValueError, RecursionError):
            return value
        if not isinstance(inner, dict | list | str):
            return value
        value = inner
    return value


def content_text(content: Any) -> str:
    """Return the text of a message content: a string, or parts joined; reasoning and tool calls are empty.

    Parameters
    ----------
    content : object
        Text, an object with ``text``, ``value`` or ``content``, or a list of these.

    Returns
    -------
    str
        The text.

    Raises
    ------
    InvalidRecord
        If the content is anything else.

    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        if content.get("type") in NO_TEXT:
            return ""
        keys = ("text", "value", "content")
        return content_text(next((content[key] for key in keys if key in content), None))
    if isinstance(content, list):
        return "".join(content_text(part) for part in content)
    raise InvalidRecord(
        f"its text should be a string or a list of parts, and is {shortened(content)}"
    )


def to_message(value: Any, default_role: str = "user") -> Message:
    """Return one message as role and content.

    Parameters
    ----------
    value : object
        A message in the dialect of a chat API or of LangChain, a pair of role and text, or plain text.
    default_role : str
        Role if the value names none.

    Returns
    -------
    Message
        Roles ``human`` and ``ai`` become ``user`` and ``assistant``.

    Raises
    ------
    InvalidRecord
        If the value is no message.

    """
    if isinstance(value, str):
        return {"role": default_role, "content": value}
    if _is_pair(value):
        return {"role": value[0].lower(), "content": value[1]}
    if not isinstance(value, dict):
        raise InvalidRecord(f"a message should have role and content, and is {shortened(value)}")
    fields = {key.removeprefix("message."): inner for key, inner in value.items()}
    if isinstance(fields.get("message"), dict):
        fields = fields["message"]
    if (
        isinstance(fields.get("data"), dict) and "content" in fields["data"]
    ):  # LangChain, serialised
        fields = {**fields["data"], "role": fields.get("type", default_role)}
    if isinstance(fields.get("kwargs"), dict) and "content" in fields["kwargs"]:
        kind = fields["kwargs"].get("type") or str((fields.get("id") or [default_role])[-1])
        role = kind.removesuffix("Message").removesuffix("Chunk").lower()
        fields = {**fields["kwargs"], "role": role}
    role = fields.get("role") or fields.get("type") or default_role
    keys = ("content", "parts", "contents", "text")
    content = next((fields[key] for key in keys if fields.get(key)), "")
    role = {"human": "user", "ai": "assistant"}.get(str(role), str(role))
    return {"role": role, "content": content_text(content)}


def to_messages(value: Any) -> list[Message]:
    """Return a prompt as a list of messages.

    Parameters
    ----------
    value : object
        Text, a message, a list of messages, or a request with ``messages``, ``input`` or ``prompt``.

    Returns
    -------
    list of Message
        At least one message, of which at least one has text.

    Raises
    ------
    InvalidRecord
        If the prompt has no text.

    """
    value = _decode_chat(value)
    if isinstance(value, dict) and "role" not in value:
        keys = ("messages", "input", "prompt")
        inner = next((value[key] for key in keys if value.get(key)), None)
        if inner is not None:
            system = content_text(value.get("system"))
            return [*([to_message(system, "system")] if system else []), *to_messages(inner)]
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        return to_messages(value[0])
    messages = [to_message(v) for v in value] if isinstance(value, list) else [to_message(value)]
    if not any(m["content"] for m in messages):
        raise InvalidRecord("its prompt has no text")
    return messages


def answer_text(value: Any) -> str:
    """Return the text of an answer.

    Parameters
    ----------
    value : object
        Text, a message, a list whose last message is the answer, or the reply of a provider's API.

    Returns
    -------
    str
        Text that is not empty.

    Raises
    ------
    NoAnswer
        If there is no text, as for a tool call.

    """
    value = _decode_chat(value)
    if isinstance(value, dict) and isinstance(value.get("choices"), list):
        value = value["choices"][0] if value["choices"] else None
    if isinstance(value, dict) and "role" not in value and "output" in value:
        value = _decode_chat(value["output"])
    is_list = isinstance(value, list) and value
    if is_list and all(isinstance(v, dict) and _is_chat(v) for v in value):
        value = value[-1]
    is_message = isinstance(value, dict)
    text = to_message(value, "assistant")["content"] if is_message else content_text(value)
    if not text:
        raise NoAnswer("an answer without text, such as a tool call")
    return text


def _decode_chat(value: Any) -> Any:
    """Decode JSON inside a string if it is a chat; an answer that is itself JSON stays text."""
    inner = decode_json(value)
    if not isinstance(value, str) or isinstance(inner, str):
        return inner
    parts = inner if isinstance(inner, list) else [inner]
    if len(parts) == 1 and isinstance(parts[0], list) and parts[0]:
        parts = parts[0]
    return inner if parts and all(_is_chat(v) for v in parts) else value


def _is_chat(value: Any) -> bool:
    """Whether a value is a message, a request or a reply, by its keys."""
    if isinstance(value, list):
        return _is_pair(value)
    return isinstance(value, dict) and not CHAT_KEYS.isdisjoint(value)


def _is_pair(value: Any) -> bool:
    is_two = isinstance(value, list | tuple) and len(value) == 2
    return is_two and all(isinstance(v, str) for v in value)


def value_at(value: Any, path: str) -> Any:
    """Return the value at a path such as ``outputs.messages[-1]``; None if there is none."""
    for step in path.replace("[", ".").replace("]", "").split("."):
        value = decode_json(value, 1) if isinstance(value, str) else value
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.lstrip("-").isdigit():
            i = int(step)
            value = value[i] if -len(value) <= i < len(value) else None
        else:
            return None
    return value


def first_value(value: Any, paths: Sequence[str]) -> Any:
    """Return the value at the first path that leads to one; None if no path does."""
    values = (value_at(value, path) for path in paths)
    return next((inner for inner in values if inner not in (None, "")), None)


def id_text(value: Any) -> str | None:
    """Return an id as text; None for an empty value, a list or an object."""
    if value is None or value == "" or isinstance(value, dict | list):
        return None
    return str(value)


def snake_case(name: str) -> str:
    """Return ``traceId`` as ``trace_id``."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
