"""Pseudo-random numbers from hashes, identical on every machine and with every NumPy version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

U64 = np.uint64


def mix(key: NDArray[Any]) -> NDArray[np.uint64]:
    """Hash each key with the finaliser of SplitMix64.

    Parameters
    ----------
    key : ndarray of int, any shape
        Keys; negative ones wrap around to 64 unsigned bits.

    Returns
    -------
    ndarray of uint64, same shape
        64 well mixed bits per key.

    References
    ----------
    Steele, Lea and Flood (2014). Fast splittable pseudorandom number generators.

    """
    h = key.astype(np.uint64)
    h = (h ^ (h >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> U64(27))) * U64(0x94D049BB133111EB)
    return h ^ (h >> U64(31))


def uniform(stream: int, *shape: int) -> NDArray[np.float64]:
    """Draw numbers in (0, 1) that depend on the stream and the position only.

    Parameters
    ----------
    stream : int
        Number of the random stream.
    *shape : int
        Shape of the result.

    """
    key = np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64) + (U64(stream) << U64(40))
    bits = mix(mix(key) + U64(0x9E3779B97F4A7C15)) >> U64(11)
    return ((bits.astype(np.float64) + 0.5) / 2.0**53).reshape(shape)


def normal(stream: int, *shape: int) -> NDArray[np.float64]:
    """Draw standard normal numbers with the Box-Muller transform.

    Parameters
    ----------
    stream : int
        Number of the random stream; ``stream + 1`` is used as well.
    *shape : int
        Shape of the result.

    """
    u, v = uniform(stream, *shape), uniform(stream + 1, *shape)
    radius: NDArray[np.float64] = np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v)
    return radius
