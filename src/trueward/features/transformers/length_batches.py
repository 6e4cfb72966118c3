"""Group texts of similar length into batches, so that a batch has little padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def length_batches(lengths: Mapping[int, int], budget: int) -> list[list[int]]:
    """Group rows into batches of at most ``budget`` tokens, padding included.

    Parameters
    ----------
    lengths : mapping of int to int
        Row number -> number of tokens.
    budget : int
        Largest number of rows times longest row. A single row may exceed it.

    Returns
    -------
    list of list of int
        Row numbers in order of length, longest batch last; ties are in order of the rows.

    Examples
    --------
    >>> length_batches({0: 3, 1: 8, 2: 4, 3: 2}, budget=9)
    [[3, 0], [2], [1]]

    """
    batches: list[list[int]] = []
    for row in sorted(lengths, key=lambda row: (lengths[row], row)):
        if batches and (len(batches[-1]) + 1) * lengths[row] <= budget:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches
