"""Bayesian personalised ranking: what was clicked above what was not."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import masked_mean
from trueward.estimation.method import Method
from trueward.estimation.samplers import by_prompt, every, pairs


class BPR(Method):
    """L = mean softplus(-(s_i - s_j)) over pairs of a prompt with y_i = 1 and y_j = 0.

    Scores are for ranking; sigmoid(s) is no probability. Every row meets up to 10 others of its prompt, or
    of any prompt where it is alone with its own, anew in every epoch; the authors' code draws pairs once.
    """

    paper = "Rendle, Freudenthaler, Gantner and Schmidt-Thieme, UAI 2009"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"clicks", "group"})

    @property
    def assumption(self) -> str:
        return (
            "satisfied users of all answers to one prompt are equally likely to act, a click always means "
            "satisfaction, and only the ranking within a prompt is asked for"
        )

    def batches(
        self, data: Feedback, rows: Tensor, size: int, g: torch.Generator
    ) -> Iterator[Tensor]:
        group = every(data) if data.group is None else data.group
        return by_prompt(rows, size, g, group, data.weight)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        assert b.group is not None
        s, (i, j) = out.reward, pairs(b.group)
        return masked_mean(F.softplus(s[j] - s[i]), b.y[i] * (1 - b.y[j]))
