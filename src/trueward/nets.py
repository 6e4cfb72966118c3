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
        """Logits, float32, of the heads whose inputs are given; a score needs no context."""
        hidden = {
            k: F.leaky_relu(trunk(inputs[k])) for k, trunk in self.trunks.items() if k in inputs
        }
        seen = {**inputs, **hidden}
        heads = {
            name: self.get_submodule(f"head_{name}")(seen[source])
            for name, source in self.shape.heads.items()
            if source in seen
        }
        return Columns({name: v.squeeze(-1).float() for name, v in heads.items()})
