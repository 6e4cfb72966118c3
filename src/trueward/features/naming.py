"""The name of a backbone: what it is, then `,option=value` for how it is read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueward.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = re.compile(r"(.*?)((?:,[a-z_]+=[^,]*)*)", re.DOTALL)
Wanted = tuple[str, ...] | range | type[str]  # one of these words, a whole number in here, any word


def parted(name: str) -> tuple[str, dict[str, str]]:
    """Part ``SOURCE,option=value,...``; what exists on disk is a source as it stands.

    >>> parted("Qwen/Qwen3-0.6B,layer=-4,pooling=mean")
    ('Qwen/Qwen3-0.6B', {'layer': '-4', 'pooling': 'mean'})
    """
    if Path(name).expanduser().exists():
        return name, {}
    found = NAME.fullmatch(name)
    assert found is not None
    source, rest = found.groups()
    words = [word.partition("=") for word in rest.split(",") if word]
    return source, {key: value for key, _, value in words}


def checked(source: str, given: Mapping[str, str], wanted: Mapping[str, Wanted]) -> dict[str, Any]:
    """Give the options as values; an unknown one or a value out of range is a UsageError."""
    read: dict[str, Any] = {}
    for key, word in given.items():
        if key not in wanted:
            raise UsageError(
                f"{source} is read with {', '.join(wanted)}, and {key!r} is none of these: "
                "take it out of --backbone"
            )
        read[key] = _value(key, word, wanted[key])
    return read


def _value(key: str, word: str, wanted: Wanted) -> str | int:
    if isinstance(wanted, tuple):
        if word in wanted:
            return word
        raise UsageError(f"{key} is one of {', '.join(wanted)}, not {word!r}")
    if isinstance(wanted, range):
        if re.fullmatch(r"-?\d{1,9}", word) and int(word) in wanted:
            return int(word)
        raise UsageError(f"{key} is a whole number from {wanted[0]} to {wanted[-1]}, not {word!r}")
    if word:
        return word
    raise UsageError(f"{key}= is followed by nothing: give it a value or leave it out")
