"""Chat messages as one text."""

from __future__ import annotations


class Malformed(Exception):  # noqa: N818 - a finding about a cell; the caller adds row and column
    """A value that should be text or messages is neither.

    The text of the exception continues a sentence about the row: ``has message 2 without 'role'``.
    """


def flatten(value: object, speaker: str) -> str:
    r"""Return text, or a list of messages as one text.

    Parameters
    ----------
    value : object
        Text, or a list of ``{"role": ..., "content": ...}``.
    speaker : str
        Role whose only message becomes its bare content; so does an only message of ``user``.

    Returns
    -------
    str
        The text; of several messages one line ``role: content`` each.

    Raises
    ------
    Malformed
        If the value is neither text nor a non-empty list of messages.

    Examples
    --------
    >>> flatten([{"role": "user", "content": "Hi"}], "user")
    'Hi'
    >>> flatten([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}], "user")
    'system: Be kind.\nuser: Hi'

    """
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise Malformed(f"has {shown(value)}")
    if not value:
        raise Malformed("has an empty list of messages")
    turns = [turn(message, i) for i, message in enumerate(value, 1)]
    if len(turns) == 1 and turns[0][0] in {"user", speaker}:
        return turns[0][1]
    return "\n".join(f"{role}: {content}" for role, content in turns)


def turn(message: object, i: int) -> tuple[str, str]:
    """Return role and content of one message; a content in parts is their texts joined.

    Parameters
    ----------
    message : object
        A dictionary with ``role`` and ``content``.
    i : int
        Number of the message, from 1, for the error.

    Returns
    -------
    role, content : str
        The two texts.

    Raises
    ------
    Malformed
        If a key is missing or a value is not text.

    """
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
    """Return a value for an error message: on one line, at most 60 characters.

    Parameters
    ----------
    value : object
        Any value.

    Returns
    -------
    str
        Its `repr`, or ``nothing (null)``.

    """
    text = "nothing (null)" if value is None else " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
