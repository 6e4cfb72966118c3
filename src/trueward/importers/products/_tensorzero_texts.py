"""Prompts and outputs of TensorZero as messages and text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trueward.importers.contract import InvalidRecord, NoAnswer
from trueward.importers.messages import content_text, to_message
from trueward.importers.values import decode_json

if TYPE_CHECKING:
    from collections.abc import Mapping


def prompt_messages(value: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what the model saw: the rendered messages if they are there, else the input.

    Parameters
    ----------
    value : mapping
        An inference, perhaps joined with its model call.

    Returns
    -------
    list of Message
        The system prompt first.

    Raises
    ------
    InvalidRecord
        If there is no text.

    """
    sent = decode_json(value.get("input_messages"))
    given = decode_json(value.get("input"))
    given = given if isinstance(given, dict) else {"messages": given}
    system = value.get("system") if sent else given.get("system")
    turns = sent or given.get("messages")
    prompt = [_message({"role": "system", "content": system})] if system else []
    prompt += [_message(turn) for turn in (turns if isinstance(turns, list) else [turns])]
    if not any(m["content"] for m in prompt):
        raise InvalidRecord("its prompt has no text: name its place by --map prompt=PATH")
    return prompt


def _message(turn: Any) -> dict[str, str]:
    """Return a message; the arguments of a template are JSON, as its text is not in the table."""
    if not isinstance(turn, dict):
        return to_message(turn)
    content = turn.get("content")
    parts = content if isinstance(content, list) else [content]
    text = content_text([inner for part in parts if (inner := _part(part)) is not None])
    return {"role": str(turn.get("role") or "user"), "content": text}


def _part(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    if part.get("type") in ("thought", "unknown", "tool_call"):
        return None
    inner = next((part[k] for k in ("arguments", "value") if isinstance(part.get(k), dict)), None)
    if (
        "type" not in part and "text" not in part
    ):  # arguments of a schema, such as those of a system prompt
        inner = part
    return part if inner is None else json.dumps(inner, ensure_ascii=False)


def output_text(output: Any) -> str:
    """Return the text of an output: the text blocks of a chat, the raw text of a JSON function.

    Parameters
    ----------
    output : object
        Blocks, or an object with ``raw`` and ``parsed``, or JSON of them.

    Returns
    -------
    str
        Text that is not empty.

    Raises
    ------
    NoAnswer
        If there is none.

    """
    output = decode_json(output, 1)
    if isinstance(output, dict) and ("raw" in output or "parsed" in output):
        raw, parsed = output.get("raw"), output.get("parsed")
        text = raw if isinstance(raw, str) else ""
        return text or ("" if parsed is None else json.dumps(parsed, ensure_ascii=False))
    parts = output if isinstance(output, list) else [output]
    text = content_text([inner for part in parts if (inner := _part(part)) is not None])
    if not text:
        raise NoAnswer("an answer without text, such as a tool call")
    return text
