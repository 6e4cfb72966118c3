"""Values of foreign records: times in any spelling, messages in any dialect, JSON inside of JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from .channels import brief
from .contract import Bad, Silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .contract import Message

SPOKEN = frozenset(
    {
        "role",
        "content",
        "parts",
        "messages",
        "message",
        "message.role",
        "choices",
        "kwargs",
        "prompt",
    }
    | {"input", "output", "text"}
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# seconds up to the year 5138; above, the number counts milli-, micro- or nanoseconds
SCALES = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (float("inf"), 1e9))


def moment(value: Any) -> datetime | None:
    """Read a time as UTC: ISO 8601 (UTC where it names no zone), or a number since 1970."""
    if value is None or value == "":
        return None
    if isinstance(value, dict) and len(value) == 1:  # mongoexport
        return moment(next(iter(value.values())))
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    try:
        return _counted(float(value))
    except (TypeError, ValueError, OverflowError):
        pass
    try:
        read = datetime.fromisoformat(value.strip().removesuffix(" UTC"))
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (AttributeError, TypeError, ValueError, OverflowError):
        raise Bad(f"its time should be ISO 8601 or a number, and is {brief(value)}") from None


def _counted(number: float) -> datetime:
    size = abs(number)
    per_second = next(scale for limit, scale in SCALES if size < limit)
    return EPOCH + timedelta(microseconds=round(number / per_second * 1e6))


def decoded(value: Any, times: int = 2) -> Any:
    """Read JSON inside a string, up to twice; text that is no JSON object or list stays text."""
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


def said(content: Any) -> str:
    """Give the text of a content: a string, or parts with ``text``, ``content`` or ``value``."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        if content.get("type") in {"reasoning", "thinking", "tool_call", "tool_use", "image_url"}:
            return ""
        return said(next((content[k] for k in ("text", "value", "content") if k in content), None))
    if isinstance(content, list):
        return "".join(said(part) for part in content)
    raise Bad(f"its text should be a string or a list of parts, and is {brief(content)}")


def message(value: Any, speaker: str = "user") -> Message:
    """Give one message as role and content: chat dialects, pairs, plain text."""
    if isinstance(value, str):
        return {"role": speaker, "content": value}
    if (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(v, str) for v in value)
    ):
        return {"role": value[0].lower(), "content": value[1]}
    if not isinstance(value, dict):
        raise Bad(f"a message should have role and content, and is {brief(value)}")
    flat = {key.removeprefix("message."): held for key, held in value.items()}
    if isinstance(flat.get("message"), dict):
        flat = flat["message"]
    if (
        isinstance(flat.get("data"), dict) and "content" in flat["data"]
    ):  # a serialised LangChain message
        flat = {**flat["data"], "role": flat.get("type", speaker)}
    if isinstance(flat.get("kwargs"), dict) and "content" in flat["kwargs"]:
        kind = flat["kwargs"].get("type") or str((flat.get("id") or [speaker])[-1])
        flat = {
            **flat["kwargs"],
            "role": kind.removesuffix("Message").removesuffix("Chunk").lower(),
        }
    role = flat.get("role") or flat.get("type") or speaker
    held = next((flat[k] for k in ("content", "parts", "contents", "text") if flat.get(k)), "")
    role = {"human": "user", "ai": "assistant"}.get(str(role), str(role))
    return {"role": role, "content": said(held)}


def conversation(value: Any) -> list[Message]:
    """Give a prompt as messages: text, a message, a list of them, or a request with ``messages``."""
    value = _chat(value)
    if isinstance(value, dict) and "role" not in value:
        inner = next((value[k] for k in ("messages", "input", "prompt") if value.get(k)), None)
        if inner is not None:
            system = said(value.get("system"))
            return [*([message(system, "system")] if system else []), *conversation(inner)]
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        return conversation(value[0])
    made = [message(v) for v in value] if isinstance(value, list) else [message(value)]
    if not any(m["content"] for m in made):
        raise Bad("its prompt has no text")
    return made


def answer(value: Any) -> str:
    """Give the text of an answer: text, a message, the last of a list, or a provider's reply."""
    value = _chat(value)
    if isinstance(value, dict) and isinstance(value.get("choices"), list):
        value = value["choices"][0] if value["choices"] else None
    if isinstance(value, dict) and "role" not in value and "output" in value:
        value = _chat(value["output"])
    if isinstance(value, list) and value and all(isinstance(v, dict) and _speaks(v) for v in value):
        value = value[-1]
    text = message(value, "assistant")["content"] if isinstance(value, dict) else said(value)
    if not text:
        raise Silent("an answer without text, such as a call of a tool")
    return text


def _chat(value: Any) -> Any:
    """Read JSON inside a string where it is a chat; an answer that is itself JSON stays text."""
    inner = decoded(value)
    if not isinstance(value, str) or isinstance(inner, str):
        return inner
    each = inner if isinstance(inner, list) else [inner]
    if len(each) == 1 and isinstance(each[0], list) and each[0]:
        each = each[0]
    return inner if each and all(_speaks(v) for v in each) else value


def _speaks(value: Any) -> bool:
    """Say whether a value is a message, a request or a reply, by its keys."""
    if isinstance(value, list):
        return len(value) == 2 and all(isinstance(v, str) for v in value)
    return isinstance(value, dict) and not SPOKEN.isdisjoint(value)


def dig(value: Any, path: str) -> Any:
    """Follow a path such as ``outputs.messages[-1]``; None where it leads nowhere."""
    for step in path.replace("[", ".").replace("]", "").split("."):
        value = decoded(value, 1) if isinstance(value, str) else value
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.lstrip("-").isdigit():
            i = int(step)
            value = value[i] if -len(value) <= i < len(value) else None
        else:
            return None
    return value


def first(value: Any, paths: Sequence[str]) -> Any:
    """Give what the first path that leads somewhere leads to."""
    return next((held for path in paths if (held := dig(value, path)) not in (None, "")), None)


def word(value: Any) -> str | None:
    """Give an id as text; None where there is none."""
    if value is None or value == "" or isinstance(value, dict | list):
        return None
    return str(value)


def snake(name: str) -> str:
    """Turn traceId into trace_id."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
