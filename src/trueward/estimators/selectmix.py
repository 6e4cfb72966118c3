"""SelectMix: mix rows with a doubtful label with confident rows of the predicted class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce, masked_mean
from trueward.estimation.method import Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import noisy
from trueward.estimation.samplers import observed

if TYPE_CHECKING:
    from torch import Tensor


class SelectMix(Method):
    """L = mean over rated rows of l(s(q x + (1 - q) x_j), q t + (1 - q) r_j), q ~ Beta(a, a).

    s: reward logit of features x; r: rating; l: cross-entropy; c: class predicted by an out-of-fold model. A
    label is doubtful if c != r: then t = (r + c) / 2, and j is a row of the batch with c_j = r_j = c and at
    least the median confidence of these. For all others t = r and q = 1. Early stopping is on l(s, t) of
    unmixed rows. Reconstructed from the abstract of the paper: its soft labels and its Beta distribution are
    not verified. Partners come from the batch, where the original draws from all rows.
    """

    a: Annotated[float, Opt("parameter of the Beta distribution", 0, open_low=True)] = 1.0

    paper = "Liu et al. 2025, arXiv 2509.11265 (from the abstract)"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o"})

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        return (noisy,)

    def rows(self, data: Feedback) -> Tensor:
        return observed(data)

    def mixing(self, b: Feedback, g: torch.Generator) -> tuple[Tensor, Tensor]:
        partner, share = torch.arange(len(b), device=b.y.device), torch.ones_like(b.y)
        rng = np.random.default_rng(int(torch.randint(2**31, (), generator=g)))
        c, rated = b.eta.noisy > 0.5, b.seen > 0
        confidence = (b.eta.noisy - 0.5).abs()
        for side in (c, ~c):
            pool = rated & side & ~doubtful(b)
            if pool.any():
                pool &= confidence >= confidence[pool].median()
                rows = (rated & side & doubtful(b)).nonzero().squeeze(-1)
                drawn = torch.from_numpy(rng.integers(int(pool.sum()), size=len(rows)))
                partner[rows] = pool.nonzero().squeeze(-1)[drawn.to(partner.device)]
                share[rows] = torch.from_numpy(rng.beta(self.a, self.a, len(rows))).to(share)
        return partner, share

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        own, share = soft_label(b), b.eta.share
        target = share * own + (1 - share) * b.y[b.eta.partner]
        return masked_mean(bce(out.reward, target), b.seen)

    def monitor(self, out: Columns, b: Feedback) -> Tensor:
        return masked_mean(bce(out.reward, soft_label(b)), b.seen)


def soft_label(b: Feedback) -> Tensor:
    """Return (n,) t: the label, or its mean with the out-of-fold class if the two differ.

    Parameters
    ----------
    b : Feedback
        The log, with the nuisance ``noisy``: P(rating = 1 given x) out of fold.

    Returns
    -------
    Tensor, shape (n,)
        Targets in [0, 1].

    """
    return torch.where(doubtful(b), (b.y + (b.eta.noisy > 0.5).to(b.y)) / 2, b.y)


def doubtful(b: Feedback) -> Tensor:
    """Return (n,) bool: whether the out-of-fold class differs from the label.

    Parameters
    ----------
    b : Feedback
        The log, with the nuisance ``noisy``: P(rating = 1 given x) out of fold.

    Returns
    -------
    Tensor of bool, shape (n,)
        True where the label is doubtful.

    """
    return (b.eta.noisy > 0.5) != (b.y > 0.5)
