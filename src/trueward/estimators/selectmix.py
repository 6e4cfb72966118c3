"""SelectMix: rows whose label an out-of-fold model doubts are mixed with confident ones of its class."""

from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce, masked_mean
from trueward.estimation.method import Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import noisy
from trueward.estimation.samplers import observed


class SelectMix(Method):
    """L = mean over rated rows of l(s(q x + (1 - q) x_j), q t + (1 - q) r_j), q ~ Beta(a, a).

    c: class of an out-of-fold model. Doubted, c != r: t = (r + c) / 2 and j a row of the batch with
    c_j = r_j = c and at least the median confidence of those; all others: t = r and q = 1. Stops on
    l(s, t) of rows as they are. Reconstructed from the paper's abstract: the soft labels and Beta are
    uncertain [?]; partners come from the batch, the original's from all rows.
    """

    a: Annotated[float, Opt("parameter of the Beta distribution", 0, open_low=True)] = 1.0

    paper = "Liu et al. 2025, arXiv 2509.11265 [?]"

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
        sure = (b.eta.noisy - 0.5).abs()
        for side in (c, ~c):
            pool = rated & side & ~doubted(b)
            if pool.any():
                pool &= sure >= sure[pool].median()
                here = (rated & side & doubted(b)).nonzero().squeeze(-1)
                drawn = torch.from_numpy(rng.integers(int(pool.sum()), size=len(here)))
                partner[here] = pool.nonzero().squeeze(-1)[drawn.to(partner.device)]
                share[here] = torch.from_numpy(rng.beta(self.a, self.a, len(here))).to(share)
        return partner, share

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        own, share = softened(b), b.eta.share
        target = share * own + (1 - share) * b.y[b.eta.partner]
        return masked_mean(bce(out.reward, target), b.seen)

    def monitor(self, out: Columns, b: Feedback) -> Tensor:
        return masked_mean(bce(out.reward, softened(b)), b.seen)


def softened(b: Feedback) -> Tensor:
    """(n,) t: the label, or half way to the out-of-fold class where that is another."""
    return torch.where(doubted(b), (b.y + (b.eta.noisy > 0.5).to(b.y)) / 2, b.y)


def doubted(b: Feedback) -> Tensor:
    """(n,) whether the out-of-fold class is not that of the label."""
    return (b.eta.noisy > 0.5) != (b.y > 0.5)
