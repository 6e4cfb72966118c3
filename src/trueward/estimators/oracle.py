"""Upper bound for benchmarks: train on the true label of every row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce
from trueward.estimation.method import Method

if TYPE_CHECKING:
    from torch import Tensor


class Oracle(Method):
    """L = mean over all rows of l(s, r*), the ideal risk.

    s: reward logit; r*: true label; l: cross-entropy.
    """

    paper = "the ideal risk"
    takes_truth = True

    @property
    def assumption(self) -> str:
        return "true labels of all training rows are available, which only a benchmark has"

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        return bce(out.reward, b.y).mean()
