"""Counter-IF: strata of rows without a click, by their likeness to clicked rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.click_strata import strata
from trueward.estimation.losses import bce, masked_mean, wasserstein
from trueward.estimation.method import Method
from trueward.estimation.nuisance_types import Estimable

if TYPE_CHECKING:
    from torch import Tensor

MOST = 256  # rows of a stratum that are paired or transported: the published batch


class CounterIF(Method):
    """L = w_point (mean_DP l(s,1) + mean_HE l(s,0)) + w_pair sum R(A,B) + w_balance (W(UN) + W(HU)).

    s: reward logit; l: cross-entropy; R(A, B) = mean softplus(-(s_A - s_B)) over (DP,HE), (UN,HE),
    (HU,UN). DP: clicked rows. Of the rows without a click, HE lie inside a one-class SVM of the clicked
    rows and are taken as seen and disliked; HU are the share ``far`` farthest from it; UN are the others.
    W: entropic Wasserstein distance in the last hidden layer, of UN to all other rows and of HU to DP and
    HE. The SVM is fitted once, where the authors fit one for every chunk of rows; pairs are those of a
    batch. The method is backwards where features encode quality, since rows that look clicked are then
    good.
    """

    nu: Annotated[
        float, Opt("share of the clicked rows outside the SVM", 0, 1, open_low=True, open_high=True)
    ] = 0.1
    far: Annotated[
        float, Opt("HU: the farthest share of the rows without a click", 0, 1, open_low=True)
    ] = 0.1
    w_point: Annotated[float, Opt("weight of the pointwise terms", 0)] = 1.0
    w_pair: Annotated[float, Opt("weight of the pairwise terms", 0)] = 1.0
    w_balance: Annotated[float, Opt("weight of the two Wasserstein distances", 0)] = 1.0

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
        pair = ranking_loss(s, clicked, he) + ranking_loss(s, un, he) + ranking_loss(s, hu, un)
        balance = wasserstein(h[at_most(un)], h[at_most(~un)])
        balance = balance + wasserstein(h[at_most(hu)], h[at_most(clicked | he)])
        return self.w_point * point + self.w_pair * pair + self.w_balance * balance


def at_most(where: Tensor) -> Tensor:
    """Return row numbers of ``where``, (n,) bool; at most ``MOST`` of them, evenly spread.

    Parameters
    ----------
    where : Tensor of bool, shape (n,)
        The rows to choose from.

    Returns
    -------
    Tensor of int
        The row numbers, in ascending order.

    """
    rows = where.nonzero().squeeze(-1)
    if len(rows) <= MOST:
        return rows
    return rows[torch.arange(MOST, device=rows.device) * len(rows) // MOST]


def ranking_loss(s: Tensor, high: Tensor, low: Tensor) -> Tensor:
    """Return the mean of softplus(-(s_i - s_j)), i in ``high`` and j in ``low``; 0 if one is empty.

    Parameters
    ----------
    s : Tensor, shape (n,)
        Reward logits.
    high, low : Tensor of bool, shape (n,)
        Rows that should rank high, and rows that should rank low; of each at most ``MOST`` count.

    Returns
    -------
    Tensor, shape ()
        The loss.

    """
    i, j = at_most(high), at_most(low)
    return torch.nn.functional.softplus(s[j] - s[i][:, None]).sum() / max(1, len(i) * len(j))
