"""Checking the names of a config, with the nearest one that exists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.core.errors import UsageError
from trueward.core.suggest import suggestion

if TYPE_CHECKING:
    from collections.abc import Collection


def one_of(name: Any, there: Collection[str], what: str) -> str:
    """Give ``name`` if it is one of ``there``."""
    if isinstance(name, str) and name in there:
        return name
    raise UsageError(f"there is no {what} {name!r}: {_hint(name, there)}")


def known_keys(given: Any, allowed: Collection[str], where: str) -> None:
    """Refuse what is no mapping, or has a key that is not ``allowed``."""
    if not isinstance(given, dict):
        raise UsageError(
            f"{where} is a name or a mapping with {', '.join(sorted(allowed))}; not {given!r}"
        )
    for key in given:
        if key not in allowed:
            raise UsageError(f"{where} has no {key!r}: {_hint(key, allowed)}")


def number(value: Any, where: str) -> float:
    """Give a number, which a boolean is not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{where} takes a number, not {value!r}")
    return float(value)


def listed(read: Any) -> list[Any]:
    """Take one value for a list of one."""
    return list(read) if isinstance(read, list | tuple) else [read]


def _hint(name: Any, there: Collection[str]) -> str:
    return suggestion(name, sorted(there))
