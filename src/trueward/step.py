"""One step of training: what a batch is, what networks make of it, and the gradient of its loss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from .data import Columns, Feedback
from .inputs import CHUNK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .inputs import Inputs, Numbers
    from .method import Method
    from .nets import Net


@dataclass(frozen=True)
class Problem:
    """One network to train: a method or nuisance on its rows.

    ``fold`` (n,) makes member m train on the rows of the other folds: cross-fitting in one pass.
    """

    stage: str
    method: Method
    train: Feedback
    val: Feedback
    inputs: Inputs | Numbers
    fold: Tensor | None = None
    net: Net | None = None  # to go on with, in place of a fresh one


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


def backward(problem: Problem, net: Net, batch: Batch, micro: int | None = None) -> Tensor:
    """Put the gradient of the loss on a batch into the parameters; give (M,) losses.

    The loss sees only logits. With ``micro`` it is evaluated once on all of them and its gradient is
    carried back slice by slice, so it stays exact for ranks, quantiles and clipped means.
    """

    def logits(at: Tensor) -> Columns:
        return _forward(problem, net, problem.train, *batch.part(at))

    places = torch.arange(len(batch.rows))
    if micro is None or len(places) <= micro:
        losses = member_losses(problem.method, logits(places), batch)
        losses.sum().backward()
        return losses.detach()
    parts = places.split(micro)
    with torch.no_grad():
        slices = [logits(at) for at in parts]
    out = Columns({k: torch.cat([s[k] for s in slices], 1).requires_grad_() for k in slices[0]})
    losses = member_losses(problem.method, out, batch)
    losses.sum().backward()
    used = [k for k in out if out[k].grad is not None]
    for at in parts:
        again = logits(at)
        torch.autograd.backward([again[k] for k in used], [_grad(out[k])[:, at] for k in used])
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


def _grad(v: Tensor) -> Tensor:
    assert v.grad is not None
    return v.grad


def member_losses(method: Method, out: Columns, batch: Batch) -> Tensor:
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


def _forward(
    problem: Problem,
    net: Net,
    data: Feedback,
    rows: Tensor,
    mixed: tuple[Tensor, Tensor] | None = None,
) -> Columns:
    wanted = set(net.shape.heads.values())
    inputs = _inputs(problem, data, rows, wanted)
    if mixed is not None:
        other, share = mixed
        blend = _inputs(problem, data, other, wanted)
        inputs = {k: torch.lerp(blend[k], v, share[:, None].to(v)) for k, v in inputs.items()}
    out: Columns = net(inputs)
    return out


def predict(problem: Problem, net: Net, data: Feedback, rows: Tensor | None = None) -> Columns:
    """(M, n) logits of every head on ``rows``, in chunks, without gradients."""
    rows = torch.arange(len(data)) if rows is None else rows
    with torch.no_grad():
        parts = [_forward(problem, net, data, i) for i in rows.split(CHUNK)]
    return Columns({k: torch.cat([p[k] for p in parts], 1) for k in parts[0]})


def member_of(out: Columns, m: int) -> Columns:
    """The (n,) logits of member m."""
    return Columns({k: v[m] for k, v in out.items()})


def bare(data: Feedback, t: float = 1.0) -> Feedback:
    """The columns without x, which a loss does not see."""
    return replace(data, x=data.x[:, :0], t=t)


def clip_gradient(net: Net, longest: float) -> None:
    """Scale each member's gradient to norm ``longest`` at most; members do not affect one another."""
    grads = [p.grad for p in net.parameters() if p.grad is not None]
    parts = [torch.linalg.vector_norm(g.flatten(1), dim=1) for g in grads]
    norm = torch.linalg.vector_norm(torch.stack(parts), dim=0)
    scale = (longest / norm.clamp(min=1e-12)).clamp(max=1.0)
    for g in grads:
        g.mul_(scale.view(-1, *[1] * (g.dim() - 1)))
