"""LabelWave: naive training with early stopping on how many training predictions change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import torch

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce, masked_mean
from trueward.estimation.method import Method
from trueward.estimation.samplers import observed

if TYPE_CHECKING:
    from torch import Tensor


class LabelWave(Method):
    """L = mean over rated rows of l(s, r); stops on c = share of them whose class changed in the epoch.

    s: reward logit; r: rating; l: cross-entropy. The epoch kept is the first minimum of the mean of the last
    ``window`` values of c (fewer at the start), if no lower one follows within two epochs. The length of the
    window is not verified against the paper. The learning rate here falls to 0 and takes c with it, so a
    minimum occurs only where labels are memorised before that. The authors' code counts the cross-entropy to
    the last predictions, and takes the lowest value of all epochs.
    """

    window: Annotated[int, Opt("number of epochs over which c is averaged", 1, 20)] = 3

    paper = "Yuan, Feng and Liu, ICLR 2024"
    defaults: ClassVar[Mapping[str, Any]] = {"patience": 2, "epochs": 40}

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o"})

    @property
    def monitor_split(self) -> Literal["training"]:
        return "training"

    def rows(self, data: Feedback) -> Tensor:
        return observed(data)

    def init_memory(self, data: Feedback) -> Columns:
        unknown = torch.full_like(data.y, torch.nan)
        earlier = {f"changed_{k}": unknown for k in range(1, self.window)}
        return Columns({"last": unknown, **earlier})

    def update_memory(self, out: Columns, b: Feedback) -> Columns:
        recent = [v.expand_as(b.y) for v in self.recent(out, b)]
        earlier = {f"changed_{k}": recent[k - 1] for k in range(1, self.window)}
        return Columns({"last": (out.reward > 0).to(b.y), **earlier})

    def recent(self, out: Columns, b: Feedback) -> list[Tensor]:
        """Return c of this epoch and of those before; NaN for epochs that do not exist."""
        last = torch.where(b.seen > 0, b.eta.last, torch.nan)
        changed = ((out.reward > 0) != (last > 0)).to(last)
        c = torch.where(last.isnan(), last, changed).nanmean()
        return [c, *(b.eta[f"changed_{k}"].nanmean() for k in range(1, self.window))]

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        return masked_mean(bce(out.reward, b.y), b.seen)

    def monitor(self, out: Columns, b: Feedback) -> Tensor:
        return torch.stack(self.recent(out, b)).nanmean().nan_to_num(1.0)
