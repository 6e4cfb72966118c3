"""A reward put together from the networks of its nuisances, with nothing trained on top."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trueward.data.feedback import Columns, Feedback
from trueward.estimation.nuisance_types import Computed, Nuisance, Parameters
from trueward.estimation.nuisances import Clip
from trueward.training.networks import Net, Shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trueward.estimation.method import Method

# of a nuisance, a network a view; else what its columns follow from
Part = tuple[Net, ...] | Parameters


@dataclass(frozen=True, eq=False)
class Composed:
    """s_m(x) = logit of the column ``target`` of eta_m(x): the nuisances by their m-th members, one a fold.

    Takes the place of a `Net`: standardised features in, logits of ``reward`` out, and of the ends ``low``
    and ``high`` of an interval where the method has one. ``projection`` (d, width) gives networks on the
    leading directions their features; None where they see all of them. Its nuisances read x alone.
    """

    method: Method
    parts: Mapping[str, Part]
    projection: Tensor | None

    @property
    def members(self) -> int:
        """One a fold; 1 where no nuisance is a network."""
        return max((net.members for net in self._nets.values()), default=1)

    @property
    def _nets(self) -> dict[str, Net]:
        """Every network, by nuisance and number of its view."""
        known = {k: v for k, v in self.parts.items() if isinstance(v, tuple)}
        return {f"{k}/{i}": net for k, nets in known.items() for i, net in enumerate(nets)}

    @torch.no_grad()
    def __call__(self, inputs: Mapping[str, Tensor]) -> Columns:
        """(M, n) logits of every column of ``target``, ``low`` and ``high`` there is."""
        x = inputs["x"]
        lead = x if self.projection is None else x @ self.projection
        logits = {
            name: torch.stack(
                [net({"x": view}).reward for net, view in zip(nets, (lead, x), strict=False)]
            ).mean(0)
            for name, nets in self.parts.items()
            if isinstance(nets, tuple)
        }
        nothing = torch.zeros(len(x), dtype=torch.float64)
        found = []
        for m in range(self.members):
            b = Feedback(lead, nothing, nothing)
            for nu in self.method.nuisances:
                if isinstance(nu, Nuisance):
                    made = {nu.name: Clip(nu.clip)(torch.sigmoid(logits[nu.name][m].double()))}
                elif isinstance(nu, Computed):
                    made = nu.apply(self.parameters(nu.name), b)
                else:
                    made = {k: v.expand(len(x)) for k, v in self.parameters(nu.name).items()}
                b = replace(b, eta=b.eta | made)
            found.append(b.eta)
        names = {"reward": "target"} | {k: k for k in ("low", "high") if k in found[0]}
        return Columns(
            {
                k: torch.stack([torch.logit(e[c].double(), 1e-12) for e in found])
                for k, c in names.items()
            }
        )

    def parameters(self, name: str) -> Parameters:
        """Give what the columns of a nuisance that is no network follow from."""
        part = self.parts[name]
        assert isinstance(part, dict)
        return part

    def tensors(self) -> dict[str, Tensor]:
        """All it consists of, by dotted name."""
        found = {} if self.projection is None else {"projection": self.projection}
        for name, part in self.parts.items():
            if isinstance(part, dict):
                found |= {f"parameters/{name}/{k}": v for k, v in part.items()}
        for name, net in self._nets.items():
            found |= {f"nets/{name}/{k}": v for k, v in net.tensors().items()}
        return found

    def shapes(self) -> dict[str, Any]:
        """The shape of every network, by nuisance and number of its view."""
        return {name: net.shape.to_json() for name, net in self._nets.items()}

    @staticmethod
    def of(method: Method, shapes: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Composed:
        """Undo ``tensors`` and ``shapes``."""
        parts: dict[str, Part] = {}
        for nu in method.nuisances:
            if isinstance(nu, Nuisance):
                mine = [k for k in shapes if k.rpartition("/")[0] == nu.name]
                parts[nu.name] = tuple(
                    Net.of(Shape.from_json(shapes[k]), _below(f"nets/{k}/", tensors))
                    for k in sorted(mine)
                )
            else:
                parts[nu.name] = _below(f"parameters/{nu.name}/", tensors)
        return Composed(method, parts, tensors.get("projection"))


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
