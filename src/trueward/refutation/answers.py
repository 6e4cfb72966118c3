"""Labels of a log as good and bad answers, and how well scores rank them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from trueward.core.influence import auroc_influence, clustered_error
from trueward.data.capabilities import MIN_PER_CLASS
from trueward.data.splits import prompt_numbers
from trueward.evaluation import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Feedback

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]


def labels(log: Feedback) -> Iterator[tuple[str, Tensor]]:
    """Iterate over the kinds of labels of a log: feedback or clicks, channels, gold.

    Parameters
    ----------
    log : Feedback
        A log with n rows.

    Yields
    ------
    name : str
        ``feedback``, ``click``, ``channel.NAME`` or ``gold``.
    label : (n,) Tensor
        1 good, 0 bad, NaN where there is none.

    """
    if log.o is not None:
        yield "feedback", torch.where(log.o > 0, log.y, torch.nan)
    elif bool(log.y.any()):
        yield "click", log.y
    for name, column in log.channels.items():
        yield f"channel.{name}", column
    if log.gold is not None:
        yield "gold", log.gold


@dataclass(frozen=True, eq=False)
class Answers:
    """The k rows with one kind of label, good or bad, and their prompts."""

    #: Kind of the label, as `labels` names it.
    what: str
    #: (k,) row numbers.
    rows: Index
    #: (k,) whether the label is good.
    good: NDArray[np.bool_]
    #: (k,) number of the prompt.
    prompt: Index
    #: (k,) what each row represents.
    weight: Array

    @staticmethod
    def of(what: str, label: Tensor, log: Feedback) -> Answers:
        """Take the rows with a label.

        Parameters
        ----------
        what : str
            Kind of the label.
        label : (n,) Tensor
            Labels in [0, 1], NaN where there is none.
        log : Feedback
            The rows, with their prompts and weights; gold labels count 1 / P(labelled), too.

        """
        rows = (~label.isnan()).nonzero().squeeze(-1)
        prompt = prompt_numbers(len(label), log.group)[rows]
        weight = (log.label_weight if what == "gold" else log.row_weight)[rows]
        good = (label[rows] > 0.5).numpy()
        return Answers(what, rows.numpy(), good, prompt.numpy(), weight.numpy())

    @property
    def enough(self) -> bool:
        """Whether there are at least `MIN_PER_CLASS` good and `MIN_PER_CLASS` bad answers."""
        return bool(min(self.good.sum(), (~self.good).sum()) >= MIN_PER_CLASS)

    def __str__(self) -> str:
        """Format the number of good and bad answers."""
        return f"{self.good.sum()} good and {(~self.good).sum()} bad by {self.what}"

    def auroc(self, score: Array) -> tuple[float, float]:
        """Compute the AUROC of scores and its standard error, clustered by prompt.

        Parameters
        ----------
        score : (n,) array
            Scores of all rows of the log.

        Returns
        -------
        value, error : float
            AUROC, a tie counting half, and its standard error (DeLong 1988; Obuchowski 1997).

        """
        r, s = self.good.astype(float), score[self.rows]
        clusters = len(np.unique(self.prompt))
        influence = auroc_influence(s, r, w=self.weight)
        pull = self.weight * influence.at(r) / self.weight.sum()
        return influence.theta, clustered_error(pull, self.prompt, clusters)


def correlation(a: Array, b: Array) -> float:
    """Spearman's rank correlation of two fits on the same rows; 0 where one of the scores is constant.

    Parameters
    ----------
    a, b : (n,) array
        Scores.

    Returns
    -------
    float
        In [-1, 1].

    """
    rho = float(metrics.spearman(a, b, np.ones(len(a)))[0])
    return 0.0 if np.isnan(rho) else rho
