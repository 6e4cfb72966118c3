"""CVIB: draw the mean prediction on rated rows and on all rows together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce, masked_mean
from trueward.estimation.method import Method

if TYPE_CHECKING:
    from torch import Tensor

SMALL = 1e-6


class CVIB(Method):
    """L = w_reg mean o l(s, r) + w_info CE(mu_B, mu_O) + w_ent mean_O q log q, q = sigmoid(s).

    s: reward logit; r: rating; o: 1 for rated rows; l: cross-entropy. mu_O and mu_B: mean of q over the rated
    and over all rows of the batch, where the original draws as many rows from all. CE(m, t) = -t log m -
    (1 - t) log(1 - m), with both in [1e-6, 1 - 1e-6]. The original code has log q in both halves of CE; this
    is the paper's form. The original weights are 1, .1 and .01.
    """

    w_reg: Annotated[float, Opt("weight of the cross-entropy", 0, open_low=True)] = 10.0
    w_info: Annotated[float, Opt("weight of the contrast between the two means", 0)] = 0.2
    w_ent: Annotated[float, Opt("weight of the confidence on rated rows", 0)] = 0.2

    paper = "Wang et al., NeurIPS 2020"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o"})

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        s, q = out.reward, torch.sigmoid(out.reward)
        rated = masked_mean(q, b.seen).clamp(SMALL, 1 - SMALL)
        overall = q.mean().clamp(SMALL, 1 - SMALL)
        contrast = -(rated * overall.log() + (1 - rated) * (1 - overall).log())
        confidence = masked_mean(q * torch.nn.functional.logsigmoid(s), b.seen)
        fit = (b.seen * bce(s, b.y)).mean()
        any_rated = b.seen.max()  # a batch without a rated row has no mean over rated rows
        return self.w_reg * fit + self.w_info * any_rated * contrast + self.w_ent * confidence
