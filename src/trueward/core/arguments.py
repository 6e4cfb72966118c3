"""Check the kinds of arguments of public functions, so that a wrong one is answered by a sentence."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from collections.abc import Iterable as AnyIterable
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np

from .errors import UsageError


@dataclass(frozen=True)
class Kind:
    """A kind of argument.

    Attributes
    ----------
    words : str
        What it is, after "takes".
    admits : callable
        Whether a value is of this kind.
    optional : bool
        Whether None is, too.

    """

    words: str
    admits: Callable[[Any], bool]
    optional: bool = False

    @property
    def or_none(self) -> Kind:
        """The same kind, or None."""
        return replace(self, optional=True)


def _texts(value: Any) -> bool:
    return not isinstance(value, str | bytes | Mapping) and isinstance(value, AnyIterable)


def _several_paths(values: Any) -> bool:
    paths = list(values)
    return bool(paths) and all(PATH.admits(p) for p in paths)


NUMBER = Kind("a number", lambda v: isinstance(v, Real) and not isinstance(v, bool))
WHOLE = Kind("a whole number", lambda v: isinstance(v, Integral) and not isinstance(v, bool))
SEED = WHOLE
TEXT = Kind("text", lambda v: isinstance(v, str))
FLAG = Kind("True or False", lambda v: isinstance(v, bool | np.bool_ | int))
PATH = Kind("a path", lambda v: isinstance(v, str | os.PathLike) and str(v) != "")
PATHS = Kind("a path or a list of paths", lambda v: _several_paths(v if _texts(v) else [v]))
FUNCTION = Kind("a function", callable)
SEVERAL = Kind("a list", _texts)
MAPPING = Kind("a dictionary", lambda v: isinstance(v, Mapping))


def require_kinds(function: str, **given: tuple[Any, Kind]) -> None:
    """Raise if an argument is of another kind than its function takes.

    Parameters
    ----------
    function : str
        Name of the function; begins the error.
    **given : (object, Kind)
        Each argument by its name, and its kind.

    Raises
    ------
    UsageError
        About the first wrong argument.

    Examples
    --------
    >>> require_kinds("plan", width=(0.1, NUMBER), seed=(None, WHOLE.or_none))
    >>> require_kinds("plan", width=("a", NUMBER))
    Traceback (most recent call last):
    trueward.core.errors.UsageError: plan: width takes a number, not 'a'

    """
    for name, (value, kind) in given.items():
        if (value is None and kind.optional) or (value is not None and kind.admits(value)):
            continue
        words = kind.words + (" or None" if kind.optional else "")
        raise UsageError(f"{function}: {name} takes {words}, not {described(value)}")


def described(value: object) -> str:
    """Name a value for an error: plain values as they are written, others by their type.

    Parameters
    ----------
    value : object
        Any value.

    Returns
    -------
    str
        At most 60 characters.

    Examples
    --------
    >>> described("a"), described([1, 2]), described(object())
    ("'a'", '[1, 2]', 'a value of type object')

    """
    plain = value is None or isinstance(value, str | int | float | list | tuple | dict | set)
    text = " ".join(repr(value).split()) if plain else f"a value of type {type(value).__name__}"
    return text if len(text) <= 60 else f"a {type(value).__name__} ({text[:40]}...)"
