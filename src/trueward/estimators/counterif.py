"""Counter-IF: rows without a click in strata by how much they look like clicked ones."""

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce, masked_mean, wasserstein
from trueward.estimation.method import Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import strata

MOST = 256  # rows of a stratum that are paired or transported, evenly spread: the published batch


class CounterIF(Method):
    """L = w_point (mean_DP l(s,1) + mean_HE l(s,0)) + w_pair sum R(A,B) + w_balance (W(UN) + W(HU)).

    R(A, B) = mean softplus(-(s_A - s_B)) over (DP,HE), (UN,HE), (HU,UN). DP: clicked; without a click,
    HE: inside a one-class SVM of the clicked, taken for seen and disliked, HU: the share ``far`` farthest
    from it, UN: the others. W: entropic Wasserstein distance in the last hidden layer, of UN to all other
    rows and of HU to DP and HE. The SVM is fitted once, the authors' for every chunk of rows, and pairs
    are those of a batch. Backwards where features encode quality: what looks clicked is then good.
    """

    nu: Annotated[
        float, Opt("share of the clicks outside the SVM", 0, 1, open_low=True, open_high=True)
    ] = 0.1
    far: Annotated[
        float, Opt("share of the rows without a click that is HU", 0, 1, open_low=True)
    ] = 0.1
    w_point: Annotated[float, Opt("weight of the pointwise terms", 0)] = 1.0
    w_pair: Annotated[float, Opt("weight of the pairwise terms", 0)] = 1.0
    w_balance: Annotated[float, Opt("weight of the two distances", 0)] = 1.0

    paper = "Zhou, Yao, Li and Gong, NeurIPS 2025; W: Shalit, Johansson and Sontag, ICML 2017"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"clicks"})

    @property
    def hidden(self) -> bool:
        return True

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        return (strata(self.nu, self.far),)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        s, clicked, h = out.reward, b.y > 0, out.hidden
        un, he, hu = (~clicked & (b.eta.stratum == k) for k in (0, 1, 2))
        point = masked_mean(bce(s, torch.ones_like(s)), clicked)
        point = point + masked_mean(bce(s, torch.zeros_like(s)), he)
        pair = above(s, clicked, he) + above(s, un, he) + above(s, hu, un)
        balance = wasserstein(h[some(un)], h[some(~un)])
        balance = balance + wasserstein(h[some(hu)], h[some(clicked | he)])
        return self.w_point * point + self.w_pair * pair + self.w_balance * balance


def some(where: Tensor) -> Tensor:
    """Row numbers of ``where``, at most ``MOST`` of them, evenly spread."""
    rows = where.nonzero().squeeze(-1)
    if len(rows) <= MOST:
        return rows
    return rows[torch.arange(MOST, device=rows.device) * len(rows) // MOST]


def above(s: Tensor, high: Tensor, low: Tensor) -> Tensor:
    """Mean softplus(-(s_i - s_j)), i in ``high`` and j in ``low``; 0 where one is empty."""
    i, j = some(high), some(low)
    return F.softplus(s[j] - s[i][:, None]).sum() / max(1, len(i) * len(j))
