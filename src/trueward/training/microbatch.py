"""The exact gradient of a loss on a whole batch, with the graph of one slice of it in memory at a time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from trueward.core.errors import TruewardError
from trueward.data.feedback import Columns

from .step import blank, forward, member_losses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from .networks import Net
    from .step import Batch, Problem

LOG = logging.getLogger("trueward")
NEAR = 1e-5  # of the largest: gradients that differ by less are equal up to rounding


class Slices:
    """dL/dw = sum over slices k of dL/ds_k ds_k/dw, with s_k the logits of ``size`` rows.

    The loss sees all logits. In most losses dL/ds_k depends on no others than s_k, so that the graph of s_k
    is used as soon as it is made, with zeros in the place of logits not known yet. When all are known, dL/ds
    is taken again. Where it is another (ranks, quantiles, clipped means) the step begins anew, with all
    logits first and then every slice once more, and so do all later steps.

    Several processes share the slices of a batch, and add up what they found. If a slice does not fit into
    memory, it is halved, and all that follow.
    """

    def __init__(self, size: int) -> None:
        self.given = self.size = size
        self.once = True  # no loss has been found yet to need all logits
        self._told = False

    def backward(self, problem: Problem, net: Net, batch: Batch) -> Tensor:
        """Put the gradient of the loss on a batch into the parameters; give (M,) losses."""
        n, place = len(batch.rows), batch.b.y.device
        out, used = blank(net.shape, n, place), blank(net.shape, n, place)

        def first(at: Tensor) -> None:
            with torch.set_grad_enabled(self.once):
                part = forward(problem, net, problem.train, *batch.part(at))
            for k, v in part.items():
                out[k][:, at] = v.detach().to(place)
            if self.once:
                slope = _slopes(problem, out, batch)[1]
                for k, v in slope.items():
                    used[k][:, at] = v[:, at]
                _carry(part, slope, at)

        def second(at: Tensor) -> None:
            _carry(forward(problem, net, problem.train, *batch.part(at)), slope, at)

        self._through(problem, net, batch, first)
        problem.processes.summed([*out.values(), *used.values()])
        losses, slope = _slopes(problem, out, batch)
        other = torch.tensor(not self.once or _differ(slope, used)).float()
        if problem.processes.agreed(other):
            self.once = False
            self._through(problem, net, batch, second)
        _add_up(problem, net)
        return losses

    def _through(
        self, problem: Problem, net: Net, batch: Batch, do: Callable[[Tensor], None]
    ) -> None:
        """Do the slices of this process, from the start again with smaller ones where memory runs out."""
        own = self._own(problem, batch)
        while True:
            net.zero_grad(set_to_none=True)
            try:
                for at in (at for part in own for at in part.split(self.size)):
                    do(at)
            except torch.OutOfMemoryError:
                pass  # out of here, where nothing holds the failed slice any more
            else:
                return
            self._smaller(min(self.size, max(map(len, own))))

    def _own(self, problem: Problem, batch: Batch) -> Sequence[Tensor]:
        """Places in the batch that this process takes, whatever memory the others have."""
        order = torch.arange(len(batch.rows))
        if problem.lengths is not None:  # rows of about one length, the longest first
            order = problem.lengths[batch.rows].argsort(descending=True, stable=True)
        most = min(self.given, -(-len(order) // problem.processes.count))
        return problem.processes.share(order.split(most))

    def _smaller(self, rows: int) -> None:
        if rows == 1:
            raise TruewardError(
                "one text with its gradient does not fit into memory: choose a smaller max_length behind the "
                "backbone's name, --gradient-checkpointing, --tune lora, or a smaller model"
            )
        self.size = rows // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if not self._told:
            self._told = True
            LOG.warning(
                "memory ran out with %d rows at once: micro_batch is halved and it goes on; the gradient is "
                "the same",
                rows,
            )


def _slopes(problem: Problem, out: Columns, batch: Batch) -> tuple[Tensor, Columns]:
    """(M,) losses, and their gradient at the logits of every head that they depend on."""
    leaves = Columns({k: v.clone().requires_grad_() for k, v in out.items()})
    with torch.enable_grad():
        losses = member_losses(problem.method, leaves, batch)
    found = torch.autograd.grad(losses.sum(), list(leaves.values()), allow_unused=True)
    return losses.detach(), Columns(
        {k: v for k, v in zip(leaves, found, strict=True) if v is not None}
    )


def _carry(part: Columns, slope: Columns, at: Tensor) -> None:
    """Carry the gradient at the logits of some rows back into the network."""
    torch.autograd.backward(
        [part[k] for k in slope], [v[:, at].to(part[k].device) for k, v in slope.items()]
    )


def _differ(slope: Columns, used: Columns) -> bool:
    """Whether the gradient of any head is another than the one that was used; one that is not finite is."""
    return any(
        not (v - used[k]).abs().max() <= NEAR * used[k].abs().max() for k, v in slope.items()
    )


def _add_up(problem: Problem, net: Net) -> None:
    """Sum the gradients over the processes; a weight that no loss reaches anywhere has none."""
    if problem.processes.count == 1:
        return
    weights = list(net.parameters())
    reached = torch.tensor([float(p.grad is not None) for p in weights])
    problem.processes.summed([reached])
    kept = [p for p, n in zip(weights, reached.tolist(), strict=True) if n]
    for p in kept:
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad
    problem.processes.summed([p.grad for p in kept if p.grad is not None])
