"""Tables whose columns are the paths of nested records, such as ``input.messages.0.content``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

EMPTY = (None, "", "undefined")  # what a writer of CSV puts where a row has no such path


def nested(record: Mapping[str, Any], name: str) -> Any:
    """Return the value that stands in one column, or in columns of its paths; None if there is none.

    Parameters
    ----------
    record : mapping
        A table row.
    name : str
        First part of the paths.

    Returns
    -------
    object
        The cell of the column itself if it has one, else objects and lists of the cells below it.

    """
    if record.get(name) not in EMPTY:
        return record[name]
    tree: dict[str, Any] = {}
    for column, cell in record.items():
        if not column.startswith(f"{name}.") or cell in EMPTY:
            continue
        *above, last = column[len(name) + 1 :].split(".")
        level = tree
        for step in above:
            inner = level.setdefault(step, {})
            level = inner if isinstance(inner, dict) else {}
        level[last] = cell
    return _lists(tree) if tree else None


def _lists(value: Any) -> Any:
    """Return the tree with lists where all keys are indices."""
    if not isinstance(value, dict):
        return value
    inner = {key: _lists(below) for key, below in value.items()}
    if inner and all(key.isdecimal() for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner
