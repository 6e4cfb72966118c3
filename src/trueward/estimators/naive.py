"""Training on what was rated, as it was rated: the baseline of everything."""

from torch import Tensor

from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce, masked_mean
from trueward.estimation.method import Method
from trueward.estimation.samplers import observed


class Naive(Method):
    """L = mean over rated rows of l(s, r).

    On an implicit log, where nothing says which rows were judged, every row counts and no click is
    read as a bad answer: L = mean l(s, y).
    """

    paper = "cross-entropy on the log as it is"

    @property
    def assumption(self) -> str:
        return (
            "feedback is given completely at random and is never wrong; on a click log, every "
            "satisfied user clicks"
        )

    def rows(self, data: Feedback) -> Tensor:
        return observed(data)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        error = bce(out.reward, b.y)
        return error.mean() if b.o is None else masked_mean(error, b.o)
