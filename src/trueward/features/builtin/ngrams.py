"""Hashed token 1-2-grams: a fixed sparse sign projection in place of a fitted vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from .hashing import U64, mix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .tokens import Tokens

PAIR = 0.5  # weight of two tokens beside one
SIGNS = 4  # non-zero entries of the projection per n-gram: one collision hides a quarter of it


def ngrams(tokens: Tokens, vocabulary: int, width: int) -> NDArray[np.float32]:
    """x_j = sum over distinct n-grams g of w_g s_gj / sqrt(4), w_g = a_g (1 + log count_g) / norm.

    a_g is 1 for one token and 0.5 for two, since most pairs are unique and blur the row. s_gj is
    +1 or -1 in 4 columns that the hash of g chooses, 0 elsewhere. Shape (n, width); the weights of a
    row have norm 1, and a row without tokens is 0.
    """
    row, gram, count = _counted(tokens, vocabulary)
    weight = (1 + np.log(count)) * np.where(gram <= vocabulary, 1.0, PAIR)
    norm = np.sqrt(np.bincount(row, weight * weight, minlength=len(tokens)))
    weight /= norm[row] * SIGNS**0.5
    h = mix(gram + U64(0x9E3779B97F4A7C15))
    columns, values = [], []
    for k in range(SIGNS):
        place = mix(h + U64(k + 1))
        columns.append((place % U64(width)).astype(np.int64))
        values.append(np.where(place >> U64(63), weight, -weight))
    where = (np.tile(row, SIGNS), np.concatenate(columns))
    dense = sparse.coo_matrix((np.concatenate(values), where), shape=(len(tokens), width)).toarray()
    out: NDArray[np.float32] = dense.astype(np.float32)
    return out


def _counted(
    tokens: Tokens, vocabulary: int
) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.int64]]:
    """Give (row, n-gram, count) of each distinct n-gram of each row, in a fixed order."""
    row, one = tokens.rows(), tokens.ids + 1
    inside = row[1:] == row[:-1]
    two = (one[:-1] * (vocabulary + 1) + one[1:])[inside]
    size = (vocabulary + 1) ** 2
    both = np.concatenate([row * size + one, row[1:][inside] * size + two])
    gram, count = np.unique(both, return_counts=True)
    return gram // size, (gram % size).astype(np.uint64), count
