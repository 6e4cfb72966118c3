"""Bayesian personalised ranking: clicked answers above the others of their prompt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import masked_mean
from trueward.estimation.method import Method
from trueward.estimation.samplers import pairs, prompt_batches

if TYPE_CHECKING:
    from torch import Tensor


class BPR(Method):
    """L = mean softplus(-(s_i - s_j)) over pairs of a prompt with y_i = 1 and y_j = 0.

    s: score; y: 1 for a click. Scores are for ranking: sigmoid(s) is no probability. Every row is paired with
    up to 10 others of its prompt, or of any prompt if it is the only one of its own, drawn anew in every
    epoch. The authors' code draws pairs once.
    """

    paper = "Rendle, Freudenthaler, Gantner and Schmidt-Thieme, UAI 2009"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"clicks", "group"})

    @property
    def assumption(self) -> str:
        return (
            "satisfied users of all answers to one prompt are equally likely to act, a click always means "
            "satisfaction, and only the ranking within a prompt is used"
        )

    def batches(
        self, data: Feedback, rows: Tensor, size: int, g: torch.Generator
    ) -> Iterator[Tensor]:
        return prompt_batches(data, rows, size, g)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        assert b.group is not None
        s, (i, j) = out.reward, pairs(b.group)
        return masked_mean(torch.nn.functional.softplus(s[j] - s[i]), b.y[i] * (1 - b.y[j]))
