"""Token ids of several texts in one array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Tokens:
    """Token ids of n texts, concatenated.

    Attributes
    ----------
    ids : ndarray of int64, (total,)
        Token ids of all texts.
    ends : ndarray of int64, (n + 1,)
        Offsets: text i is ``ids[ends[i]:ends[i + 1]]``.

    """

    ids: NDArray[np.int64]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.ends) - 1

    def rows(self) -> NDArray[np.int64]:
        """Return the number of the text of each token, (total,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.ends))

    def counts(self, vocabulary: int) -> sparse.csr_matrix:
        """Return the count of each token in each text, (n, vocabulary)."""
        ones = np.ones(len(self.ids), np.float32)
        table = sparse.csr_matrix((ones, self.ids, self.ends), shape=(len(self), vocabulary))
        table.sum_duplicates()
        return table

    def first(self, k: int) -> Tokens:
        """Return the first ``k`` tokens of each text."""
        return self._select(np.arange(len(self.ids)) - self.ends[:-1][self.rows()] < k)

    def last(self, k: int) -> Tokens:
        """Return the last ``k`` tokens of each text."""
        return self._select(self.ends[1:][self.rows()] - np.arange(len(self.ids)) <= k)

    def _select(self, mask: NDArray[np.bool_]) -> Tokens:
        counts = np.bincount(self.rows()[mask], minlength=len(self))
        return Tokens(self.ids[mask], np.concatenate([[0], np.cumsum(counts)]))
