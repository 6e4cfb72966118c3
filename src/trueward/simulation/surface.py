"""Simple features of a text, so that a simulated world needs no other part of the package."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_WORD = re.compile(r"\w+")
BUCKETS = 16


def surface(prompts: Sequence[str], responses: Sequence[str]) -> NDArray[np.float64]:
    """Count (n, 9 + 16): lengths, marks, digits, capitals, overlap with the prompt, words."""
    return np.array([_row(p, r) for p, r in zip(prompts, responses, strict=True)], dtype=np.float64)


def _row(prompt: str, response: str) -> list[float]:
    asked, said = _WORD.findall(prompt.lower()), _WORD.findall(response.lower())
    length = max(1, len(response))
    buckets = [0.0] * BUCKETS
    for word in said:
        buckets[zlib.crc32(word.encode("utf-8", "replace")) % BUCKETS] += 1 / max(1, len(said))
    return [
        float(np.log1p(len(prompt))),
        float(np.log1p(len(response))),
        float(response.count("\n")),
        float(response.count("?")),
        float(response.count("!")),
        float(response.count(",")) / length,
        sum(c.isdigit() for c in response) / length,
        sum(c.isupper() for c in response) / length,
        len(set(asked) & set(said)) / max(1, len(set(said))),
        *buckets,
    ]
