"""The shape of JSON that comes from outside: types of values, keys of mappings, lists of one shape."""

from __future__ import annotations

import math
from typing import Any

NUMBER = (int, float)
TEXT = (str,)
LARGEST = 2**53  # of a whole number: the largest that JSON readers agree on


def misfit(value: Any, shape: Any, where: str) -> str | None:
    """Return the first place of a JSON value that has another shape; None if there is none.

    Parameters
    ----------
    value : object
        Value of a JSON file.
    shape : tuple, list or dict
        A tuple holds types and shapes, of which one must fit; ``(int, float)`` takes finite numbers up to
        2^53, and no booleans unless ``bool`` is listed. A list holds the shape of every element. A dict holds
        the shape of every key; a key that ends in ``?`` may be missing, and ``*`` stands for all keys.
    where : str
        Name of the value.

    Returns
    -------
    str or None
        The place, as ``config.sets[0].label``.

    Examples
    --------
    >>> misfit({"a": [1, "x"]}, {"a": [NUMBER], "b?": TEXT}, "config")
    'config.a[1]'

    """
    if isinstance(shape, tuple):
        fits = any(
            _is(value, part) if isinstance(part, type) else misfit(value, part, where) is None
            for part in shape
        )
        return None if fits else where
    if isinstance(shape, list):
        if not isinstance(value, list):
            return where
        parts = [misfit(v, shape[0], f"{where}[{i}]") for i, v in enumerate(value)]
        return next((p for p in parts if p), None)
    if not isinstance(value, dict):
        return where
    for name, inner in shape.items():
        key = name.removesuffix("?")
        keys = list(value) if name == "*" else [] if key != name and key not in value else [key]
        for k in keys:
            found = misfit(value.get(k), inner, f"{where}.{k}")
            if found:
                return found
    return None


def _is(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if not isinstance(value, kind):
        return False
    if isinstance(value, float):
        return math.isfinite(value)
    return not (isinstance(value, int) and abs(value) > LARGEST)
