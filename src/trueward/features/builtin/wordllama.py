"""The default backbone: WordLlama vectors, surface features and hashed n-grams, without network.

Every row is a fixed function of its own prompt and response. Nothing is fitted to the log, so no
label can leak into the features.
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
from trueward.features.texts import check_pairs, row_slices, truncate_middle

from . import ngrams, surface
from .tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from scipy import sparse
    from torch import Tensor

VERSION = 3  # increase it with any change of a feature: it separates cache entries and models
VECTORS = 5  # number of vectors, 256 columns each
NGRAMS = (512, 2560)  # n-gram columns of the prompt and of the response
EDGE = 12  # tokens in the opening and in the ending of a response
WEIGHTS = "weights/l2_supercat_256.safetensors"
VOCABULARY = "tokenizers/l2_supercat_tokenizer_config.json"


@dataclass(frozen=True, eq=False)
class WordLlama:
    """x = [vectors of the prompt and the response | surface features | hashed 1-2-grams].

    The vectors are means over the tokens of the prompt, of the response, of its opening and of its
    ending. The fifth vector averages the directions of the distinct tokens of the response, with
    weight 1 + log count. A head with a uniform L2 penalty weighs a block by its number of columns, so
    the widths of the blocks are weights.

    Attributes
    ----------
    vectors : ndarray of float32, (vocabulary, 256)
        Token embeddings.
    tokenizer : tokenizers.Tokenizer
        Tokenizer of these embeddings.
    weights : str
        Digest of the files of wordllama: another release of them is another backbone.

    """

    vectors: NDArray[np.float32]
    tokenizer: Tokenizer
    weights: str

    @property
    def width(self) -> int:
        """Number of columns of x."""
        return VECTORS * int(self.vectors.shape[1]) + surface.WIDTH + sum(NGRAMS)

    def spec(self) -> str:
        """Return the JSON description from which `backbone` recreates this backbone."""
        return json.dumps({"name": "wordllama", "version": VERSION, "weights": self.weights})

    def collect_warnings(self) -> list[str]:
        """Return no warnings: the cut of long texts is part of the definition."""
        return []

    def encode(self, prompts: Sequence[str], responses: Sequence[str]) -> Tensor:
        """Encode each pair of texts as a row of float16 numbers.

        Parameters
        ----------
        prompts, responses : sequence of str, length n
            A text of more than 16,000 characters is read as its first 12,000 and last 4,000.

        Returns
        -------
        Tensor of float16, (n, width)
            Always finite; the mean vector of an empty text is 0.

        Raises
        ------
        TruewardError
            If the texts are not two lists of strings of equal length.

        """
        import torch  # noqa: PLC0415 - exported folders carry this file and run without torch

        return torch.from_numpy(self.rows(prompts, responses))

    def rows(self, prompts: Sequence[str], responses: Sequence[str]) -> NDArray[np.float16]:
        """Return the features of `encode` as a NumPy array, float16 (n, width)."""
        check_pairs(prompts, responses)
        out = np.empty((len(prompts), self.width), np.float16)
        size = [(len(p), len(r)) for p, r in zip(prompts, responses, strict=True)]
        p, r = [truncate_middle(t) for t in prompts], [truncate_middle(t) for t in responses]
        for part in row_slices([len(a) + len(b) for a, b in zip(p, r, strict=True)]):
            out[part] = self._rows(p[part], r[part], np.array(size[part], np.float64))
        return out

    def _rows(
        self, prompts: list[str], responses: list[str], size: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        n = len(self.vectors)
        p, r = self._tokenize(prompts), self._tokenize(responses)
        p_counts, r_counts = p.counts(n), r.counts(n)
        p_mean, r_mean = self._mean(p_counts), self._mean(r_counts)
        opening, ending = self._mean(r.first(EDGE).counts(n)), self._mean(r.last(EDGE).counts(n))
        vectors = [p_mean, r_mean, opening, ending, self._mean_direction(r_counts)]
        statistics = surface.surface_features(prompts, responses, size, p_counts, r_counts)
        grams = [ngrams.hashed_ngrams(t, n, w) for t, w in zip((p, r), NGRAMS, strict=True)]
        return np.concatenate([*vectors, statistics, *grams], axis=1, dtype=np.float32)

    def _tokenize(self, texts: list[str]) -> Tokens:
        # A prompt with several responses is tokenised once.
        position = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        encodings = self.tokenizer.encode_batch_fast(list(position), add_special_tokens=False)
        distinct = [np.array(encoding.ids, np.int64) for encoding in encodings]
        ids = [distinct[position[text]] for text in texts]
        ends = np.cumsum([0, *map(len, ids)])
        return Tokens(np.concatenate(ids), ends)

    def _mean(self, counts: sparse.csr_matrix) -> NDArray[np.float32]:
        # A sparse product sums row by row, so that a row does not depend on the rest of the batch.
        total = np.asarray(counts.sum(axis=1), np.float32).reshape(-1, 1)
        mean: NDArray[np.float32] = (counts @ self.vectors) / np.maximum(total, 1)
        return mean

    def _mean_direction(self, counts: sparse.csr_matrix) -> NDArray[np.float32]:
        """Return (sum w v / |v|) / |w|, w = 1 + log count, over the distinct tokens of each text."""
        weights = counts.copy()
        weights.data = 1 + np.log(weights.data)
        norm = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1), np.float32)).reshape(-1, 1)
        mean: NDArray[np.float32] = (weights @ self._directions) / np.maximum(norm, 1)
        return mean

    @cached_property
    def _directions(self) -> NDArray[np.float32]:
        length = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        out: NDArray[np.float32] = self.vectors / np.maximum(length, 1e-6)
        return out


@cache
def load() -> WordLlama:
    """Load the default backbone from the files of the installed package wordllama.

    The package is located and not imported, because its import configures the logging of the process.

    Returns
    -------
    WordLlama
        The same object on every call.

    Raises
    ------
    TruewardError
        If wordllama is not installed or lacks its files.

    """
    package = importlib.util.find_spec("wordllama")
    folders = package.submodule_search_locations if package else None
    if not folders:
        raise TruewardError(
            "the default features need the package wordllama, which is not installed: "
            "pip install wordllama"
        )
    weights, vocabulary = Path(folders[0], WEIGHTS), Path(folders[0], VOCABULARY)
    for path in (weights, vocabulary):
        if not path.is_file():
            raise TruewardError(
                f"the installed package wordllama should contain {path}, and does not: "
                "pip install --force-reinstall 'wordllama>=0.3.9'"
            )
    digest = hashlib.sha256(weights.read_bytes() + vocabulary.read_bytes()).hexdigest()[:16]
    tokenizer = Tokenizer.from_file(str(vocabulary))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    (vectors,) = load_file(weights).values()
    return WordLlama(vectors.astype(np.float32), tokenizer, digest)
