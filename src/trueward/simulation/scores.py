"""Scores of a response computed from its features: the x that a mechanism depends on."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

import numpy as np

from trueward.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_WORD = re.compile(r"\w+")
#: Hash buckets of the words of a response.
BUCKETS = 16


def standardised(u: Array) -> Array:
    """Return (u - mean) / standard deviation; a constant becomes 0.

    Parameters
    ----------
    u : array of float, shape (n,)
        Values.

    Returns
    -------
    array of float, shape (n,)
        Values with mean 0 and standard deviation 1, or all 0.

    """
    spread = u.std()
    return np.asarray((u - u.mean()) / spread if spread > 0 else u - u.mean(), dtype=np.float64)


def random_score(x: Array, rng: np.random.Generator) -> Array:
    """Return the score x v with v ~ N(0, I), x and the score standardised.

    Parameters
    ----------
    x : array of float, shape (n, d)
        Features. Constant columns are ignored.
    rng : numpy.random.Generator
        Draws v.

    Returns
    -------
    array of float, shape (n,)

    """
    x = _columns(x)
    return standardised(x @ rng.standard_normal(x.shape[1]))


def quality_score(x: Array, rating: Array) -> Array:
    """Return the score x v with v = (X'X + n I)^-1 X' rating, x and the score standardised.

    The score says how good the features look. The ridge penalty n equals the sum of squares of a
    column, so the fit is stable with more columns than rows.

    Parameters
    ----------
    x : array of float, shape (n, d)
        Features. Constant columns are ignored.
    rating : array of float, shape (n,)
        True ratings.

    Returns
    -------
    array of float, shape (n,)

    """
    x = _columns(x)
    gram = x.T @ x + len(x) * np.eye(x.shape[1])
    return standardised(x @ np.linalg.solve(gram, x.T @ standardised(rating)))


def text_statistics(prompts: Sequence[str], responses: Sequence[str]) -> Array:
    """Return simple features of texts, used where the caller gives no features.

    Parameters
    ----------
    prompts, responses : sequence of str, length n
        The texts.

    Returns
    -------
    array of float, shape (n, 9 + 16)
        Log lengths, line breaks, punctuation, digits, capitals, overlap with the prompt, and
        hashed words of the response.

    """
    return np.array([_row(p, r) for p, r in zip(prompts, responses, strict=True)], dtype=np.float64)


def _columns(x: Array) -> Array:
    """Standardise the columns and drop the constant ones."""
    x = x[:, x.std(axis=0) > 0]
    if x.shape[1] == 0:
        raise UsageError(
            "this mechanism needs a feature that differs between rows; every feature is constant"
        )
    return np.asarray((x - x.mean(axis=0)) / x.std(axis=0), dtype=np.float64)


def _row(prompt: str, response: str) -> list[float]:
    """Return the statistics of one pair of texts."""
    prompt_words, words = _WORD.findall(prompt.lower()), _WORD.findall(response.lower())
    length = max(1, len(response))
    buckets = [0.0] * BUCKETS
    for word in words:
        buckets[zlib.crc32(word.encode("utf-8", "replace")) % BUCKETS] += 1 / max(1, len(words))
    return [
        float(np.log1p(len(prompt))),
        float(np.log1p(len(response))),
        float(response.count("\n")),
        float(response.count("?")),
        float(response.count("!")),
        float(response.count(",")) / length,
        sum(c.isdigit() for c in response) / length,
        sum(c.isupper() for c in response) / length,
        len(set(prompt_words) & set(words)) / max(1, len(set(words))),
        *buckets,
    ]
