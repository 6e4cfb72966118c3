"""Independent random streams from one root seed: a stream is named, never shared or continued."""

import hashlib

import numpy as np
import torch


def stream_seed(seed: int, *names: str | int) -> int:
    """63-bit seed of the stream ``names`` under the root ``seed``; equal on every machine."""
    digest = hashlib.sha256("\x1f".join(map(str, (seed, *names))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def numpy_stream(seed: int, *names: str | int) -> np.random.Generator:
    """A NumPy generator for one purpose, e.g. ``numpy_stream(0, "noise")``."""
    return np.random.default_rng(stream_seed(seed, *names))


def torch_stream(seed: int, *names: str | int) -> torch.Generator:
    """A CPU torch generator for one purpose, e.g. ``torch_stream(0, "batches", epoch)``."""
    return torch.Generator().manual_seed(stream_seed(seed, *names))
