"""A reward composed of the networks of its nuisances, without a network of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trueward.data.feedback import Columns, Feedback
from trueward.estimation.nuisance_types import Nuisance, Parameters
from trueward.training.networks import Net, Shape

from .nuisance_columns import fill_nuisances

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trueward.estimation.method import Method
    from trueward.estimation.nuisance_types import Computed, Derived

    from .nuisance_columns import Splits

# of a nuisance: its networks, one a view of the features, or else its parameters
FittedNuisance = tuple[Net, ...] | Parameters


@dataclass(frozen=True, eq=False)
class ComposedModel:
    """s_m(x) = logit of the column ``target`` of eta_m(x), with eta_m from the nuisances' m-th members.

    Replaces a `Net`: standardised features in; logits of ``reward`` out, and of the ends ``low`` and
    ``high`` of an interval where the method has one. All its nuisances read x alone.

    Attributes
    ----------
    method : Method
        The method, whose nuisances these are.
    parts : mapping of str to FittedNuisance
        Nuisance -> its networks (the calibration included), or its parameters.
    projection : Tensor or None
        (d, k) from standardised features to the inputs of networks on principal directions; None where
        they read all features.

    """

    method: Method
    parts: Mapping[str, FittedNuisance]
    projection: Tensor | None

    @property
    def members(self) -> int:
        """Number of members: one a fold, or 1 where no nuisance is a network."""
        return max((net.members for net in self._nets.values()), default=1)

    @property
    def _nets(self) -> dict[str, Net]:
        """Every network, by nuisance and number of its view."""
        parts = {k: v for k, v in self.parts.items() if isinstance(v, tuple)}
        return {f"{k}/{i}": net for k, nets in parts.items() for i, net in enumerate(nets)}

    def _views(self, nuisance: Nuisance) -> tuple[Net, ...]:
        nets = self.parts[nuisance.name]
        assert isinstance(nets, tuple)
        return nets

    @torch.no_grad()
    def __call__(self, inputs: Mapping[str, Tensor]) -> Columns:
        """Compute the logits of ``reward``, and of ``low`` and ``high`` where the method has an interval.

        Parameters
        ----------
        inputs : mapping of str to Tensor
            ``x``: (n, d) standardised features.

        Returns
        -------
        Columns
            (M, n) each.

        """
        x = inputs["x"]
        directions = x if self.projection is None else x @ self.projection
        views = {"leading": (directions,), "both": (directions, x), "all": (x,)}
        logits = {
            nu.name: torch.stack(
                [
                    net({"x": view}).reward
                    for net, view in zip(self._views(nu), views[nu.views], strict=True)
                ]
            ).mean(0)
            for nu in self.method.nuisances
            if isinstance(nu, Nuisance)
        }
        nothing = torch.zeros(len(x), dtype=torch.float64)
        rows = Feedback(directions, nothing, nothing)
        members = [
            fill_nuisances(self.method.nuisances, (rows,), _Member(self, logits, m))[0].eta
            for m in range(self.members)
        ]
        names = {"reward": "target"} | {k: k for k in ("low", "high") if k in members[0]}
        return Columns(
            {
                k: torch.stack([torch.logit(eta[c].double(), 1e-12) for eta in members])
                for k, c in names.items()
            }
        )

    def parameters(self, name: str) -> Parameters:
        """Return the parameters of a nuisance that is not a network.

        Parameters
        ----------
        name : str
            Name of the nuisance.

        """
        part = self.parts[name]
        assert isinstance(part, dict)
        return part

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors by name, for `from_tensors`."""
        tensors = {} if self.projection is None else {"projection": self.projection}
        for name, part in self.parts.items():
            if isinstance(part, dict):
                tensors |= {f"parameters/{name}/{k}": v for k, v in part.items()}
        for name, net in self._nets.items():
            tensors |= {f"nets/{name}/{k}": v for k, v in net.tensors().items()}
        return tensors

    def shapes(self) -> dict[str, Any]:
        """Return the shape of every network, by nuisance and number of its view."""
        return {name: net.shape.to_json() for name, net in self._nets.items()}

    @staticmethod
    def from_tensors(
        method: Method, shapes: Mapping[str, Any], tensors: Mapping[str, Tensor]
    ) -> ComposedModel:
        """Restore a model from the results of `shapes` and `tensors`.

        Parameters
        ----------
        method : Method
            The method.
        shapes : mapping
            Result of `shapes`.
        tensors : mapping of str to Tensor
            Result of `tensors`.

        """
        parts: dict[str, FittedNuisance] = {}
        for nuisance in method.nuisances:
            name = nuisance.name
            if isinstance(nuisance, Nuisance):
                views = sorted(k for k in shapes if k.rpartition("/")[0] == name)
                parts[name] = tuple(
                    Net.from_tensors(Shape.from_json(shapes[k]), _below(f"nets/{k}/", tensors))
                    for k in views
                )
            else:
                parts[name] = _below(f"parameters/{name}/", tensors)
        return ComposedModel(method, parts, tensors.get("projection"))


@dataclass(frozen=True)
class _Member:
    """Values of the nuisances by member m of their networks."""

    model: ComposedModel
    logits: dict[str, Tensor]
    m: int

    def probabilities(self, nuisance: Nuisance, _splits: Splits) -> Sequence[Tensor]:
        logits = self.logits[nuisance.name]
        return [torch.sigmoid(logits[min(self.m, len(logits) - 1)].double())]

    def parameters(self, nuisance: Derived | Computed, _splits: Splits) -> Parameters:
        return self.model.parameters(nuisance.name)

    def rows(self, _nuisance: Computed, splits: Splits) -> Splits:
        return splits


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
