"""Values of product records: times, ids, JSON inside strings, and values at a path."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .channels import shortened
from .contract import InvalidRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# (limit, counts per second): seconds up to the year 5138; larger numbers are milli-, micro- or nanoseconds
TIME_UNITS = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (float("inf"), 1e9))


def parse_time(value: Any) -> datetime | None:
    """Return a time in UTC from ISO 8601 text or from a number since 1970.

    Parameters
    ----------
    value : object
        Text (UTC if it names no zone), a number in seconds, milli-, micro- or nanoseconds, a datetime, or
        the object that ``mongoexport`` writes.

    Returns
    -------
    datetime or None
        The time; None for an empty value.

    Raises
    ------
    InvalidRecord
        If the value is no time.

    """
    if value is None or value == "":
        return None
    if isinstance(value, dict) and len(value) == 1:  # mongoexport: {"$date": ...}
        return parse_time(next(iter(value.values())))
    if isinstance(value, datetime):
        try:
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        except OverflowError:
            raise InvalidRecord(f"its time {value.isoformat()} is out of range") from None
    try:
        return _from_number(float(value))
    except (TypeError, ValueError, OverflowError):
        pass
    try:
        time = datetime.fromisoformat(value.strip().removesuffix(" UTC"))
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (AttributeError, TypeError, ValueError, OverflowError):
        reason = f"its time should be ISO 8601 or a number, and is {shortened(value)}"
        raise InvalidRecord(reason) from None


def _from_number(number: float) -> datetime:
    if not math.isfinite(number):
        raise OverflowError
    size = abs(number)
    per_second = next(unit for limit, unit in TIME_UNITS if size < limit)
    return EPOCH + timedelta(microseconds=round(number / per_second * 1e6))


def decode_json(value: Any, times: int = 2) -> Any:
    """Decode JSON inside a string, up to ``times`` levels; other text is returned unchanged.

    Parameters
    ----------
    value : object
        Any value of a record.
    times : int
        How many levels of strings to decode.

    Returns
    -------
    object
        The list, object or text inside; ``value`` itself if it is no such JSON.

    """
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


def value_at(value: Any, path: str) -> Any:
    """Return the value at a path such as ``outputs.messages[-1]``; None if there is none.

    Parameters
    ----------
    value : object
        A record, or any part of one; JSON inside strings is decoded.
    path : str
        Keys and list indices, or the name of a column as it is.

    Returns
    -------
    object
        The value, or None.

    """
    if isinstance(value, dict) and path in value:
        return value[path]
    for step in path.replace("[", ".").replace("]", "").split("."):
        value = decode_json(value, 1) if isinstance(value, str) else value
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.lstrip("-").isdigit():
            i = int(step)
            value = value[i] if -len(value) <= i < len(value) else None
        else:
            return None
    return value


def text_paths(value: Any, path: str = "", depth: int = 6) -> Iterator[str]:
    """Yield the paths of a record that lead to a text or a number.

    Parameters
    ----------
    value : object
        A record, or any part of one; JSON inside strings is decoded.
    path : str
        Where the part stands; empty for a record.
    depth : int
        How many objects and lists to enter.

    Yields
    ------
    str
        Paths as for `value_at`.

    """
    value = decode_json(value, 1) if isinstance(value, str) else value
    if isinstance(value, dict | list) and depth:
        parts: Iterable[tuple[str, Any]] = (
            ((f"{path}.{key}" if path else str(key), inner) for key, inner in value.items())
            if isinstance(value, dict)
            else ((f"{path}[{i}]", inner) for i, inner in enumerate(value[:2]))
        )
        for name, inner in parts:
            yield from text_paths(inner, name, depth - 1)
    elif path and value not in (None, "") and not isinstance(value, dict | list):
        yield path


def first_value(value: Any, paths: Sequence[str]) -> Any:
    """Return the value at the first path that leads to one; None if no path does.

    Parameters
    ----------
    value : object
        A record.
    paths : sequence of str
        Paths as for `value_at`.

    Returns
    -------
    object
        A value that is neither None nor empty text, or None.

    """
    values = (value_at(value, path) for path in paths)
    return next((inner for inner in values if inner not in (None, "")), None)


def id_text(value: Any) -> str | None:
    """Return an id as text; None for an empty value, a list or an object.

    Parameters
    ----------
    value : object
        An id as the product writes it.

    Returns
    -------
    str or None
        The id.

    """
    if value is None or value == "" or isinstance(value, dict | list):
        return None
    return str(value)


@lru_cache(4096)
def snake_case(name: str) -> str:
    """Return ``traceId`` as ``trace_id``.

    Parameters
    ----------
    name : str
        A name in camelCase or snake_case.

    Returns
    -------
    str
        The name in snake_case.

    """
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
