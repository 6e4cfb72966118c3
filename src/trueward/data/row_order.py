"""One order for the rows of a log, whatever order they are given in: a fit draws from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from trueward.core.random import numpy_stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

CHUNK = 256  # rows whose digests are computed at once


def row_order(
    x: Tensor,
    group: Tensor | None,
    columns: Mapping[str, Tensor],
    digest: Tensor | None = None,
) -> Tensor:
    """Return the row numbers in canonical order: by prompt, then by what the row holds.

    Rows of a prompt are ordered by a digest of their features, and equal ones by their other columns. Rows
    that are equal in every column may stand in either order. A permuted log has the same rows in this order,
    provided that its prompts have the same ids.

    Parameters
    ----------
    x : Tensor
        (n, d) features.
    group : Tensor or None
        (n,) integer id of the prompt.
    columns : mapping of str to Tensor
        (n, ...) all other columns.
    digest : Tensor, optional
        (n,) `row_digests` of x, if they are known.

    Returns
    -------
    Tensor
        (n,) int64, on the CPU.

    Examples
    --------
    >>> x = torch.tensor([[3.0], [1.0], [2.0]])
    >>> row_order(x, torch.tensor([7, 7, 5]), {}).tolist()
    [2, 1, 0]

    """
    prompt = np.zeros(len(x), np.int64) if group is None else group.cpu().numpy()
    value = (row_digests(x) if digest is None else digest).cpu().numpy()
    order = np.lexsort((value, prompt))
    tied = _tied(order, prompt, value)
    if len(tied):  # ordered among themselves, at the places that they have together
        rest, exact = _column_digests(columns, tied), _feature_digests(x, tied)
        places = np.flatnonzero(np.isin(order, tied))
        order[places] = tied[np.lexsort((exact, rest, value[tied], prompt[tied]))]
    return torch.from_numpy(order)


def row_digests(x: Tensor) -> Tensor:
    """Compute a number per row that changes with every value and is not finite where a value is not.

    Parameters
    ----------
    x : Tensor
        (n, d) features.

    Returns
    -------
    Tensor
        (n,) float32; that of a row does not depend on the others.

    """
    probe = torch.cos(torch.arange(x.shape[1], dtype=torch.float32)) / max(1, x.shape[1])
    probe = probe.to(x.device, x.dtype if x.dtype == torch.bfloat16 else torch.float32)
    out = torch.empty(len(x), device=x.device)
    for start in range(0, len(x), CHUNK):
        part = x[start : start + CHUNK]
        if len(part) < CHUNK:  # a product of fewer rows may round otherwise
            part = torch.cat([part, part.new_zeros(CHUNK - len(part), x.shape[1])])
        out[start : start + CHUNK] = (part.to(probe.dtype) @ probe)[: len(x) - start].float()
    return out


@dataclass(frozen=True, eq=False)
class ReorderedRows:
    """Features in another order of their rows, or some of them, without a copy; a fit reads them as a tensor.

    Attributes
    ----------
    x : Tensor
        (n, d) features as they are given.
    order : Tensor
        (n,) the row of ``x`` at every place.

    """

    x: Tensor
    order: Tensor

    @staticmethod
    def of(x: Tensor | ReorderedRows, order: Tensor) -> ReorderedRows:
        """Return rows of features by their numbers; of reordered ones, too."""
        if isinstance(x, ReorderedRows):
            return ReorderedRows(x.x, x.order[order.to(x.order.device)])
        return ReorderedRows(x, order)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.order)

    @property
    def shape(self) -> torch.Size:
        """Number of rows and of columns."""
        return torch.Size((len(self.order), *self.x.shape[1:]))

    @property
    def device(self) -> torch.device:
        """Where the features are."""
        return self.x.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the features."""
        return self.x.dtype

    def dim(self) -> int:
        """Return the number of dimensions."""
        return self.x.dim()

    def __getitem__(self, i: Tensor | slice | tuple[slice, slice]) -> Tensor:
        """Return rows by their numbers, or some columns of all rows."""
        if isinstance(i, slice):
            return self.x.index_select(0, self.order[i].to(self.x.device))
        if isinstance(i, tuple):
            return self.x[i].index_select(0, self.order.to(self.x.device))
        return self.index_select(0, i)

    def index_select(self, _dim: int, rows: Tensor) -> Tensor:
        """Return rows by their numbers."""
        return self.x.index_select(0, self.order[rows.to(self.order.device)].to(self.x.device))

    def to(self, dtype: torch.dtype) -> Tensor:
        """Return all rows as a tensor of this type."""
        return self.index_select(0, torch.arange(len(self))).to(dtype)

    def new_empty(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """Return an uninitialised tensor on the device of the features."""
        return self.x.new_empty(*shape, dtype=dtype)

    def split(self, size: int) -> Iterator[Tensor]:
        """Yield the rows in parts of ``size``."""
        for rows in torch.arange(len(self)).split(size):
            yield self.index_select(0, rows)


def _tied(
    order: NDArray[np.int64], group: NDArray[np.int64], value: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Row numbers whose prompt and value another row has, too, in ascending order."""
    g, v = group[order], value[order]
    equal = (g[1:] == g[:-1]) & (v[1:] == v[:-1])
    marked = np.zeros(len(order), dtype=bool)
    marked[1:] |= equal
    marked[:-1] |= equal
    return np.sort(order[marked])


def _column_digests(columns: Mapping[str, Tensor], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """An integer for some rows that changes with every column."""
    at, digest = torch.from_numpy(rows), np.zeros(len(rows), dtype=np.int64)
    for name in sorted(columns):
        part = columns[name].cpu()[at]
        if name == "user":
            part = part.clamp(min=-1)  # ids below 0 number the rows of unknown users
        values = part.double().flatten(1) if part.dim() > 1 else part.double()[:, None]
        values = torch.where(values.isnan(), torch.nan, values + 0.0)  # -0.0 + 0.0 is 0.0
        digest = 3 * digest + _mixed(values.contiguous().numpy().view(np.int64))
    return digest


def _feature_digests(x: Tensor, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """An integer for some rows that changes with every bit of their features."""
    digest = np.zeros(len(rows), dtype=np.int64)
    for start in range(0, len(rows) if x.shape[1] else 0, CHUNK):
        at = torch.from_numpy(rows[start : start + CHUNK]).to(x.device)
        part = x.index_select(0, at).cpu().view(torch.uint8).numpy()
        whole = np.pad(part, ((0, 0), (0, -part.shape[1] % 8)))
        digest[start : start + CHUNK] = _mixed(whole.view(np.int64))
    return digest


def _mixed(words: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n, k) words -> (n,) sums with random odd factors, modulo 2^64."""
    factor = numpy_stream(0, "row digests").integers(-(2**62), 2**62, words.shape[1]) | 1
    sums: NDArray[np.int64] = ((words ^ (words >> 32)) * factor).sum(1)
    return sums
