"""Where the texts stand in bodies of requests and replies, in arguments of functions and in parts of a turn.

Dialects: OpenAI (chat completions, responses), Anthropic, Gemini, Ollama, LangChain and LangGraph, the Vercel
AI SDK, OpenTelemetry messages, and the arguments that decorators record. A part that is no text becomes a
placeholder such as ``[image]``, since the model saw it.
"""

from __future__ import annotations

import json
import re
from typing import Any

# keys of a request or of the arguments of a function, the first that is there counts
PROMPTS = (
    *("messages", "contents", "input", "prompt", "question", "query", "user_input", "user_query"),
    *("user_message", "message", "inputs", "text", "content", "user_question", "user_prompt"),
    *(
        "userInput",
        "userQuery",
        "userMessage",
        "userQuestion",
        "userPrompt",
        "chatInput",
        "human_input",
    ),
)
OBJECT = re.compile(r"<[\w.]+ object[ \w.]* at 0x[0-9a-f]+>$")  # a stream, and not what it gave
SYSTEMS = (
    *("system", "instructions", "systemInstruction", "system_instruction", "system_instructions"),
    *("system_prompt", "systemPrompt"),
)
HISTORIES = ("chat_history", "history", "conversation_history", "previous_messages")
# keys of a reply or of what a function returned
ANSWERS = (
    *(
        "choices",
        "candidates",
        "generations",
        "output_text",
        "output",
        "answer",
        "response",
        "reply",
    ),
    *(
        "result",
        "completion",
        "final_answer",
        "final_output",
        "generated_text",
        "message",
        "messages",
    ),
    *("outputs", "text", "content", "parts"),
)
MESSAGE_KEYS = frozenset({"role", "message.role", "content", "message", "data", "kwargs", "parts"})
# items of a reply that are no message, and parts of a turn that no user reads
SILENT = frozenset(
    "reasoning thinking redacted_thinking tool_call tool_use tool-call function_call custom_tool_call"  # noqa: SIM905
    " web_search_call file_search_call computer_call code_interpreter_call image_generation_call mcp_call"
    " mcp_list_tools server_tool_use item_reference step-start".split()
)
RESULTS = ("output", "response", "result", "content")  # of a tool, which the model reads
RESULT_TYPES = frozenset(
    {"function_call_output", "tool_call_response", "tool-result", "tool_result"}
)
# part of the name of a type -> placeholder
MEDIA = {
    "image": "[image]",
    "audio": "[audio]",
    "video": "[video]",
    "file": "[file]",
    "document": "[file]",
    "pdf": "[file]",
}
FILES = ("inlineData", "inline_data", "fileData", "file_data")  # Gemini


def system_inside(value: dict[str, Any]) -> Any:
    """Return the system prompt of a request; None if it has none.

    Parameters
    ----------
    value : dict
        A request.

    Returns
    -------
    object
        Text, or a content in parts.

    """
    config = value.get("config")
    places = [value, config] if isinstance(config, dict) else [value]
    return next((place[key] for place in places for key in SYSTEMS if place.get(key)), None)


def prompt_inside(value: dict[str, Any]) -> Any:
    """Return the value of a request that holds its messages or its text; None if none is known.

    Parameters
    ----------
    value : dict
        A request, an object of inputs, or ``{"args": [...], "kwargs": {...}}``.

    Returns
    -------
    object
        Messages, text, or an object with either.

    """
    arguments, named = value.get("args"), value.get("kwargs")
    if not isinstance(arguments, list) or not isinstance(named, dict | None):
        return _first(value, PROMPTS)
    named = named or {}
    inner = _first(named, PROMPTS)
    if inner is not None:
        return inner
    chats = [a for a in arguments if _is_chat(a)]
    texts = [a for a in arguments if isinstance(a, str) and a and not OBJECT.match(a)]
    texts = texts or [a for a in named.values() if isinstance(a, str) and a]
    only = next((found for found in (chats, texts) if len(found) == 1), None)
    return only[0] if only else None


def _is_chat(value: Any) -> bool:
    """Whether an argument of a function is a message, messages or a request."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(v, dict) and _is_chat(v) for v in value)
    return isinstance(value, dict) and ("role" in value or _first(value, PROMPTS) is not None)


def history_inside(value: dict[str, Any]) -> list[Any]:
    """Return the earlier turns that stand beside the last one, such as ``chat_history``.

    Parameters
    ----------
    value : dict
        A request or an object of inputs.

    Returns
    -------
    list
        Messages; empty if there are none.

    """
    found = _first(value, HISTORIES)
    return found if isinstance(found, list) else []


def answer_inside(value: dict[str, Any]) -> Any:
    """Return the value of a reply that holds its text; None if none is known.

    Parameters
    ----------
    value : dict
        A reply of a provider, or what a function returned.

    Returns
    -------
    object
        A message, messages, text, or an object with one of them.

    """
    for key in ANSWERS:
        inner = value.get(key)
        if not inner or not isinstance(inner, str | list | dict):
            continue
        if key in {"choices", "candidates"} and isinstance(inner, list):
            first = inner[0] if isinstance(inner[0], dict) else {}
            keys = ("message", "content", "delta", "text")
            return next((first[k] for k in keys if first.get(k)), None)
        if key == "generations":
            while isinstance(inner, list) and inner:
                inner = inner[0]
            is_one = isinstance(inner, dict)
            return answer_inside(inner) if is_one else inner  # type: ignore[arg-type]
        return {"role": "assistant", "content": inner} if key in {"content", "parts"} else inner
    return None


def reply_parts(value: list[Any]) -> list[Any] | None:
    """Return the parts of one reply, without what no user reads; None for a chat or another list.

    Parameters
    ----------
    value : list
        A content in parts, the items of one reply (reasoning, calls of tools, messages), or any other list.

    Returns
    -------
    list or None
        Contents to join.

    """
    if not value or not all(isinstance(item, dict) for item in value):
        return None
    kinds = {item.get("type") for item in value}
    is_reply = not kinds.isdisjoint(SILENT) and not any(
        "role" in i and not _is_output(i) for i in value
    )
    is_reply |= any(map(_is_output, value))
    is_content = all(MESSAGE_KEYS.isdisjoint(i) and ("type" in i or "text" in i) for i in value)
    if not is_reply and not is_content:
        return None
    return [
        item.get("content") if item.get("type") == "message" else item
        for item in value
        if item.get("type") not in SILENT
    ]


def _is_output(item: dict[str, Any]) -> bool:
    """Whether an item is a message in parts of output."""
    parts = item.get("content")
    kinds = {p.get("type") for p in parts if isinstance(p, dict)} if isinstance(parts, list) else ()
    return "output_text" in kinds or "refusal" in kinds


def part_content(part: dict[str, Any]) -> Any:
    """Return the content of one part of a turn: its text, a placeholder, or None for what no one reads.

    Parameters
    ----------
    part : dict
        An object with ``text``, ``content`` or another key by its type.

    Returns
    -------
    object
        Text, or a content in turn.

    """
    fields = {key.removeprefix("message_content."): inner for key, inner in part.items()}
    if isinstance(fields.get("message_content"), dict):
        fields = fields["message_content"]
    kind = str(fields.get("type") or "")
    if kind in SILENT or fields.get("thought") is True or "functionCall" in fields:
        return None
    if kind in RESULT_TYPES or "functionResponse" in fields:
        inner = fields.get("functionResponse", fields)
        return _tool_result(_first(inner, RESULTS) if isinstance(inner, dict) else inner)
    for key in ("text", "refusal", "value"):
        if fields.get(key):
            return fields[key]
    return _placeholder(fields, kind) or fields.get("content") or fields.get("parts")


def _placeholder(fields: dict[str, Any], kind: str) -> str | None:
    """Return what stands for an image or another file; None if the part is none."""
    data: dict[str, Any] = next(
        (fields[key] for key in FILES if isinstance(fields.get(key), dict)), {}
    )
    mime = data.get("mimeType") or data.get("mime_type") or fields.get("mime_type")
    media = fields.get("mediaType") or fields.get("modality") or mime
    if media is None and not isinstance(fields.get("content"), str):
        media = kind
    for name, placeholder in MEDIA.items():
        if name in str(media).lower():
            return placeholder
    if data:
        return "[file]"
    return next((MEDIA[key] for key in ("image", "audio", "video") if fields.get(key)), None)


def _tool_result(value: Any) -> Any:
    """Return what a tool gave as text; an object as JSON."""
    if isinstance(value, dict) and not isinstance(value.get("value"), str):
        return json.dumps(value, ensure_ascii=False)
    return value


def _first(value: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((value[key] for key in keys if value.get(key)), None)
