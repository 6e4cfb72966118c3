"""Networks over fixed features: MLP heads, several members of each trained at once."""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trueward.core.random import torch_stream
from trueward.data.feedback import Columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


ONE = 30.0  # a single learned number moves this much faster than a weight


@dataclass(frozen=True)
class Shape:
    """What a network looks like: input widths, heads (name -> x, z, xz or one), hidden layers, members.

    ``exposed``: the last hidden layer of the reward is an output, too.
    """

    inputs: dict[str, int]
    heads: dict[str, str]
    hidden: tuple[int, ...] = (256, 64)
    shared: bool = False
    members: int = 1
    exposed: bool = False

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

    def hidden(self, h: Tensor, rows: Sequence[int] | None = None) -> Tensor:
        """Apply all layers but the last to (n, d) rows for all members, or (L, n, d) for M / L each.

        ``rows``: how many of the n rows of each of the L are meant; no other is learned from.
        """
        for k in range(len(self.weights) - 1):
            h = F.leaky_relu(self._layer(k, h, rows))
        return h

    def last(self, h: Tensor, rows: Sequence[int] | None = None) -> Tensor:
        """Apply the last layer to what ``hidden`` gave."""
        return self._layer(len(self.weights) - 1, h, rows)

    def _layer(self, k: int, h: Tensor, rows: Sequence[int] | None) -> Tensor:
        w: Tensor = self.weights[k].to(h.dtype)
        bias: Tensor = self.biases[k].to(h.dtype)
        h = h[None] if h.dim() == 2 else h
        if len(h) < len(w):  # the members of a run read the same rows: one product for all of them
            mine = w.unflatten(0, (len(h), -1))
            flat = product(h, mine.transpose(1, 2).flatten(2), rows)
            h = flat.unflatten(-1, (mine.shape[1], -1)).transpose(1, 2).flatten(0, 1)
            return h + bias
        return shifted(product(h, w, rows), bias, rows)


def product(h: Tensor, w: Tensor, rows: Sequence[int] | None = None) -> Tensor:
    """(L, n, a) x (L, a, b), equal in every bit to the L products one by one, and so its gradient.

    That is why a single column is a sum and not a product, and why runs of unequal length are
    apart in the gradient of w: both would add in another order.
    """
    if w.shape[2] == 1 and h.dtype == torch.float32:
        return (h * w.transpose(1, 2)).sum(-1, keepdim=True)
    if rows is None or min(rows) == h.shape[1]:
        return torch.bmm(h, w)
    out: Tensor = _Ragged.apply(h, w, rows)  # type: ignore[no-untyped-call]
    return out


def shifted(h: Tensor, bias: Tensor, rows: Sequence[int] | None = None) -> Tensor:
    """(L, n, b) + (L, 1, b), equal in every bit to the L sums one by one, and so its gradient."""
    if rows is None or min(rows) == h.shape[1] or bias.shape[2] > 1:  # columns are added row by row
        return h + bias
    out: Tensor = _RaggedShift.apply(h, bias, rows)  # type: ignore[no-untyped-call]
    return out


class _Ragged(torch.autograd.Function):
    """torch.bmm whose k-th gradient in w comes from the first rows[k] rows only."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, w: Tensor, rows: Sequence[int]) -> Tensor:
        ctx.save_for_backward(h, w)
        ctx.rows = rows
        return torch.bmm(h, w)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor, None]:
        h, w = ctx.saved_tensors
        each = len(h) // len(ctx.rows)
        sizes = [n for n in ctx.rows for _ in range(each)]
        parts = [h[k, :n].T @ slope[k, :n] for k, n in enumerate(sizes)]
        into = torch.bmm(slope, w.transpose(1, 2)) if ctx.needs_input_grad[0] else None
        return into, torch.stack(parts), None


class _RaggedShift(torch.autograd.Function):
    """h + bias whose k-th gradient in bias comes from the first rows[k] rows only."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, bias: Tensor, rows: Sequence[int]) -> Tensor:
        ctx.rows = rows
        return h + bias

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, None]:
        each = len(slope) // len(ctx.rows)
        sizes = [n for n in ctx.rows for _ in range(each)]
        parts = [slope[k, :n].sum(0, keepdim=True) for k, n in enumerate(sizes)]
        return slope, torch.stack(parts), None


class Net(nn.Module):
    """One logit a row for every head and member: {"x": (n, d), "z": (n, c)} -> name -> (M, n)."""

    def __init__(self, shape: Shape, seed: int, *names: str | int) -> None:
        super().__init__()
        streams = [torch_stream(seed, "initialisation", *names, m) for m in range(shape.members)]
        self.shape = shape
        trunks: dict[str, nn.Module] = {}
        heads: dict[str, nn.Module] = {}
        self.numbers = nn.ParameterDict()
        for name, source in shape.heads.items():
            if source == "one":
                self.numbers[name] = nn.Parameter(torch.zeros(shape.members, 1))
                continue
            sizes = (shape.inputs[source], *shape.hidden, 1)
            if shape.shared and shape.hidden:
                if source not in trunks:
                    trunks[source] = Stack(sizes[:-1], streams)
                sizes = sizes[-2:]
            heads[name] = Stack(sizes, streams)
        self.trunks, self.heads = nn.ModuleDict(trunks), nn.ModuleDict(heads)

    def forward(self, inputs: Mapping[str, Tensor], rows: Sequence[int] | None = None) -> Columns:
        """Logits, float32, of the heads whose inputs are given; a score needs no context.

        ``rows``: how many rows of each of the L runs of (L, n, d) inputs are meant.
        """
        seen = dict(inputs)
        for k, trunk in self.trunks.items():
            if k in inputs:
                assert isinstance(trunk, Stack)
                seen[k] = F.leaky_relu(trunk.last(trunk.hidden(inputs[k], rows), rows))
        out = {}
        for name, source in self.shape.heads.items():
            if source in seen:
                stack = self.heads[name]
                assert isinstance(stack, Stack)
                last = stack.hidden(seen[source], rows)
                out[name] = stack.last(last, rows).squeeze(-1).float()
                if self.shape.exposed and name == "reward":
                    out["hidden"] = last.float()
        n = next(iter(out.values())).shape[1]
        out |= {name: ONE * v.expand(-1, n).float() for name, v in self.numbers.items()}
        return Columns(out)

    def member(self, m: int) -> Net:
        """Member ``m`` alone."""
        alone = copy.deepcopy(self)
        alone.shape = replace(self.shape, members=1)
        for p in alone.parameters():
            p.data = p.data[m : m + 1]
        return alone

    @property
    def members(self) -> int:
        """How many networks these are."""
        return self.shape.members

    def shapes(self) -> dict[str, Any]:
        """Its shape as plain data."""
        return self.shape.to_json()

    def tensors(self) -> dict[str, Tensor]:
        """All weights, by name."""
        return dict(self.state_dict())

    @staticmethod
    def of(shape: Shape, tensors: Mapping[str, Tensor]) -> Net:
        """Undo ``tensors``."""
        net = Net(shape, 0)
        net.load_state_dict(dict(tensors))
        return net.eval()

    def linear(self) -> dict[str, tuple[Tensor, Tensor]] | None:
        """Name -> w (d,) and b () of one network without hidden layers; None where it is none."""
        if self.members > 1 or self.shape.hidden:
            return None
        found = {}
        for name, stack in self.heads.items():
            assert isinstance(stack, Stack)
            w, b = (p[0].detach().cpu() for p in (stack.weights, stack.biases))
            found[name] = w[0, :, 0], b[0, 0, 0]
        return found

    def scaled(self, slope: float, offset: float) -> Net:
        """The same on the CPU, with ``slope`` v + ``offset`` in place of the logit v of the reward."""
        other = copy.deepcopy(self).cpu().eval()
        last = other.heads["reward"]
        assert isinstance(last, Stack)
        with torch.no_grad():
            last.weights[-1].mul_(slope)
            last.biases[-1].mul_(slope).add_(offset)
        return other
