"""One training step: logits of a batch, the gradient of its loss, predictions of all rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from trueward.data.feedback import Columns

from .preprocessing import CHUNK
from .problem import member_logits, with_user_offset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from trueward.estimation.objective import Objective

    from .networks import Net, Shape, TrainableNet
    from .problem import Batch, TrainingProblem
    from .row_sources import RowSource


def backward(problem: TrainingProblem, net: TrainableNet, batch: Batch) -> Tensor:
    """Accumulate the gradient of the loss on a batch in the parameters.

    Parameters
    ----------
    problem : TrainingProblem
        The training problem.
    net : TrainableNet
        The network.
    batch : Batch
        The rows.

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

    Parameters
    ----------
    problems : sequence of TrainingProblem
        The training problems.
    net : Net
        Their networks as one, member after member.
    batches : sequence of Batch
        The rows of each.

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
        own = with_user_offset(own, b, m)
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
    if bool((scale < 1).any()):
        for g in grads:
            g.mul_(scale.view(-1, *[1] * (g.dim() - 1)))
    return norm
