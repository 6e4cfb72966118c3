"""kMEIDTM: a noise matrix that depends on the answer, learned with the reward and smoothed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce, entropy, masked_mean, smallest
from trueward.estimation.method import Method
from trueward.estimation.samplers import observed

if TYPE_CHECKING:
    from torch import Tensor

SMALL = 1e-5
SLOW = 1 / 30  # learned numbers train 30 times as fast as weights, and W is to train like a weight
CLASSES = (0, 1)


class KMEIDTM(Method):
    """L = mean_O -log (P T)_r + weight mean_O S_ij |T_i - T_j|^2 over the k nearest j of i.

    s: reward logit; r: rating; mean_O: over rated rows; P = (1 - sigmoid(s), sigmoid(s)); T_ij(x): the
    row-normalised clamp of sum_c W_ijc P_c, with W learned and T = .9 I + .05 at the start. S = exp(-|P_i
    - P_j|^2 / (2 width^2)) if i and j have the same predicted class, else minus that; distances in P, held
    fixed, within a batch. The first ``warm_up`` of the training minimises l(s, r) - H(P). After it the
    share ``keep`` of most confident rated rows is selected anew in every epoch (authors: every tenth).
    Early stopping is on the first term. The authors' code passes P T through a second softmax and has no
    neighbours.
    """

    weight: Annotated[float, Opt("weight of the smoothness of T", 0)] = 0.3
    width: Annotated[float, Opt("width of the kernel, in units of P", 0, open_low=True)] = 1.1
    neighbours: Annotated[int, Opt("k: number of nearest neighbours", 1)] = 7
    keep: Annotated[float, Opt("share of the rated rows trained on", 0, 1, open_low=True)] = 0.8
    warm_up: Annotated[
        float, Opt("share of the training without a noise matrix", 0, 1, open_high=True)
    ] = 0.2

    paper = "Cheng et al., CVPR 2022"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"o"})

    @property
    def heads(self) -> dict[str, str]:
        numbers = {f"w_{i}{j}{c}": "one" for i in CLASSES for j in CLASSES for c in CLASSES}
        return {"reward": "x", **numbers}

    @property
    def warm_up_fraction(self) -> float:
        return self.warm_up

    @property
    def assumption(self) -> str:
        return (
            "feedback is given completely at random and the learned noise matrix is right, which needs "
            "answers that are certainly good and certainly bad"
        )

    def rows(self, data: Feedback) -> Tensor:
        return observed(data)

    def init_memory(self, data: Feedback) -> Columns:
        return Columns(kept=torch.ones_like(data.y))

    def update_memory(self, out: Columns, b: Feedback) -> Columns:
        if b.t < self.warm_up:
            return Columns(kept=b.eta.kept)
        return Columns(kept=smallest(-out.reward.abs(), b.seen, self.keep))

    def matrix(self, out: Columns) -> Tensor:
        """Return (n, 2, 2) T: P(observed class, in columns, given true class, in rows)."""
        p = torch.sigmoid(out.reward)
        rows = []
        for i in CLASSES:
            raw = [
                (0.95 if i == j else 0.05)
                + SLOW * (out[f"w_{i}{j}0"] * (1 - p) + out[f"w_{i}{j}1"] * p)
                for j in CLASSES
            ]
            row = torch.stack(raw, 1).clamp(SMALL, 1 - SMALL)
            rows.append(row / row.sum(1, keepdim=True))
        return torch.stack(rows, 1)

    def fit(self, out: Columns, b: Feedback, t: Tensor) -> Tensor:
        """Return (n,) -log (P T)_r, with ``t`` the noise matrices (n, 2, 2)."""
        p = torch.sigmoid(out.reward)
        good = (1 - p) * t[:, 0, 1] + p * t[:, 1, 1]
        bad = (1 - p) * t[:, 0, 0] + p * t[:, 1, 0]
        return -(b.y * good.clamp(min=SMALL).log() + (1 - b.y) * bad.clamp(min=SMALL).log())

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        if b.t < self.warm_up:
            return masked_mean(bce(out.reward, b.y) - entropy(out.reward), b.seen)
        chosen, t = b.seen * b.eta.kept, self.matrix(out)
        at = chosen.nonzero().squeeze(-1)
        rough = self.roughness(torch.sigmoid(out.reward[at]).detach(), t[at])
        return masked_mean(self.fit(out, b, t), chosen) + self.weight * rough

    def roughness(self, p: Tensor, t: Tensor) -> Tensor:
        """Return the mean of S_ij |T_i - T_j|^2 over the nearest neighbours of every row; 0 for one row."""
        k = min(self.neighbours, len(p) - 1)
        if k < 1:
            return 0 * t.sum()
        far = (p[:, None] - p).square()  # |P_i - P_j|^2 / 2
        far, j = far.fill_diagonal_(torch.inf).topk(k, largest=False)
        near = torch.exp(-far / self.width**2)
        sign = torch.where((p > 0.5)[:, None] == (p > 0.5)[j], 1.0, -1.0)
        apart = (t[:, None] - t[j]).square().sum((2, 3))
        return (sign * near * apart).mean()

    def monitor(self, out: Columns, b: Feedback) -> Tensor:
        return masked_mean(self.fit(out, b, self.matrix(out)), b.seen)
