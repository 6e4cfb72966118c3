"""The default backbone: WordLlama vectors, surface features and hashed n-grams; needs no network.

Every row is a function of its own two texts: nothing is fitted, so nothing can leak or go stale.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from trueward.core.errors import TruewardError
from trueward.features.texts import check_pairs, readable, slices

from . import ngrams, surface
from .tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from scipy import sparse
    from torch import Tensor

VERSION = 3  # raise it with any change of a feature: old cache entries and models must not mix
VECTORS = 5  # blocks of 256 columns
NGRAMS = (512, 2560)  # columns of the prompt and of the response
EDGE = 12  # tokens in the opening and in the ending of a response
WEIGHTS = "weights/l2_supercat_256.safetensors"
VOCABULARY = "tokenizers/l2_supercat_tokenizer_config.json"


@dataclass(frozen=True, eq=False)
class WordLlama:
    """x = [vectors of the prompt and the response | surface | hashed 1-2-grams].

    The vectors are the mean over the tokens of the prompt, of the response, of its opening, of its
    ending, and of its distinct tokens (direction only, weight 1 + log count). A linear head that
    shrinks all columns alike trusts a block by its width, so the widths weigh the blocks.
    """

    vectors: NDArray[np.float32]  # (vocabulary, 256)
    tokenizer: Tokenizer
    weights: str  # digest of the files, so that another release of them is another backbone

    @property
    def width(self) -> int:
        """Count the columns of x."""
        return VECTORS * int(self.vectors.shape[1]) + surface.WIDTH + sum(NGRAMS)

    def spec(self) -> str:
        """Give what makes these features again, as JSON."""
        return json.dumps({"name": "wordllama", "version": VERSION, "weights": self.weights})

    def remarks(self) -> list[str]:
        """Have nothing to say: what is cut of a text is part of the features."""
        return []

    def encode(self, prompts: Sequence[str], responses: Sequence[str]) -> Tensor:
        """Give float16 (n, width), always finite; an empty text has mean vector 0.

        A text beyond 16 000 characters is read as its first 12 000 and its last 4 000.
        """
        import torch  # noqa: PLC0415 - rows are made without it, so that a folder can carry this file

        return torch.from_numpy(self.rows(prompts, responses))

    def rows(self, prompts: Sequence[str], responses: Sequence[str]) -> NDArray[np.float16]:
        """Give what ``encode`` gives as an array."""
        check_pairs(prompts, responses)
        out = np.empty((len(prompts), self.width), np.float16)
        size = [(len(p), len(r)) for p, r in zip(prompts, responses, strict=True)]
        p, r = [readable(t) for t in prompts], [readable(t) for t in responses]
        for part in slices(p, r):
            out[part] = self._rows(p[part], r[part], np.array(size[part], np.float64))
        return out

    def _rows(
        self, prompts: list[str], responses: list[str], size: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        n = len(self.vectors)
        p, r = self._tokens(prompts), self._tokens(responses)
        asked, answered = p.counts(n), r.counts(n)
        p_mean, r_mean = self._mean(asked), self._mean(answered)
        opening, ending = self._mean(r.first(EDGE).counts(n)), self._mean(r.last(EDGE).counts(n))
        vectors = [p_mean, r_mean, opening, ending, self._damped(answered)]
        plain = surface.surface(prompts, responses, size, asked, answered)
        grams = [ngrams.ngrams(t, n, w) for t, w in zip((p, r), NGRAMS, strict=True)]
        return np.concatenate([*vectors, plain, *grams], axis=1, dtype=np.float32)

    def _tokens(self, texts: list[str]) -> Tokens:
        # A prompt that has several responses is read once.
        place = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        coded = self.tokenizer.encode_batch_fast(list(place), add_special_tokens=False)
        distinct = [np.array(code.ids, np.int64) for code in coded]
        ids = [distinct[place[text]] for text in texts]
        ends = np.cumsum([0, *map(len, ids)])
        return Tokens(np.concatenate(ids), ends)

    def _mean(self, counts: sparse.csr_matrix) -> NDArray[np.float32]:
        # A sparse product adds row by row, so that a row does not depend on its neighbours.
        total = np.asarray(counts.sum(axis=1), np.float32).reshape(-1, 1)
        mean: NDArray[np.float32] = (counts @ self.vectors) / np.maximum(total, 1)
        return mean

    def _damped(self, counts: sparse.csr_matrix) -> NDArray[np.float32]:
        """Give sum w v / |v| over the norm of w, w = 1 + log count: no token drowns the others."""
        damped = counts.copy()
        damped.data = 1 + np.log(damped.data)
        norm = np.sqrt(np.asarray(damped.multiply(damped).sum(axis=1), np.float32)).reshape(-1, 1)
        mean: NDArray[np.float32] = (damped @ self._directions) / np.maximum(norm, 1)
        return mean

    @cached_property
    def _directions(self) -> NDArray[np.float32]:
        length = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        out: NDArray[np.float32] = self.vectors / np.maximum(length, 1e-6)
        return out


@cache
def load() -> WordLlama:
    """Read the vectors and the tokenizer from the folder of the installed wordllama package.

    The package is located, not imported: its import sets up logging for the whole process.
    """
    found = importlib.util.find_spec("wordllama")
    folders = found.submodule_search_locations if found else None
    if not folders:
        raise TruewardError(
            "the default features need the package wordllama, which is not installed: "
            "pip install wordllama"
        )
    weights, vocabulary = Path(folders[0], WEIGHTS), Path(folders[0], VOCABULARY)
    for path in (weights, vocabulary):
        if not path.is_file():
            raise TruewardError(
                f"the installed wordllama should carry {path}, and does not: "
                "pip install --force-reinstall 'wordllama>=0.3.9'"
            )
    digest = hashlib.sha256(weights.read_bytes() + vocabulary.read_bytes()).hexdigest()[:16]
    tokenizer = Tokenizer.from_file(str(vocabulary))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    (vectors,) = load_file(weights).values()
    return WordLlama(vectors.astype(np.float32), tokenizer, digest)
