"""One step of training: what a batch is, what networks make of it, and the gradient of its loss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from trueward.core.processes import ALONE
from trueward.data.feedback import Columns, Feedback

from .preprocessing import CHUNK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueward.core.processes import Processes
    from trueward.estimation.objective import Objective

    from .networks import Net, Shape
    from .preprocessing import Inputs, Numbers


@dataclass(frozen=True)
class Problem:
    """One network to train: a method or nuisance on its rows.

    ``fold`` (n,) makes member m train on the rows of the other folds: cross-fitting in one pass.
    """

    stage: str
    method: Objective
    train: Feedback
    val: Feedback
    inputs: Inputs | Numbers
    fold: Tensor | None = None
    net: Net | None = None  # to go on with, in place of a fresh one
    lengths: Tensor | None = None  # tokens of every training row, where rows are texts
    processes: Processes = ALONE  # which share the rows


@dataclass(frozen=True)
class Batch:
    """Rows of one step: what the loss sees of them, a member each, and what the networks see."""

    rows: Tensor
    b: Feedback
    memory: list[Columns]
    keep: Tensor | None = None  # (M, n) rows that each member learns from
    mixing: tuple[Tensor, Tensor] | None = None  # partners in the batch, share of the row itself

    def part(self, at: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """Row numbers at ``at``, and those mixed into them."""
        if self.mixing is None:
            return self.rows[at], None
        partner, share = self.mixing
        return self.rows[at], (self.rows[partner[at].cpu()], share[at])


def gather(
    problem: Problem, rows: Tensor, t: float, memory: list[Columns], g: torch.Generator
) -> Batch:
    """Gather a batch: the method's own columns, who is mixed with whom, who learns from what."""
    b = bare(problem.train, t)[rows]
    mixing = problem.method.mixing(b, g)
    if mixing is not None:
        b = replace(b, eta=b.eta | {"partner": mixing[0], "share": mixing[1]})
    keep = None
    if problem.fold is not None:
        keep = problem.fold[rows][None] != torch.arange(int(problem.fold.max()) + 1)[:, None]
    return Batch(rows, b, [m[rows] for m in memory], keep, mixing)


def backward(problem: Problem, net: Net, batch: Batch) -> Tensor:
    """Put the gradient of the loss on a batch into the parameters; give (M,) losses."""
    out = forward(problem, net, problem.train, *batch.part(torch.arange(len(batch.rows))))
    losses = member_losses(problem.method, out, batch)
    losses.sum().backward()
    return losses.detach()


def backward_together(problems: Sequence[Problem], net: Net, batches: Sequence[Batch]) -> Tensor:
    """The same for several problems at once, whose networks are the members of ``net`` in order.

    Shorter batches are filled with zero rows, which no loss sees and no weight learns from.
    """
    rows = [len(batch.rows) for batch in batches]
    wanted = set(net.shape.heads.values())
    parts = [_inputs(p, p.train, b.rows, wanted) for p, b in zip(problems, batches, strict=True)]
    inputs = {
        k: torch.stack([F.pad(part[k], (0, 0, 0, max(rows) - len(part[k]))) for part in parts])
        for k in parts[0]
    }
    out, losses, first = net(inputs, rows), [], 0
    for problem, batch in zip(problems, batches, strict=True):
        last = first + len(batch.memory)
        own = Columns({k: v[first:last, : len(batch.rows)] for k, v in out.items()})
        losses.append(member_losses(problem.method, own, batch))
        first = last
    total = torch.cat(losses)
    total.sum().backward()
    return total.detach()


def member_losses(method: Objective, out: Columns, batch: Batch) -> Tensor:
    """(M,) losses, each member on its own logits, memory and, with ``keep``, rows."""
    losses = []
    for m, memory in enumerate(batch.memory):
        mine = member_of(out, m)
        b = replace(batch.b, eta=batch.b.eta | memory) if memory else batch.b
        if batch.keep is not None:
            mine, b = mine[batch.keep[m]], b[batch.keep[m]]
        losses.append(method.loss(mine, b) if len(b) else mine.reward.sum())
    return torch.stack(losses)


def _inputs(problem: Problem, data: Feedback, rows: Tensor, wanted: set[str]) -> dict[str, Tensor]:
    rows = rows.to(data.x.device)
    z = None if data.z is None else data.z.index_select(0, rows)
    return problem.inputs(data.x.index_select(0, rows), z, wanted)  # 3 times faster than x[rows]


def forward(
    problem: Problem,
    net: Net,
    data: Feedback,
    rows: Tensor,
    mixed: tuple[Tensor, Tensor] | None = None,
) -> Columns:
    """(M, n) logits of every head on ``rows``."""
    wanted = set(net.shape.heads.values())
    inputs = _inputs(problem, data, rows, wanted)
    if mixed is not None:
        other, share = mixed
        blend = _inputs(problem, data, other, wanted)
        inputs = {k: torch.lerp(blend[k], v, share[:, None].to(v)) for k, v in inputs.items()}
    out: Columns = net(inputs)
    return out


def predict(problem: Problem, net: Net, data: Feedback, rows: Tensor | None = None) -> Columns:
    """(M, n) logits of every head on ``rows``, in chunks, without gradients; each process has its share."""
    rows, team = torch.arange(len(data)) if rows is None else rows, problem.processes
    with torch.no_grad():
        parts = [forward(problem, net, data, i) for i in team.share(rows).split(CHUNK)]
    if team.count == 1:
        return Columns({k: torch.cat([p[k] for p in parts], 1) for k in parts[0]})
    out = blank(net.shape, len(rows), data.y.device)
    for part, at in zip(parts, team.share(torch.arange(len(rows))).split(CHUNK), strict=True):
        for k, v in part.items():
            out[k][:, at] = v.to(out[k])
    team.summed(list(out.values()))
    return out


def blank(shape: Shape, rows: int, device: torch.device) -> Columns:
    """Zeros in the place of the (M, n) logits of every head."""
    out = Columns({k: torch.zeros(shape.members, rows, device=device) for k in shape.heads})
    if shape.exposed:
        out["hidden"] = torch.zeros(shape.members, rows, shape.hidden[-1], device=device)
    return out


def member_of(out: Columns, m: int) -> Columns:
    """The (n,) logits of member m."""
    return Columns({k: v[m] for k, v in out.items()})


def bare(data: Feedback, t: float = 1.0) -> Feedback:
    """The columns without x, which a loss does not see."""
    return replace(data, x=data.x[:, :0], t=t)


def clip_gradient(net: Net, longest: float) -> Tensor:
    """Scale each member's gradient to norm ``longest`` at most; give the norms before, (M,)."""
    grads = [p.grad for p in net.parameters() if p.grad is not None]
    parts = [torch.linalg.vector_norm(g.flatten(1), dim=1) for g in grads]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(parts), dim=0)
    scale = (longest / norm.clamp(min=1e-12)).clamp(max=1.0)
    for g in grads:
        g.mul_(scale.view(-1, *[1] * (g.dim() - 1)))
    return norm
