"""Values of the YAML of a pipeline, each checked, with what was found in the error."""

from __future__ import annotations

import os
import shlex
from typing import Any

from trueward.core.errors import UsageError
from trueward.core.suggest import suggestion


def known_keys(value: Any, keys: tuple[str, ...], where: str) -> None:
    """Raise UsageError if a value is no mapping or has an unknown key."""
    if not isinstance(value, dict):
        raise UsageError(f"{where} must be a mapping with {', '.join(keys)}; found {value!r}")
    for key in value:
        if key not in keys:
            raise UsageError(f"{where} has no {key!r}: {suggestion(key, keys)}")


def words_of(value: Any, key: str) -> list[str]:
    """Return the words of a command, given as a line of a shell or as a list."""
    try:
        words = shlex.split(value) if isinstance(value, str) else texts(value, key)
    except ValueError as e:
        raise UsageError(f"{key} cannot be split into words ({e}): {value!r}") from e
    if not words:
        raise UsageError(f"{key} is empty: give a command")
    return words


def texts(value: Any, key: str) -> list[str]:
    """Return a list of texts, also of one."""
    return [text(v, key) for v in (value if isinstance(value, list) else [value])]


def text(value: Any, key: str) -> str:
    """Return a text; a number is one, too."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError(f"{key} must be text, and has {value!r}")
    return str(value)


def codes(value: Any) -> frozenset[int]:
    """Return exit codes that are no failure, with 0."""
    given = value if isinstance(value, list) else [value]
    if not all(isinstance(c, int) and not isinstance(c, bool) and 0 < c < 128 for c in given):
        raise UsageError(
            f"accept lists exit codes from 1 to 127 that are no failure, not {value!r}"
        )
    return frozenset({0, *given})


def truth(value: dict[str, Any], key: str) -> bool:
    """Return a value that is true or false, and false where it is missing."""
    found = value.get(key, False)
    if not isinstance(found, bool):
        raise UsageError(f"{key} is true or false, not {found!r}")
    return found


def within(path: str, folder: str) -> bool:
    """Return whether a path is a folder or lies in it; symbolic links are not followed."""
    inner, outer = os.path.abspath(path), os.path.abspath(folder)  # noqa: PTH100
    return inner == outer or inner.startswith(outer.rstrip(os.sep) + os.sep)
