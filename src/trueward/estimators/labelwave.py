"""LabelWave: naive training that stops when the predictions on the training rows stop settling."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce, masked_mean
from trueward.estimation.method import Method
from trueward.estimation.samplers import observed


class LabelWave(Method):
    """L = mean over rated rows of l(s, r); stops on c = share of them whose class changed in the epoch.

    Kept is the first minimum of the mean of the last ``window`` c (fewer at the start) with no lower one in
    two epochs; the window is an uncertain reconstruction [?]. Our learning rate falls to 0, and with it c:
    a minimum comes only where labels are learned by heart before that. The authors' code counts a
    cross-entropy to the last predictions, and takes the lowest of all epochs.
    """

    window: Annotated[int, Opt("epochs that the share of changes is averaged over", 1, 20)] = 3

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
        nothing = torch.full_like(data.y, torch.nan)
        return Columns(
            {"last": nothing, **{f"changed_{k}": nothing for k in range(1, self.window)}}
        )

    def update_memory(self, out: Columns, b: Feedback) -> Columns:
        recent = [v.expand_as(b.y) for v in self.recent(out, b)]
        fresh = {f"changed_{k}": recent[k - 1] for k in range(1, self.window)}
        return Columns({"last": (out.reward > 0).to(b.y), **fresh})

    def recent(self, out: Columns, b: Feedback) -> list[Tensor]:
        """Share of rated rows that changed class in this epoch and those before; NaN where there is none."""
        was = torch.where(b.seen > 0, b.eta.last, torch.nan)
        now = torch.where(was.isnan(), was, ((out.reward > 0) != (was > 0)).to(was)).nanmean()
        return [now, *(b.eta[f"changed_{k}"].nanmean() for k in range(1, self.window))]

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        return masked_mean(bce(out.reward, b.y), b.seen)

    def monitor(self, out: Columns, b: Feedback) -> Tensor:
        return torch.stack(self.recent(out, b)).nanmean().nan_to_num(1.0)
