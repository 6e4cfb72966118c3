"""Validate values of a benchmark's YAML; errors suggest the nearest valid name."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from trueward.core.errors import UsageError
from trueward.core.suggest import suggestion

if TYPE_CHECKING:
    from collections.abc import Collection


def one_of(name: Any, choices: Collection[str], kind: str) -> str:
    """Return ``name`` if it is a valid choice.

    Parameters
    ----------
    name : object
        The value of the YAML.
    choices : collection of str
        Valid names.
    kind : str
        What the name is of, for the message.

    Returns
    -------
    str
        The name.

    Raises
    ------
    UsageError
        If the name is not a choice.

    """
    if isinstance(name, str) and name in choices:
        return name
    raise UsageError(f"there is no {kind} {name!r}: {suggestion(name, sorted(choices))}")


def known_keys(value: Any, allowed: Collection[str], where: str) -> None:
    """Raise if ``value`` is not a mapping or has an unknown key.

    Parameters
    ----------
    value : object
        The value of the YAML.
    allowed : collection of str
        Valid keys.
    where : str
        Location in the YAML, for the message.

    Raises
    ------
    UsageError
        If it is not a mapping, or a key is unknown.

    """
    if not isinstance(value, dict):
        raise UsageError(
            f"{where} must be a name or a mapping with {', '.join(sorted(allowed))}; found {value!r}"
        )
    for key in value:
        if key not in allowed:
            raise UsageError(f"{where} has no {key!r}: {suggestion(key, sorted(allowed))}")


def number(value: Any, where: str) -> float:
    """Return a number as float.

    Parameters
    ----------
    value : object
        The value of the YAML.
    where : str
        Place in the YAML, for the message.

    Returns
    -------
    float

    Raises
    ------
    UsageError
        If it is no finite number; a boolean is none.

    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{where} must be a number, found {value!r}")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise UsageError(f"{where} must be a finite number, found {result}")
    return result


def as_list(value: Any) -> list[Any]:
    """Return a list as it is, and a single value as a list of one.

    Parameters
    ----------
    value : object
        The value of the YAML.

    Returns
    -------
    list
        A new list.

    """
    return list(value) if isinstance(value, list | tuple) else [value]
