"""How well scores rank what users said, and how alike two rankings are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from trueward.data.capabilities import FEWEST
from trueward.data.feedback import prompt_numbers
from trueward.evaluation import metrics
from trueward.evaluation.influence_functions import auroc_influence, clustered_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Feedback

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]


def labels(d: Feedback) -> Iterator[tuple[str, Tensor]]:
    """Every kind of answer the log has, (n,) each, NaN where there is none."""
    if d.o is not None:
        yield "feedback", torch.where(d.o > 0, d.y, torch.nan)
    elif bool(d.y.any()):
        yield "click", d.y
    for name, column in d.channels.items():
        yield f"channel.{name}", column
    if d.gold is not None:
        yield "gold", d.gold


@dataclass(frozen=True, eq=False)
class Answers:
    """What users said of some rows: good or bad, and by which prompt."""

    what: str
    rows: Index
    good: NDArray[np.bool_]
    prompt: Index

    @staticmethod
    def of(what: str, label: Tensor, group: Tensor | None) -> Answers:
        """Take the rows with a label."""
        rows = (~label.isnan()).nonzero().squeeze(-1)
        prompt = prompt_numbers(len(label), group)[rows]
        return Answers(what, rows.numpy(), (label[rows] > 0.5).numpy(), prompt.numpy())

    @property
    def enough(self) -> bool:
        """Whether there are `FEWEST` of each."""
        return bool(min(self.good.sum(), (~self.good).sum()) >= FEWEST)

    def __str__(self) -> str:
        """Count them."""
        return f"{self.good.sum()} good and {(~self.good).sum()} bad by {self.what}"

    def auroc(self, score: Array) -> tuple[float, float]:
        """P(good > bad), a tie half, and its standard error over prompts (DeLong 1988; Obuchowski 1997)."""
        r = self.good.astype(float)
        found = auroc_influence(score[self.rows], r)
        pull = found.at(r) / len(r)
        return found.theta, clustered_error(pull, self.prompt, len(np.unique(self.prompt)))


def correlation(a: Array, b: Array) -> float:
    """Spearman's rank correlation; 0 where one of them is constant."""
    found = float(metrics.spearman(a, b, np.ones((1, len(a))))[0])
    return 0.0 if np.isnan(found) else found
