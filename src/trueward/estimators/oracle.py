"""Training on the truth of every row: the ceiling of a benchmark."""

from torch import Tensor

from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce
from trueward.estimation.method import Method


class Oracle(Method):
    """L = mean over all rows of l(s, r*), the ideal risk."""

    paper = "the ideal risk"
    takes_truth = True

    @property
    def assumption(self) -> str:
        return "always right, and never available: it is fitted on the clean labels of a benchmark"

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        return bce(out.reward, b.y).mean()
