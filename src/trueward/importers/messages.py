"""Chat messages and answers in the dialects of products and providers, as role and content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .bodies import (
    RESULT_TYPES,
    SILENT,
    answer_inside,
    history_inside,
    part_content,
    prompt_inside,
    reply_parts,
    system_inside,
)
from .channels import shortened
from .contract import InvalidRecord, NoAnswer
from .values import decode_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .contract import Message

MESSAGE_KEYS = frozenset({"role", "message.role", "kwargs"})  # a message has one of them
ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "function_call": "assistant"}
ROLES |= {"function_call_output": "tool", "function": "tool"}
SPEAKERS = {"user", "assistant", "system", "developer", "tool", *ROLES}


def content_text(content: Any) -> str:
    """Return the text of a message content: a string, or parts joined by line breaks.

    Reasoning and tool calls are empty; an image is ``[image]``. A part that begins or ends with white space
    brings its own seam.

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
        return content_text(part_content(content))
    if isinstance(content, list):
        return _joined(content_text(part) for part in content)
    raise InvalidRecord(
        f"its text should be a string or a list of parts, and is {shortened(content)}"
    )


def _joined(texts: Iterable[str]) -> str:
    parts: list[str] = []
    for text in filter(None, texts):
        if parts and not parts[-1][-1].isspace() and not text[0].isspace():
            parts.append("\n")
        parts.append(text)
    return "".join(parts)


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
    if fields.get("type") in RESULT_TYPES and not fields.get("role"):
        return {"role": "tool", "content": content_text(fields)}
    kind = fields.get("type") if fields.get("type") != "message" else None
    role = str(fields.get("role") or kind or default_role)
    keys = ("content", "parts", "contents", "text", "refusal")
    more = fields.get("additional_kwargs")  # LangChain keeps a refusal there
    refusal = more.get("refusal") if isinstance(more, dict) else None
    content = next((fields[key] for key in keys if fields.get(key)), refusal or "")
    return {"role": ROLES.get(role, role), "content": content_text(content)}


def to_messages(value: Any) -> list[Message]:
    """Return a prompt as a list of messages.

    Parameters
    ----------
    value : object
        Text, a message, a list of messages, a request with its system prompt, or arguments of a function.

    Returns
    -------
    list of Message
        At least one message, of which at least one has text.

    Raises
    ------
    InvalidRecord
        If the prompt has no text.

    """
    value = _decode_chat(value, prompt_inside)
    if isinstance(value, dict) and "role" not in value:
        inner = prompt_inside(value)
        if inner is not None:
            system = content_text(system_inside(value))
            first = [to_message(system, "system")] if system else []
            earlier = [m for turn in history_inside(value) for m in _turn(turn)]
            return [*first, *earlier, *to_messages(inner)]
        if MESSAGE_KEYS.isdisjoint(value) or "args" in value:
            keys = ", ".join(map(str, value)) or "none"
            advice = "name its path by --map prompt=PATH, such as input.args[0]"
            raise InvalidRecord(f"its prompt has no known text (keys: {keys}): {advice}")
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        return to_messages(value[0])
    if (
        isinstance(value, list)
        and (parts := reply_parts(value)) is not None
        and value[0].get("type") != "message"
    ):
        value = {"role": "user", "content": parts}
    turns = value if isinstance(value, list) else [value]
    messages = [to_message(v) for v in turns if not _is_silent(v)]
    if not any(m["content"] for m in messages):
        raise InvalidRecord("its prompt has no text")
    return messages


def _turn(value: Any) -> list[Message]:
    """Return a message of a history, or the question and the answer of a pair."""
    if _is_pair(value) and value[0].lower() not in SPEAKERS:
        return [to_message(value[0]), to_message(value[1], "assistant")]
    return [to_message(value)]


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
    value = _decode_chat(value, answer_inside)
    while isinstance(value, dict) and "role" not in value:
        inner = answer_inside(value)
        if inner is None:
            break
        value = _decode_chat(inner, answer_inside)
    if isinstance(value, list) and (parts := reply_parts(value)) is not None:
        value = {"role": "assistant", "content": parts}
    elif isinstance(value, list) and value and all(_is_chat(v, answer_inside) for v in value):
        value = _last_message(value)
    is_message = isinstance(value, dict)
    text = to_message(value, "assistant")["content"] if is_message else content_text(value)
    if not text:
        raise NoAnswer("an answer without text, such as a tool call")
    return text


def read_turn(asked: Any, answered: Any) -> tuple[list[Message], str]:
    """Return the prompt and the answer of one call; a chat in the output is a part of the prompt.

    Parameters
    ----------
    asked : object
        The input, as for `to_messages`.
    answered : object
        The output, as for `answer_text`; it may hold the messages before the answer, as a graph of LangGraph
        returns them.

    Returns
    -------
    tuple of (list of Message, str)
        All messages that the model saw, and its answer.

    Raises
    ------
    InvalidRecord
        If the prompt has no text.
    NoAnswer
        If the answer has none.

    """
    answer = answer_text(answered)
    earlier = _messages_before(answered)
    if not any(m["content"] for m in earlier):
        return to_messages(asked), answer
    try:
        prompt = to_messages(asked)
    except InvalidRecord:
        return earlier, answer
    return (earlier if prompt[-1] in earlier else [*prompt, *earlier]), answer


def _messages_before(answered: Any) -> list[Message]:
    """Return the messages before the answer, if the output is a chat."""
    value = _decode_chat(answered, answer_inside)
    if isinstance(value, dict) and "role" not in value:
        value = _decode_chat(value.get("messages"), answer_inside)
    is_chat = isinstance(value, list) and all(_is_chat(v, answer_inside) for v in value)
    if not is_chat or reply_parts(value) is not None:
        return []
    return [to_message(v) for v in value[:-1]]


def _last_message(chat: list[Any]) -> Any:
    last = chat[-1]
    if to_message(last, "assistant")["role"] in {"user", "system", "developer", "tool"}:
        raise NoAnswer("a chat that does not end in an answer")
    return last


def _is_silent(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") in SILENT and "role" not in value


def _decode_chat(value: Any, inside: Callable[[dict[str, Any]], Any]) -> Any:
    """Decode JSON inside a string if it is a chat; an answer that is itself JSON stays text."""
    inner = decode_json(value)
    if not isinstance(value, str) or isinstance(inner, str):
        return inner
    parts = inner if isinstance(inner, list) else [inner]
    if len(parts) == 1 and isinstance(parts[0], list) and parts[0]:
        parts = parts[0]
    is_reply = reply_parts(parts) is not None
    return inner if is_reply or (parts and all(_is_chat(v, inside) for v in parts)) else value


def _is_chat(value: Any, inside: Callable[[dict[str, Any]], Any]) -> bool:
    """Whether a value is a message, or a request or reply of known keys."""
    if isinstance(value, list):
        return _is_pair(value)
    if not isinstance(value, dict):
        return False
    is_item = value.get("type") in SILENT or value.get("type") in RESULT_TYPES
    return is_item or not MESSAGE_KEYS.isdisjoint(value) or inside(value) is not None


def _is_pair(value: Any) -> bool:
    is_two = isinstance(value, list | tuple) and len(value) == 2
    return is_two and all(isinstance(v, str) for v in value)
