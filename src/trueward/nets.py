"""Networks over fixed features: MLP heads, several members of each trained at once."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .data import Columns
from .streams import torch_stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .data import Feedback, Labelled


@dataclass(frozen=True)
class Shape:
    """What a network looks like: input widths, heads (name -> x, z or xz), hidden layers, members."""

    inputs: dict[str, int]
    heads: dict[str, str]
    hidden: tuple[int, ...] = (256, 64)
    shared: bool = False
    members: int = 1

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` takes back."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Shape:
        """Undo `to_json`."""
        return Shape(**{**data, "hidden": tuple(data["hidden"])})


class Stack(nn.Module):
    """M independent MLPs d -> hidden -> k with LeakyReLU; (n, d) -> (M, n, k).

    The first layers of all members are one matrix product.
    """

    def __init__(self, sizes: tuple[int, ...], streams: list[torch.Generator]) -> None:
        super().__init__()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for a, b in itertools.pairwise(sizes):
            for into, size in ((self.weights, (a, b)), (self.biases, (1, b))):
                drawn = torch.stack([torch.rand(size, generator=g) for g in streams])
                into.append(nn.Parameter((drawn * 2 - 1) / math.sqrt(max(a, 1))))

    def forward(self, h: Tensor) -> Tensor:
        """Apply the layers to (n, d) rows, or to the (M, n, h) output of another stack."""
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            w = weight.to(h.dtype)
            if h.dim() == 2:
                flat = h @ w.transpose(0, 1).reshape(w.shape[1], -1)
                h = flat.unflatten(-1, (w.shape[0], w.shape[2])).transpose(0, 1)
            else:
                h = h @ w
            h = h + bias.to(h.dtype)
            if k + 1 < len(self.weights):
                h = F.leaky_relu(h)
        return h


class Net(nn.Module):
    """One logit a row for every head and member: {"x": (n, d), "z": (n, c)} -> name -> (M, n)."""

    def __init__(self, shape: Shape, seed: int, *names: str | int) -> None:
        super().__init__()
        streams = [torch_stream(seed, "initialisation", *names, m) for m in range(shape.members)]
        self.shape = shape
        trunks: dict[str, nn.Module] = {}
        for name, source in shape.heads.items():
            sizes = (shape.inputs[source], *shape.hidden, 1)
            if shape.shared and shape.hidden:
                if source not in trunks:
                    trunks[source] = Stack(sizes[:-1], streams)
                sizes = sizes[-2:]
            self.add_module(f"head_{name}", Stack(sizes, streams))
        self.trunks = nn.ModuleDict(trunks)

    def forward(self, inputs: Mapping[str, Tensor]) -> Columns:
        """Logits of all heads, float32."""
        hidden = {k: F.leaky_relu(trunk(inputs[k])) for k, trunk in self.trunks.items()}
        heads = {
            name: self.get_submodule(f"head_{name}")(hidden.get(source, inputs[source]))
            for name, source in self.shape.heads.items()
        }
        return Columns({name: v.squeeze(-1).float() for name, v in heads.items()})


@dataclass(frozen=True)
class Standard:
    """x -> (x - mean) / sd by column, from the training rows; constant columns become 0."""

    mean: Tensor
    scale: Tensor  # 1 / sd, 0 where sd is 0

    @staticmethod
    def of(x: Tensor, chunk: int = 4096) -> Standard:
        """Measure the columns of ``x`` in chunks, so that no second copy of it is made."""
        n = max(1, len(x))
        parts = [x[i : i + chunk] for i in range(0, len(x), chunk)]
        total = torch.zeros(x.shape[1], dtype=torch.float64, device=x.device)
        for part in parts:
            total += part.sum(0, dtype=torch.float32)
        mean = (total / n).float()
        square = torch.zeros_like(total)
        for part in parts:
            square += (part.float() - mean).square_().sum(0)
        sd = (square / n).sqrt().float()
        return Standard(mean, torch.where(sd > 1e-6 * mean.abs() + 1e-12, 1 / sd, 0.0))

    def cpu(self) -> Standard:
        """The same on the CPU."""
        return Standard(self.mean.cpu(), self.scale.cpu())

    def __call__(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Standardise a batch, values beyond 10 standard deviations held at 10."""
        return (
            torch.addcmul(-self.mean * self.scale, x.float(), self.scale).clamp_(-10, 10).to(dtype)
        )


@dataclass(frozen=True)
class Inputs:
    """Turns rows of a log into what a network takes: standardised x, z and both."""

    x: Standard
    z: Standard | None
    dtype: torch.dtype

    @staticmethod
    def of(data: Feedback | Labelled, dtype: torch.dtype) -> Inputs:
        """Measure the training rows."""
        z = getattr(data, "z", None)
        return Inputs(Standard.of(data.x), None if z is None else Standard.of(z), dtype)

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
