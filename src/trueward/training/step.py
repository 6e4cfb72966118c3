"""One training step: the batch, the logits of the networks on it, and the gradient of the loss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from trueward.core.processes import SINGLE_PROCESS
from trueward.data.feedback import Columns, Feedback

from .preprocessing import CHUNK, FeatureRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueward.core.processes import Processes
    from trueward.estimation.objective import Objective

    from .networks import Net, Shape, TrainableNet
    from .preprocessing import InputTransform, RowSource


@dataclass(frozen=True)
class TrainingProblem:
    """One network to train: an objective, its rows, and the inputs of these rows.

    Attributes
    ----------
    stage : str
        Name of the random streams and of the checkpoint.
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


def backward(problem: TrainingProblem, net: TrainableNet, batch: Batch) -> Tensor:
    """Accumulate the gradient of the loss on a batch in the parameters.

    Returns
    -------
    Tensor
        (M,) losses.

    """
    part = batch.part(torch.arange(len(batch.rows)))
    out = forward(net, problem.train_source, *part)
    losses = member_losses(problem.objective, out, batch)
    losses.sum().backward()
    return losses.detach()


def backward_stacked(
    problems: Sequence[TrainingProblem], net: Net, batches: Sequence[Batch]
) -> Tensor:
    """Accumulate the gradient of several problems, whose networks are consecutive members of ``net``.

    Shorter batches are padded with zero rows, which contribute nothing to a loss or a gradient.

    Returns
    -------
    Tensor
        (M,) losses of all members.

    """
    most = max(len(batch.rows) for batch in batches)
    names = set(net.shape.heads.values())
    parts = [p.train_source(b.rows, names) for p, b in zip(problems, batches, strict=True)]
    inputs = {
        k: torch.stack([F.pad(part[k], (0, 0, 0, most - len(part[k]))) for part in parts])
        for k in parts[0]
    }
    out, losses, first = net(inputs), [], 0
    for problem, batch in zip(problems, batches, strict=True):
        last = first + len(batch.memory)
        own = Columns({k: v[first:last, : len(batch.rows)] for k, v in out.items()})
        losses.append(member_losses(problem.objective, own, batch))
        first = last
    total = torch.cat(losses)
    total.sum().backward()
    return total.detach()


def member_losses(objective: Objective, out: Columns, batch: Batch) -> Tensor:
    """Compute the loss of every member on its own logits, memory and (with ``keep``) rows.

    Parameters
    ----------
    objective : Objective
        A method or a nuisance.
    out : Columns
        (M, n) logits of every head.
    batch : Batch
        The rows.

    Returns
    -------
    Tensor
        (M,) losses.

    """
    losses = []
    for m, memory in enumerate(batch.memory):
        own = member_logits(out, m)
        b = batch.feedback
        b = replace(b, eta=b.eta | memory) if memory else b
        if batch.keep is not None:
            kept = batch.keep[m].nonzero().squeeze(-1)
            own, b = own[kept], b[kept]
        losses.append(objective.loss(own, b) if len(b) else own.reward.sum())
    return torch.stack(losses)


def forward(
    net: TrainableNet,
    source: RowSource,
    rows: Tensor,
    mixed: tuple[Tensor, Tensor] | None = None,
) -> Columns:
    """Compute the logits of every head on some rows.

    Parameters
    ----------
    net : TrainableNet
        The network.
    source : RowSource
        Inputs by row number.
    rows : Tensor
        (n,) row numbers.
    mixed : tuple of Tensor, optional
        (n,) rows that are mixed into them, and (n,) shares of the row itself.

    Returns
    -------
    Columns
        Head -> (M, n).

    """
    names = set(net.shape.heads.values())
    inputs = source(rows, names)
    if mixed is not None:
        other, share = mixed
        blend = source(other, names)
        inputs = {k: torch.lerp(blend[k], v, share[:, None].to(v)) for k, v in inputs.items()}
    return net(inputs)


def predict(
    problem: TrainingProblem, net: TrainableNet, source: RowSource, rows: Tensor | None = None
) -> Columns:
    """Compute the logits of every head in chunks, without gradients; each process computes its share.

    Parameters
    ----------
    problem : TrainingProblem
        The training problem: its processes and device.
    net : TrainableNet
        The network.
    source : RowSource
        ``problem.train_source`` or ``problem.val_source``.
    rows : Tensor, optional
        (n,) row numbers; default: all.

    Returns
    -------
    Columns
        Head -> (M, n).

    """
    rows, team = torch.arange(len(source)) if rows is None else rows, problem.processes
    out, part = zero_logits(net.shape, len(rows), problem.train.y.device), Columns()
    for at in team.shard(torch.arange(len(rows))).split(CHUNK):
        with torch.no_grad():
            part = forward(net, source, rows[at])
        for k, v in part.items():  # in its place at once: many small parts would fragment the heap
            out[k][:, at] = v.to(out[k])
    team.all_reduce(list(out.values()))
    return Columns({k: out[k] for k in part})


def zero_logits(shape: Shape, rows: int, device: torch.device) -> Columns:
    """Return zeros in the shape of a network's outputs.

    Parameters
    ----------
    shape : Shape
        The architecture.
    rows : int
        Number n of rows.
    device : torch.device
        Where the zeros are.

    Returns
    -------
    Columns
        Head -> (M, n), and ``hidden`` (M, n, h) where the shape exposes it.

    """
    out = Columns({k: torch.zeros(shape.members, rows, device=device) for k in shape.heads})
    if shape.exposed:
        out["hidden"] = torch.zeros(shape.members, rows, shape.hidden[-1], device=device)
    return out


def member_logits(out: Columns, m: int) -> Columns:
    """Return the (n,) logits of member m from (M, n) logits."""
    return Columns({k: v[m] for k, v in out.items()})


def without_features(data: Feedback, t: float = 1.0) -> Feedback:
    """Return the rows without features, which a loss does not read, at progress t."""
    return replace(data, x=data.x[:, :0], t=t)


def clip_gradients(net: TrainableNet, longest: float) -> Tensor:
    """Scale each member's gradient to a norm of at most ``longest``.

    Parameters
    ----------
    net : TrainableNet
        Network with gradients.
    longest : float
        Largest norm.

    Returns
    -------
    Tensor
        (M,) norms before.

    """
    grads = [p.grad for p in net.parameters() if p.grad is not None]
    parts = [torch.linalg.vector_norm(g.flatten(1), dim=1) for g in grads]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(parts), dim=0)
    scale = (longest / norm.clamp(min=1e-12)).clamp(max=1.0)
    for g in grads:
        g.mul_(scale.view(-1, *[1] * (g.dim() - 1)))
    return norm
