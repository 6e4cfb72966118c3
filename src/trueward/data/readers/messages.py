"""Lists of chat messages as one text."""

from __future__ import annotations


class Malformed(Exception):  # noqa: N818 - it is a finding about a cell, which the caller words
    """What is wrong with a value that should be text or messages."""


def flatten(value: object, speaker: str) -> str:
    """Give text as it is, a lone message of ``speaker`` as its content, else role: content."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise Malformed(f"has {shown(value)}")
    if not value:
        raise Malformed("has an empty list of messages")
    said = [turn(m, i) for i, m in enumerate(value, 1)]
    if len(said) == 1 and said[0][0] in {"user", speaker}:
        return said[0][1]
    return "\n".join(f"{role}: {content}" for role, content in said)


def turn(message: object, i: int) -> tuple[str, str]:
    """(role, content) of message ``i``; a content in parts is their texts joined."""
    if not isinstance(message, dict):
        raise Malformed(f"has message {i} = {shown(message)}")
    for key in ("role", "content"):
        if key not in message:
            raise Malformed(f"has message {i} without {key!r} (its keys are {sorted(message)})")
    role, content = message["role"], message["content"]
    if isinstance(content, list) and content:
        parts = [p.get("text") if isinstance(p, dict) else p for p in content]
        if len(texts := [p for p in parts if isinstance(p, str)]) == len(parts):
            content = "".join(texts)
    if not isinstance(role, str) or not isinstance(content, str):
        wrong = "role" if not isinstance(role, str) else "content"
        raise Malformed(f"has message {i} whose {wrong} is {shown(message[wrong])}, not text")
    return role, content


def shown(value: object) -> str:
    """Give ``value`` on one line, shortened."""
    text = "nothing (null)" if value is None else " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
