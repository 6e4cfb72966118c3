"""Read the fields of a JSON request; an error names the field, and never repeats a text."""

from __future__ import annotations

import json
from typing import Any

from trueward.data.readers.messages import flatten

from .errors import RequestError

KINDS = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number"}
KINDS |= {float: "a number", type(None): "null"}


def invalid(param: str, expected: str, value: Any = None, *, found: str = "") -> RequestError:
    """Return the error about a field.

    Parameters
    ----------
    param : str
        The field, as ``rows[3].prompt``.
    expected : str
        What it should be.
    value : object
        What it is; only its type is told.
    found : str, default ""
        What it is, in other words than its type.

    Returns
    -------
    RequestError
        422; routes of other servers answer with their own code.

    """
    found = found or KINDS.get(type(value), type(value).__name__)
    return RequestError(422, f"{param} should be {expected}, and is {found}", param)


def parsed(body: bytes) -> dict[str, Any]:
    """Parse the body of a request: one JSON object."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise RequestError(
            400,
            "the body should be a JSON object and is not JSON: send Content-Type: application/json",
        ) from None
    if not isinstance(value, dict):
        raise RequestError(
            400,
            f"the body should be a JSON object, and is {KINDS.get(type(value), 'another value')}",
        )
    return value


def text(body: dict[str, Any], name: str) -> str:
    """Return a field that must be text."""
    if name not in body:
        raise invalid(name, "text", found="missing")
    if not isinstance(body[name], str):
        raise invalid(name, "text", body[name])
    return str(body[name])


def texts(value: Any, param: str) -> list[str]:
    """Return a list of texts; one text is a list of one."""
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list):
        raise invalid(param, "text or a list of texts", value)
    for i, v in enumerate(values):
        if not isinstance(v, str):
            numbers = isinstance(v, int | list)
            hint = "token ids, which this server cannot read" if numbers else ""
            raise invalid(f"{param}[{i}]", "text", v, found=hint)
    return values


def flag(body: dict[str, Any], name: str, default: bool | None = False) -> bool | None:
    """Return a field that is true, false, or left out."""
    value = body.get(name, default)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise invalid(name, "true or false", value)
    return value


def level(body: dict[str, Any], name: str) -> float | None:
    """Return a confidence in [0.5, 1), or None."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid(name, "a number from 0.5 to below 1", value)
    if not 0.5 <= value < 1:
        raise invalid(name, "a number from 0.5 to below 1", found="another number")
    return float(value)


def whole(body: dict[str, Any], name: str) -> int | None:
    """Return a field that is a whole number above 0, or None."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise invalid(name, "a whole number above 0", value)
    return value


def conversation(value: Any, param: str, speaker: str) -> str:
    """Return text, or a list of messages, as the text that a log has of them.

    Parameters
    ----------
    value : object
        Text or messages.
    param : str
        Its name, for errors.
    speaker : {"user", "assistant"}
        Who says them.

    """
    if isinstance(value, str):
        return value
    return flatten(messages(value, param), speaker)


def messages(value: Any, param: str) -> list[dict[str, Any]]:
    """Check a list of messages with ``role`` and ``content``."""
    if not isinstance(value, list) or not value:
        empty = "empty" if value == [] else ""
        raise invalid(param, "text or a list of messages", value, found=empty)
    for i, message in enumerate(value):
        here = f"{param}[{i}]"
        if not isinstance(message, dict):
            raise invalid(here, "a message with role and content", message)
        for key in ("role", "content"):
            if key not in message:
                raise invalid(f"{here}.{key}", "text", found="missing")
        if not isinstance(message["role"], str):
            raise invalid(f"{here}.role", "text", message["role"])
        content = message["content"]
        parts = content if isinstance(content, list) and content else [content]
        for part in parts:
            part_text = part.get("text") if isinstance(part, dict) else part
            if not isinstance(part_text, str):
                raise invalid(f"{here}.content", "text", part_text)
    return value


def prompt_and_response(value: Any, param: str) -> tuple[str, str]:
    """Split messages at the last one, which must be of the assistant.

    Parameters
    ----------
    value : object
        The messages.
    param : str
        Its name, for errors.

    Returns
    -------
    prompt, response : str

    """
    chat = messages(value, param)
    last = chat[-1]["role"]
    if len(chat) < 2 or last not in {"assistant", "model"}:
        raise invalid(
            param,
            "a prompt and then the assistant's response",
            found=f"{len(chat)} messages, the last of role {last[:20]!r}",
        )
    return flatten(chat[:-1], "user"), flatten([{**chat[-1], "role": "assistant"}], "assistant")
