"""What a network takes: features standardised in place of use, and reduced where there are many."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trueward.core.random import torch_stream

if TYPE_CHECKING:
    from trueward.data.feedback import Feedback

SAMPLE = 4096  # rows that means, deviations and directions are measured on
CHUNK = 256  # rows that are standardised at once


@dataclass(frozen=True)
class Standard:
    """x -> (x - mean) / sd by column, held within ``limit`` deviations; constant columns become 0.

    Mean and scale are rounded to bf16, so that fp32 and bf16 products see the same centre.
    """

    mean: Tensor
    scale: Tensor  # 1 / sd, 0 where sd is 0
    limit: float = 10.0

    @staticmethod
    def of(x: Tensor) -> Standard:
        """Measure up to 4 096 rows, spread over the data, in chunks: no second copy is made."""
        parts = _some(len(x), SAMPLE).split(CHUNK)
        n = max(1, sum(map(len, parts)))
        near = x[parts[0]].float().mean(0)  # one pass: squares about a near centre lose no digits
        total, square = torch.zeros_like(near), torch.zeros_like(near)
        for i in parts:
            gap = x[i].float().sub_(near)
            total += gap.sum(0)
            square += gap.square_().sum(0)
        mean = _rounded(near + total / n)
        sd = (square / n - (total / n).square()).clamp(min=0).sqrt()
        return Standard(mean, _rounded(torch.where(sd > 1e-6 * mean.abs() + 1e-12, 1 / sd, 0.0)))

    @staticmethod
    def even(x: Tensor) -> Standard:
        """Scale all columns alike, to a mean square of 1: principal directions keep their weight.

        Nothing is held back: a network on directions is then one on x times a matrix (`Ground.projection`).
        """
        size = x[_some(len(x), SAMPLE)].float().square().mean().sqrt().clamp(min=1e-12)
        ones = torch.ones_like(x[0]).float()
        return Standard(0 * ones, _rounded(ones / size), math.inf)

    def usual(self, x: Tensor, share: float = 0.999) -> float:
        """Quantile of the mean square of standardised rows, of up to 4 096 rows."""
        parts = [
            self(x[i], torch.float32).square().mean(1) for i in _some(len(x), SAMPLE).split(CHUNK)
        ]
        return float(torch.cat(parts).quantile(share))

    def cpu(self) -> Standard:
        """The same on the CPU."""
        return Standard(self.mean.cpu(), self.scale.cpu(), self.limit)

    def __call__(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Standardise a batch; in bf16 where both the features and the network are."""
        work = dtype if x.dtype == dtype else torch.float32
        centred = x.to(work).sub(self.mean.to(work))
        return centred.mul_(self.scale.to(work)).clamp_(-self.limit, self.limit).to(dtype)


@dataclass(frozen=True)
class Inputs:
    """Turns rows of a log into what a network takes: standardised x, z and both."""

    x: Standard
    z: Standard | None
    dtype: torch.dtype

    @staticmethod
    def of(data: Feedback, dtype: torch.dtype) -> Inputs:
        """Measure the training rows."""
        return Inputs(Standard.of(data.x), None if data.z is None else Standard.of(data.z), dtype)

    def sizes(self) -> dict[str, int]:
        """Width of x, z and xz."""
        d, c = len(self.x.mean), 0 if self.z is None else len(self.z.mean)
        return {"x": d, "z": c, "xz": d + c}

    def __call__(self, x: Tensor, z: Tensor | None, wanted: set[str]) -> dict[str, Tensor]:
        """Give the ``wanted`` inputs of a batch."""
        parts = {"x": self.x(x, self.dtype)} if wanted & {"x", "xz"} else {}
        if z is not None and self.z is not None and wanted & {"z", "xz"}:
            parts["z"] = self.z(z, self.dtype)
        if "xz" in wanted:
            parts["xz"] = torch.cat([parts["x"], parts["z"]], 1) if "z" in parts else parts["x"]
        return parts


class Numbers:
    """Row numbers in the place of features: what a tuned model finds its texts by."""

    def __init__(self, width: int) -> None:
        self.width = width

    def sizes(self) -> dict[str, int]:
        """Width of what the heads see."""
        return {"x": self.width, "z": 0, "xz": self.width}

    def __call__(self, x: Tensor, _z: Tensor | None, _wanted: set[str]) -> dict[str, Tensor]:
        """Give the numbers as they are."""
        return {"x": x}


def row_digests(x: Tensor) -> Tensor:
    """(n,) product of every row with one fixed vector: not finite where a row is not."""
    probe = torch.cos(torch.arange(x.shape[1], dtype=torch.float32)) / max(1, x.shape[1])
    if x.dtype == torch.bfloat16:
        return (x @ probe.to(x)).float()
    return torch.cat([part.float() @ probe.to(x.device) for part in x.split(CHUNK)])


def leading(x: Tensor, inputs: Inputs, width: int, seed: int) -> Tensor:
    """(d, width) orthonormal basis near the leading principal directions of the standardised x.

    Randomised range finder with one power step (Halko, Martinsson and Tropp, SIAM Review 2011) on
    16 rows a direction.
    """
    start = torch.randn(x.shape[1], width, generator=torch_stream(seed, "directions"))
    basis = start.to(x.device, inputs.dtype)
    for _ in range(2):
        image = torch.zeros(x.shape[1], width, device=x.device)
        for i in _some(len(x), 16 * width).split(CHUNK):
            rows = inputs.x(x[i], inputs.dtype)
            image += (rows.T @ (rows @ basis)).float()
        basis = torch.linalg.qr(image)[0].to(inputs.dtype)
    return basis


def reduced(x: Tensor, inputs: Inputs, basis: Tensor) -> Tensor:
    """(n, width) coordinates of the standardised x in ``basis``, chunk by chunk."""
    parts = [inputs.x(part, inputs.dtype) @ basis for part in x.split(CHUNK)]
    return torch.cat(parts)


def _some(n: int, most: int) -> Tensor:
    """Row numbers, at most ``most`` of them, evenly spread."""
    return torch.arange(most) * n // most if n > most else torch.arange(n)


def _rounded(v: Tensor) -> Tensor:
    return v.bfloat16().float()
