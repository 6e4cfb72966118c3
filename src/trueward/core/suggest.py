"""Suggest the nearest known name for a misspelled one."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(name: object, known: Iterable[str]) -> str | None:
    """Return the known name whose spelling is nearest, or None if none is close.

    Parameters
    ----------
    name : object
        The name that was given; it is compared as text.
    known : iterable of str
        The names that exist.

    Returns
    -------
    str or None
        The best match with a similarity of at least 0.6 (`difflib.get_close_matches`).

    Examples
    --------
    >>> nearest("promt", ["prompt", "response"])
    'prompt'

    """
    matches = difflib.get_close_matches(str(name), list(known), 1)
    return matches[0] if matches else None


def suggestion(name: object, known: Iterable[str]) -> str:
    """Return the end of an error about an unknown name: the nearest name, or all of them.

    Parameters
    ----------
    name : object
        The name that was given.
    known : iterable of str
        The names that exist, in the order in which to list them.

    Returns
    -------
    str
        ``did you mean X?`` if a name is close, else ``choose one of X, Y, Z``.

    Examples
    --------
    >>> suggestion("promt", ["prompt", "response"])
    'did you mean prompt?'
    >>> suggestion("xyz", ["prompt", "response"])
    'choose one of prompt, response'
    >>> suggestion("xyz", [])
    'there are none'

    """
    names = list(known)
    match = nearest(name, names)
    if match is not None:
        return f"did you mean {match}?"
    return f"choose one of {', '.join(names)}" if names else "there are none"
