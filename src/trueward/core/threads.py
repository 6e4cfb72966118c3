"""Run a function on several parts at once, in threads of one process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Part = TypeVar("Part")
Result = TypeVar("Result")


def in_threads(
    function: Callable[[Part], Result], parts: Sequence[Part], threads: int
) -> list[Result]:
    """Return ``[function(part) for part in parts]``, computed in threads of one core each.

    One product of matrices with a few hundred columns uses two cores badly. Two products at once use
    them well, because torch releases the interpreter lock.

    Parameters
    ----------
    function : callable
        Takes one part and returns its result.
    parts : sequence
        The inputs.
    threads : int
        Number of threads; with 1, or with fewer than two parts, no thread is started.

    Returns
    -------
    list
        The results in the order of ``parts``.

    Notes
    -----
    If a call raises, calls that have not started are cancelled. The number of torch threads is
    restored in every case.

    Examples
    --------
    >>> in_threads(abs, [-1, 2], threads=2)
    [1, 2]

    """
    if threads == 1 or len(parts) < 2:
        return [function(part) for part in parts]
    import torch  # noqa: PLC0415 - seconds to load

    threads_before = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        return list(pool.map(function, parts))
    finally:  # also on an error or Ctrl-C
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads_before)
