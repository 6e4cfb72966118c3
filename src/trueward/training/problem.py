"""What is trained: the problem, the batches of its rows, and the columns that a loss reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from trueward.core.processes import SINGLE_PROCESS
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.user_intercepts import USER_OFFSET

from .row_sources import FeatureRows

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.core.processes import Processes
    from trueward.estimation.objective import Objective

    from .networks import TrainableNet
    from .preprocessing import InputTransform
    from .row_sources import RowSource


@dataclass(frozen=True)
class TrainingProblem:
    """One network to train: an objective, its rows, and the inputs of these rows.

    Attributes
    ----------
    stage : str
        Name of the checkpoint.
    objective : Objective
        A method or a nuisance.
    train, val : Feedback
        Training and validation rows: the columns that the loss reads.
    train_source, val_source : RowSource
        Their inputs to the network.
    fold : Tensor or None
        (n,) fold of every training row: member m then trains on the rows of the other folds, so that
        cross-fitting takes one training.
    net : TrainableNet or None
        Network to start from; None: a fresh `Net`.
    lengths : Tensor or None
        (n,) tokens of every training row, where rows are texts.
    processes : Processes
        Processes that share the rows.
    streams : str or None
        Name of the random streams; None: that of the checkpoint.

    """

    stage: str
    objective: Objective
    train: Feedback
    val: Feedback
    train_source: RowSource
    val_source: RowSource
    fold: Tensor | None = None
    net: TrainableNet | None = None
    lengths: Tensor | None = None
    processes: Processes = SINGLE_PROCESS
    streams: str | None = None

    @property
    def stream(self) -> str:
        """Name of the random streams."""
        return self.stage if self.streams is None else self.streams

    @staticmethod
    def on_features(
        stage: str,
        objective: Objective,
        train: Feedback,
        val: Feedback,
        transform: InputTransform,
        fold: Tensor | None = None,
    ) -> TrainingProblem:
        """Pose the problem on the features of the rows.

        Parameters
        ----------
        stage : str
            Name of the random streams and of the checkpoint.
        objective : Objective
            A method or a nuisance.
        train, val : Feedback
            Training and validation rows.
        transform : InputTransform
            Standardises their features.
        fold : Tensor, optional
            (n,) fold of every training row.

        """
        train, val = (replace(d, pairs=objective.pairs_of(d)) for d in (train, val))
        sources = FeatureRows(train, transform), FeatureRows(val, transform)
        return TrainingProblem(stage, objective, train, val, *sources, fold)

    @property
    def members(self) -> int | None:
        """One member a fold; None where the settings say how many."""
        return None if self.fold is None else int(self.fold.max()) + 1


@dataclass(frozen=True)
class Batch:
    """Rows of one step.

    Attributes
    ----------
    rows : Tensor
        (n,) row numbers.
    feedback : Feedback
        Columns that the loss reads.
    memory : list of Columns
        The objective's memory of these rows, one a member.
    keep : Tensor or None
        (M, n) rows that each member learns from; None: all.
    mixing : tuple of Tensor or None
        (n,) partners within the batch, and (n,) shares of the row itself.

    """

    rows: Tensor
    feedback: Feedback
    memory: list[Columns]
    keep: Tensor | None = None
    mixing: tuple[Tensor, Tensor] | None = None

    def part(self, at: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """Return the row numbers at some places, and the rows and shares mixed into them.

        Parameters
        ----------
        at : Tensor
            (k,) places in the batch.

        """
        if self.mixing is None:
            return self.rows[at], None
        partner, share = self.mixing
        return self.rows[at], (self.rows[partner[at].cpu()], share[at])


def make_batch(
    problem: TrainingProblem, rows: Tensor, t: float, memory: list[Columns], g: torch.Generator
) -> Batch:
    """Collect the columns of a batch, the partners of mixed rows, and the rows that each member learns from.

    Parameters
    ----------
    problem : TrainingProblem
        The training problem.
    rows : Tensor
        (n,) row numbers.
    t : float
        Progress of the training in [0, 1].
    memory : list of Columns
        The objective's memory of all rows, one a member.
    g : torch.Generator
        Random stream of the mixing.

    """
    b = without_features(problem.train, t)[rows]
    mixing = problem.objective.mixing(b, g)
    if mixing is not None:
        b = replace(b, eta=b.eta | {"partner": mixing[0], "share": mixing[1]})
    keep = None
    if problem.fold is not None:
        keep = problem.fold[rows][None] != torch.arange(int(problem.fold.max()) + 1)[:, None]
    return Batch(rows, b, [m[rows] for m in memory], keep, mixing)


def member_logits(out: Columns, m: int) -> Columns:
    """Return the logits of one member.

    Parameters
    ----------
    out : Columns
        Head -> (M, n) logits.
    m : int
        The member.

    Returns
    -------
    Columns
        Head -> (n,).

    """
    return Columns({k: v[m] for k, v in out.items()})


def with_user_offset(out: Columns, b: Feedback, m: int) -> Columns:
    """Add the intercepts of the rows' users, ``eta.user_offset``, to the logit ``reward`` of one member.

    Parameters
    ----------
    out : Columns
        Head -> (n,) logits of the member.
    b : Feedback
        The rows; their ``user_offset`` is (n,), or (n, M) with one column a member.
    m : int
        The member.

    Returns
    -------
    Columns
        Head -> (n,); ``out`` itself where there is no offset.

    """
    offset = b.eta.get(USER_OFFSET)
    if offset is None:
        return out
    return out | {"reward": out.reward + (offset if offset.dim() == 1 else offset[:, m])}


def without_features(data: Feedback, t: float = 1.0) -> Feedback:
    """Return the rows without features, which a loss does not read.

    Parameters
    ----------
    data : Feedback
        The rows.
    t : float, default 1
        Progress of the training in [0, 1].

    """
    return replace(data, x=data.x[:, :0], t=t)
