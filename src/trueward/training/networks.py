"""MLP heads over fixed features, all members of an ensemble in one network."""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trueward.core.random import torch_stream
from trueward.data.feedback import Columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


SCALAR_RATE = 30.0  # a head that is one learned number moves this much faster than a weight


@dataclass(frozen=True)
class Shape:
    """Architecture of a network.

    Attributes
    ----------
    inputs : dict of str to int
        Number of columns of every input.
    heads : dict of str to str
        Head -> its input (x, z, xz), or ``one`` for a single learned number.
    hidden : tuple of int
        Widths of the hidden layers.
    shared : bool
        Whether heads on one input share a trunk.
    members : int
        Size of the ensemble.
    exposed : bool
        Whether the last hidden layer of the head ``reward`` is an output, too.

    """

    inputs: dict[str, int]
    heads: dict[str, str]
    hidden: tuple[int, ...] = (256, 64)
    shared: bool = False
    members: int = 1
    exposed: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain data for `from_json`."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Shape:
        """Restore a shape from the result of `to_json`."""
        return Shape(**{**data, "hidden": tuple(data["hidden"])})


class TrainableNet(Protocol):
    """What the training loop trains: parameters and outputs have a leading axis of ensemble members."""

    shape: Shape

    def __call__(self, inputs: Mapping[str, Tensor], /) -> Columns:
        """Return (M, n) logits of every head."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return the parameters, (M, ...) each."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Delete the gradients."""


class MLPEnsemble(nn.Module):
    """M independent MLPs d -> hidden -> k with LeakyReLU; (n, d) -> (M, n, k).

    The first layers of all members are one matrix product.

    Parameters
    ----------
    sizes : tuple of int
        d, the widths of the hidden layers, k.
    streams : list of torch.Generator
        Random stream of the initial weights of every member.

    """

    def __init__(self, sizes: tuple[int, ...], streams: list[torch.Generator]) -> None:
        super().__init__()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for a, b in itertools.pairwise(sizes):
            for into, size in ((self.weights, (a, b)), (self.biases, (1, b))):
                drawn = torch.stack([torch.rand(size, generator=g) for g in streams])
                into.append(nn.Parameter((drawn * 2 - 1) / math.sqrt(max(a, 1))))

    def hidden(self, h: Tensor) -> Tensor:
        """Apply all layers but the last.

        Parameters
        ----------
        h : Tensor
            (n, d) rows for all members, or (L, n, d) rows for M / L members each.

        Returns
        -------
        Tensor
            (M, n, width of the last hidden layer); ``h`` itself where there is none.

        """
        for k in range(len(self.weights) - 1):
            h = F.leaky_relu(self._layer(k, h))
        return h

    def last(self, h: Tensor) -> Tensor:
        """Apply the last layer to the result of `hidden`."""
        return self._layer(len(self.weights) - 1, h)

    def _layer(self, k: int, h: Tensor) -> Tensor:
        w: Tensor = self.weights[k].to(h.dtype)
        bias: Tensor = self.biases[k].to(h.dtype)
        h = h[None] if h.dim() == 2 else h
        if len(h) < len(w):  # members that read the same rows: one product for all of them
            own = w.unflatten(0, (len(h), -1))
            flat = torch.bmm(h, own.transpose(1, 2).flatten(2))
            h = flat.unflatten(-1, (own.shape[1], -1)).transpose(1, 2).flatten(0, 1)
            return h.contiguous() + bias  # else each later product first copies its operands
        return torch.bmm(h, w) + bias


class Net(nn.Module):
    """One logit per row, head and member: {"x": (n, d), "z": (n, c)} -> head -> (M, n).

    Parameters
    ----------
    shape : Shape
        The architecture.
    seed : int
        Root of the random streams of the initial weights.
    *names : str or int
        Names of the random stream, after ``initialisation``.

    """

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
                    trunks[source] = MLPEnsemble(sizes[:-1], streams)
                sizes = sizes[-2:]
            heads[name] = MLPEnsemble(sizes, streams)
        self.trunks, self.heads = nn.ModuleDict(trunks), nn.ModuleDict(heads)

    def forward(self, inputs: Mapping[str, Tensor]) -> Columns:
        """Compute the logits of the heads whose inputs are given; a score needs no context.

        Parameters
        ----------
        inputs : mapping of str to Tensor
            (n, d) each, or (L, n, d) where the members are those of L stacked networks.

        Returns
        -------
        Columns
            Head -> (M, n) float32, and ``hidden`` (M, n, h) where the shape exposes it.

        """
        seen = dict(inputs)
        for k, trunk in self.trunks.items():
            if k in inputs:
                assert isinstance(trunk, MLPEnsemble)
                seen[k] = F.leaky_relu(trunk.last(trunk.hidden(inputs[k])))
        out = {}
        for name, source in self.shape.heads.items():
            if source in seen:
                mlps = self.heads[name]
                assert isinstance(mlps, MLPEnsemble)
                last = mlps.hidden(seen[source])
                out[name] = mlps.last(last).squeeze(-1).float()
                if self.shape.exposed and name == "reward":
                    out["hidden"] = last.float()
        n = next(iter(out.values())).shape[1]
        out |= {name: SCALAR_RATE * v.expand(-1, n).float() for name, v in self.numbers.items()}
        return Columns(out)

    def member(self, m: int) -> Net:
        """Return a copy of member ``m`` alone."""
        alone = copy.deepcopy(self)
        alone.shape = replace(self.shape, members=1)
        for p in alone.parameters():
            p.data = p.data[m : m + 1]
        return alone

    @property
    def members(self) -> int:
        """Size of the ensemble."""
        return self.shape.members

    def shapes(self) -> dict[str, Any]:
        """Return the shape as plain data."""
        return self.shape.to_json()

    def tensors(self) -> dict[str, Tensor]:
        """Return all weights by name."""
        return dict(self.state_dict())

    @staticmethod
    def from_tensors(shape: Shape, tensors: Mapping[str, Tensor]) -> Net:
        """Restore a network from its shape and the result of `tensors`.

        Parameters
        ----------
        shape : Shape
            The architecture.
        tensors : mapping of str to Tensor
            All weights by name.

        """
        net = Net(shape, 0)
        net.load_state_dict(dict(tensors))
        return net.eval()

    def linear(self) -> dict[str, tuple[Tensor, Tensor]] | None:
        """Return head -> (w (d,), b ()) of a single network without hidden layers, else None."""
        if self.members > 1 or self.shape.hidden:
            return None
        heads = {}
        for name, mlps in self.heads.items():
            assert isinstance(mlps, MLPEnsemble)
            w, b = (p[0].detach().cpu() for p in (mlps.weights, mlps.biases))
            heads[name] = w[0, :, 0], b[0, 0, 0]
        return heads

    def scaled(self, slope: float, offset: float) -> Net:
        """Return a copy on the CPU whose reward logit is ``slope`` v + ``offset`` for the logit v.

        Parameters
        ----------
        slope, offset : float
            Of Platt's calibration.

        """
        other = copy.deepcopy(self).cpu().eval()
        last = other.heads["reward"]
        assert isinstance(last, MLPEnsemble)
        with torch.no_grad():
            last.weights[-1].mul_(slope)
            last.biases[-1].mul_(slope).add_(offset)
        return other
