"""Numbers drawn by hashing: equal in every process, on every machine, with every NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

U64 = np.uint64


def mix(key: NDArray[Any]) -> NDArray[np.uint64]:
    """Give the finaliser of SplitMix64 of each key: 64 well mixed bits.

    Reference: Steele, Lea and Flood (2014).
    """
    h = key.astype(np.uint64)
    h = (h ^ (h >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> U64(27))) * U64(0x94D049BB133111EB)
    return h ^ (h >> U64(31))


def uniform(stream: int, *shape: int) -> NDArray[np.float64]:
    """Give numbers in (0, 1), a function of the stream and the place only."""
    key = np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64) + (U64(stream) << U64(40))
    bits = mix(mix(key) + U64(0x9E3779B97F4A7C15)) >> U64(11)
    return ((bits.astype(np.float64) + 0.5) / 2.0**53).reshape(shape)


def normal(stream: int, *shape: int) -> NDArray[np.float64]:
    """Give standard normal numbers by the Box-Muller transform."""
    u, v = uniform(stream, *shape), uniform(stream + 1, *shape)
    radius: NDArray[np.float64] = np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v)
    return radius
