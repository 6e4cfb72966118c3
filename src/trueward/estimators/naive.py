"""Baseline: train on the ratings as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce, masked_mean
from trueward.estimation.method import Method
from trueward.estimation.samplers import observed

if TYPE_CHECKING:
    from torch import Tensor


class Naive(Method):
    """L = mean over rated rows of l(s, r).

    s: reward logit; r: rating; l: cross-entropy. On a log of clicks, where no column says which rows were
    judged, every row counts and a row without a click is a bad answer: L = mean l(s, y), y = 1 for a click.
    Where users differ (option users), L = mean l(s + l_u, r), with l_u the intercept of the row's user.
    """

    paper = "cross-entropy on the log as it is"

    @property
    def assumption(self) -> str:
        return (
            "feedback is given completely at random and is never wrong; on a click log, every "
            "satisfied user clicks"
        )

    @property
    def users(self) -> str:
        return "ratings"

    def rows(self, data: Feedback) -> Tensor:
        return observed(data)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        error = bce(out.reward, b.y)
        return error.mean() if b.o is None else masked_mean(error, b.o)
