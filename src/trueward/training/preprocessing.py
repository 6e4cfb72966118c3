"""Standardisation and random projection of features, batch by batch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trueward.core.random import torch_stream

if TYPE_CHECKING:
    from trueward.data.feedback import Feedback

SAMPLE = 4096  # rows that means, deviations and principal directions are estimated from
CHUNK = 256  # rows that are standardised at once


@dataclass(frozen=True)
class Standardizer:
    """x -> (x - mean) / sd by column, clipped at ``limit`` standard deviations; constant columns become 0.

    Mean and scale are rounded to bf16, so that fp32 and bf16 products have the same centre.

    Attributes
    ----------
    mean : Tensor
        (d,) column means.
    scale : Tensor
        (d,) 1 / sd, 0 where sd is 0.
    limit : float, default 10
        Largest absolute value after standardisation.

    """

    mean: Tensor
    scale: Tensor
    limit: float = 10.0

    @staticmethod
    def fit(x: Tensor) -> Standardizer:
        """Estimate mean and scale from up to 4096 rows spread over the data, without a second copy.

        Parameters
        ----------
        x : Tensor
            (n, d) features.

        """
        parts = spread_rows(len(x), SAMPLE).split(CHUNK)
        n = max(1, sum(map(len, parts)))
        near = x[parts[0]].float().mean(0)  # one pass: squares about a near centre lose no digits
        total, square = torch.zeros_like(near), torch.zeros_like(near)
        for i in parts:
            gap = x[i].float().sub_(near)
            total += gap.sum(0)
            square += gap.square_().sum(0)
        mean = _round_to_bf16(near + total / n)
        sd = (square / n - (total / n).square()).clamp(min=0).sqrt()
        scale = torch.where(sd > 1e-6 * mean.abs() + 1e-12, 1 / sd, 0.0)
        return Standardizer(mean, _round_to_bf16(scale))

    @staticmethod
    def fit_common_scale(x: Tensor) -> Standardizer:
        """Scale all columns by one number, to a mean square of 1: principal directions keep their weight.

        Values are not clipped: a network on directions is then a network on x times a matrix
        (`trueward.fitting.crossfit.CrossFitData.projection`).

        Parameters
        ----------
        x : Tensor
            (n, k) coordinates in principal directions.

        """
        size = x[spread_rows(len(x), SAMPLE)].float().square().mean().sqrt().clamp(min=1e-12)
        ones = torch.ones_like(x[0]).float()
        return Standardizer(0 * ones, _round_to_bf16(ones / size), math.inf)

    def mean_square_quantile(self, x: Tensor, q: float = 0.999) -> float:
        """Return a quantile of the rows' mean squares after standardisation, from up to 4096 rows.

        Rows above the 0.999 quantile count as out of distribution.

        Parameters
        ----------
        x : Tensor
            (n, d) features.
        q : float, default 0.999
            Level of the quantile.

        """
        rows = spread_rows(len(x), SAMPLE)
        size = torch.empty(len(rows), device=x.device)
        for i, into in zip(rows.split(CHUNK), size.split(CHUNK), strict=True):
            torch.mean(self(x[i], torch.float32).square_(), 1, out=into)
        return float(size.quantile(q))

    def cpu(self) -> Standardizer:
        """Return a copy on the CPU."""
        return Standardizer(self.mean.cpu(), self.scale.cpu(), self.limit)

    def __call__(self, x: Tensor, dtype: torch.dtype, *, in_place: bool = False) -> Tensor:
        """Standardise a batch, in bf16 where the features and the network are both bf16.

        Parameters
        ----------
        x : Tensor
            (n, d) features.
        dtype : torch.dtype
            Dtype of the result.
        in_place : bool, default False
            Whether x may be overwritten.

        """
        work = dtype if x.dtype == dtype else torch.float32
        overwrite = in_place or x.dtype != work
        x, mean = x.to(work), self.mean.to(work)
        centred = x.sub_(mean) if overwrite else x.sub(mean)
        return centred.mul_(self.scale.to(work)).clamp_(-self.limit, self.limit).to(dtype)


@dataclass(frozen=True)
class InputTransform:
    """Network inputs from the columns of a log: standardised features, context, and both.

    Attributes
    ----------
    x : Standardizer
        Of the features.
    z : Standardizer or None
        Of the context; None where the log has none.
    dtype : torch.dtype
        Dtype of the inputs.

    """

    x: Standardizer
    z: Standardizer | None
    dtype: torch.dtype

    @staticmethod
    def fit(data: Feedback, dtype: torch.dtype) -> InputTransform:
        """Estimate the standardisation from training rows.

        Parameters
        ----------
        data : Feedback
            The training rows.
        dtype : torch.dtype
            Dtype of the inputs.

        """
        z = None if data.z is None else Standardizer.fit(data.z)
        return InputTransform(Standardizer.fit(data.x), z, dtype)

    def widths(self) -> dict[str, int]:
        """Return the number of columns of the inputs ``x``, ``z`` and ``xz``."""
        d, c = len(self.x.mean), 0 if self.z is None else len(self.z.mean)
        return {"x": d, "z": c, "xz": d + c}

    def __call__(
        self, x: Tensor, z: Tensor | None, names: set[str], *, in_place: bool = False
    ) -> dict[str, Tensor]:
        """Compute the inputs of a batch.

        Parameters
        ----------
        x : Tensor
            (n, d) features.
        z : Tensor or None
            (n, c) context.
        names : set of str
            Inputs to compute: ``x``, ``z``, ``xz``.
        in_place : bool, default False
            Whether x may be overwritten.

        """
        parts = {"x": self.x(x, self.dtype, in_place=in_place)} if names & {"x", "xz"} else {}
        if z is not None and self.z is not None and names & {"z", "xz"}:
            parts["z"] = self.z(z, self.dtype)
        if "xz" in names:
            parts["xz"] = torch.cat([parts["x"], parts["z"]], 1) if "z" in parts else parts["x"]
        return parts


def principal_directions(x: Tensor, transform: InputTransform, width: int, seed: int) -> Tensor:
    """Estimate an orthonormal basis of the leading principal directions of the standardised features.

    Parameters
    ----------
    x : Tensor
        (n, d) features.
    transform : InputTransform
        Standardises them.
    width : int
        Number k of directions.
    seed : int
        Root of the random stream ``directions``.

    Returns
    -------
    Tensor
        (d, k) basis.

    Notes
    -----
    Randomised range finder with one power step, on 16 rows a direction.

    References
    ----------
    Halko, Martinsson and Tropp, SIAM Review 2011.

    """
    start = torch.randn(x.shape[1], width, generator=torch_stream(seed, "directions"))
    basis = start.to(x.device, transform.dtype)
    del start
    for _ in range(2):
        image = torch.zeros(x.shape[1], width, device=x.device)
        for i in spread_rows(len(x), 16 * width).split(CHUNK):
            rows = transform.x(x[i], transform.dtype)
            image += (rows.T @ (rows @ basis)).float()
        basis = torch.linalg.qr(image)[0].to(transform.dtype)
    return basis


def project(x: Tensor, transform: InputTransform, basis: Tensor) -> Tensor:
    """Return the coordinates of the standardised features in a basis.

    Parameters
    ----------
    x : Tensor
        (n, d) features.
    transform : InputTransform
        Standardises them.
    basis : Tensor
        (d, k).

    Returns
    -------
    Tensor
        (n, k).

    """
    # one allocation: the results of chunks, kept until the end, would fragment the heap
    out = x.new_empty(len(x), basis.shape[1], dtype=transform.dtype)
    for part, into in zip(x.split(CHUNK), out.split(CHUNK), strict=True):
        torch.mm(transform.x(part, transform.dtype), basis, out=into)
    return out


def spread_rows(n: int, most: int) -> Tensor:
    """Return row numbers, evenly spread.

    Parameters
    ----------
    n : int
        Number of rows.
    most : int
        Largest number of row numbers.

    """
    return torch.arange(most) * n // most if n > most else torch.arange(n)


def _round_to_bf16(v: Tensor) -> Tensor:
    return v.bfloat16().float()
