"""YAML that a user wrote, read into plain values within bounds."""

from __future__ import annotations

from typing import Any

import yaml

DEEPEST = 20  # levels of lists and mappings
MOST_VALUES = 100_000  # after aliases are expanded
LONGEST = 1_000_000  # characters; a reader in Python takes seconds for as many


def read_yaml(text: str) -> Any:
    """Read a YAML document of plain values.

    Parameters
    ----------
    text : str
        The document.

    Returns
    -------
    dict, list, str, int, float, bool, date or None

    Raises
    ------
    ValueError
        If it is no YAML, has a tag that names a class, is nested more than 20 levels deep, is longer than a
        million characters, or holds more than 100,000 values once its aliases are expanded.

    Examples
    --------
    >>> read_yaml("seeds: [0, 1]")
    {'seeds': [0, 1]}

    """
    if len(text) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST:,} characters")
    try:
        _check_depth(text)
        value = yaml.safe_load(text)
    except yaml.YAMLError as e:
        raise ValueError(" ".join(str(e).split())) from e
    except (ArithmeticError, AttributeError, LookupError, TypeError, RecursionError) as e:
        raise ValueError(f"a value cannot be read: {e}") from e
    if _size(value, {}, ()) > MOST_VALUES:
        raise ValueError(f"it has more than {MOST_VALUES:,} values once its aliases are expanded")
    return value


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} levels deep")


def _size(value: Any, known: dict[int, int], above: tuple[int, ...]) -> int:
    """Number of values under this one, each alias counted as often as it stands there."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) in above:
        raise ValueError("a value contains itself")
    if id(value) not in known:
        parts = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(v, known, (*above, id(value))) for v in parts)
    return known[id(value)]
