"""Hashed token 1-2-grams: a fixed sparse sign projection in place of a fitted vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from .hashing import U64, mix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .tokens import Tokens

BIGRAM_WEIGHT = 0.5  # weight of a bigram; a unigram has weight 1
SIGNS = 4  # non-zero entries of the projection per n-gram: one collision affects a quarter of it


def hashed_ngrams(tokens: Tokens, vocabulary: int, width: int) -> NDArray[np.float32]:
    """x_j = sum over distinct n-grams g of w_g s_gj / sqrt(4), w_g = a_g (1 + log count_g) / norm.

    a_g is 1 for unigrams and 0.5 for bigrams, because most bigrams are unique and add noise. s_gj
    is +1 or -1 in 4 columns that the hash of g selects, and 0 elsewhere.

    Parameters
    ----------
    tokens : Tokens
        Token ids of n texts.
    vocabulary : int
        Number of tokens in the vocabulary.
    width : int
        Number of columns.

    Returns
    -------
    ndarray of float32, (n, width)
        The weights w_g of a row have norm 1; a row without tokens is 0.

    """
    row, gram, count = _ngram_counts(tokens, vocabulary)
    weight = (1 + np.log(count)) * np.where(gram <= vocabulary, 1.0, BIGRAM_WEIGHT)
    norm = np.sqrt(np.bincount(row, weight * weight, minlength=len(tokens)))
    weight /= norm[row] * SIGNS**0.5
    h = mix(gram + U64(0x9E3779B97F4A7C15))
    columns, values = [], []
    for k in range(SIGNS):
        bits = mix(h + U64(k + 1))
        columns.append((bits % U64(width)).astype(np.int64))
        values.append(np.where(bits >> U64(63), weight, -weight))
    indices = (np.tile(row, SIGNS), np.concatenate(columns))
    dense = sparse.coo_matrix((np.concatenate(values), indices), shape=(len(tokens), width))
    out: NDArray[np.float32] = dense.toarray().astype(np.float32)
    return out


def _ngram_counts(
    tokens: Tokens, vocabulary: int
) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.int64]]:
    """Return (row, n-gram, count) of each distinct n-gram of each row, in a fixed order."""
    row, unigram = tokens.rows(), tokens.ids + 1
    same_text = row[1:] == row[:-1]
    bigram = (unigram[:-1] * (vocabulary + 1) + unigram[1:])[same_text]
    size = (vocabulary + 1) ** 2
    key = np.concatenate([row * size + unigram, row[1:][same_text] * size + bigram])
    gram, count = np.unique(key, return_counts=True)
    return gram // size, (gram % size).astype(np.uint64), count
