"""Texts as numbers of a vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Tokens:
    """Token numbers of n texts, end to end."""

    ids: NDArray[np.int64]  # (total,)
    ends: NDArray[np.int64]  # (n + 1,) text i is ids[ends[i]:ends[i + 1]]

    def __len__(self) -> int:
        """Count the texts."""
        return len(self.ends) - 1

    def rows(self) -> NDArray[np.int64]:
        """Give the (total,) number of the text of each token."""
        return np.repeat(np.arange(len(self)), np.diff(self.ends))

    def counts(self, vocabulary: int) -> sparse.csr_matrix:
        """Give the (n, vocabulary) count of each token."""
        ones = np.ones(len(self.ids), np.float32)
        table = sparse.csr_matrix((ones, self.ids, self.ends), shape=(len(self), vocabulary))
        table.sum_duplicates()
        return table

    def first(self, k: int) -> Tokens:
        """Give the first ``k`` tokens of each text."""
        return self._where(np.arange(len(self.ids)) - self.ends[:-1][self.rows()] < k)

    def last(self, k: int) -> Tokens:
        """Give the last ``k`` tokens of each text."""
        return self._where(self.ends[1:][self.rows()] - np.arange(len(self.ids)) <= k)

    def _where(self, kept: NDArray[np.bool_]) -> Tokens:
        counts = np.bincount(self.rows()[kept], minlength=len(self))
        return Tokens(self.ids[kept], np.concatenate([[0], np.cumsum(counts)]))
