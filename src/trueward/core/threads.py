"""Work on several cores of one process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

A = TypeVar("A")
B = TypeVar("B")


def in_threads(do: Callable[[A], B], parts: Sequence[A], threads: int) -> list[B]:
    """[do(part) for part in parts], ``threads`` of them at once with one core each.

    Products of a few hundred columns use two cores badly; two products use them well, and torch lets
    go of the interpreter meanwhile.
    """
    if threads == 1 or len(parts) < 2:
        return [do(part) for part in parts]
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        return list(pool.map(do, parts))
    finally:  # on an error or Ctrl-C what has not begun is not begun
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)
