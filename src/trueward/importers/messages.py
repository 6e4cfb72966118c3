"""Chat messages and answers in the dialects of products and providers, as role and content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .channels import shortened
from .contract import InvalidRecord, NoAnswer
from .values import decode_json

if TYPE_CHECKING:
    from .contract import Message

# keys of which a message, a request or a reply of a chat has at least one
CHAT_KEYS = frozenset(
    "role content parts messages message message.role choices kwargs prompt input output text".split()  # noqa: SIM905
)
NO_TEXT = frozenset({"reasoning", "thinking", "tool_call", "tool_use", "image_url"})  # part types


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
