"""Rows of about one length together, so that a batch is nearly all text and hardly any padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def batches(lengths: Mapping[int, int], budget: int) -> list[list[int]]:
    """Cut rows (number -> tokens) into batches of at most ``budget`` tokens with their padding.

    The longest come last; one row alone may be over the budget. Ties are in the order of the rows.

    >>> batches({0: 3, 1: 8, 2: 4, 3: 2}, budget=9)
    [[3, 0], [2], [1]]
    """
    found: list[list[int]] = []
    for row in _by_length(lengths):
        if found and (len(found[-1]) + 1) * lengths[row] <= budget:
            found[-1].append(row)
        else:
            found.append([row])
    return found


def _by_length(lengths: Mapping[int, int]) -> Iterable[int]:
    return sorted(lengths, key=lambda row: (lengths[row], row))
