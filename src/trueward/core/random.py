"""Named random streams: one seed gives independent generators that are the same on every machine."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch


def stream_seed(seed: int, *names: str | int) -> int:
    """Return the seed of a named stream.

    Parameters
    ----------
    seed : int
        The root seed that the user gives.
    *names : str or int
        Name of the stream, such as ``"batches", epoch``.

    Returns
    -------
    int
        A 63-bit seed: the first 8 bytes of a SHA-256 of seed and names, without the lowest bit.

    Examples
    --------
    >>> stream_seed(0, "split") == stream_seed(0, "split") != stream_seed(1, "split")
    True

    """
    digest = hashlib.sha256("\x1f".join(map(str, (seed, *names))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def numpy_stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return a NumPy generator for one purpose.

    Parameters
    ----------
    seed : int
        The root seed.
    *names : str or int
        Name of the stream.

    Returns
    -------
    numpy.random.Generator
        A new generator at the start of the stream.

    Examples
    --------
    >>> bool(numpy_stream(0, "noise").random() == numpy_stream(0, "noise").random())
    True

    """
    import numpy as np  # noqa: PLC0415 - this module is also loaded where no numbers are drawn

    return np.random.default_rng(stream_seed(seed, *names))


def torch_stream(seed: int, *names: str | int) -> torch.Generator:
    """Return a torch generator on the CPU for one purpose.

    Parameters
    ----------
    seed : int
        The root seed.
    *names : str or int
        Name of the stream.

    Returns
    -------
    torch.Generator
        A new generator at the start of the stream.

    Examples
    --------
    >>> torch_stream(0, "batches", 3).initial_seed() == stream_seed(0, "batches", 3)
    True

    """
    import torch  # noqa: PLC0415 - seconds to load, and commands such as inspect need none

    return torch.Generator().manual_seed(stream_seed(seed, *names))
