"""The exact gradient of a loss on a whole batch, with the graph of one micro-batch in memory at a time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from trueward.core.errors import TruewardError
from trueward.data.feedback import Columns

from .step import forward, member_losses, zero_logits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from .networks import TrainableNet
    from .problem import Batch, TrainingProblem

LOG = logging.getLogger("trueward")
NEAR = 1e-5  # of the largest: gradients that differ by less are equal up to rounding


class MicroBatches:
    """dL/dw = sum over micro-batches k of dL/ds_k ds_k/dw, with s_k the logits of ``size`` rows.

    The loss reads the logits of the whole batch. In most losses dL/ds_k depends on s_k alone. The graph of
    s_k is then used as soon as it exists, with zeros for the logits not known yet. Once all logits are
    known, dL/ds is computed again. Where it differs (ranks, quantiles, clipped means), the step restarts:
    all logits first, without a graph, then every micro-batch once more; so do all later steps.

    Several processes share the micro-batches of a batch and sum their gradients. A micro-batch that does
    not fit into memory is halved, and so are all later ones.

    Parameters
    ----------
    size : int
        Rows in one forward pass.

    """

    def __init__(self, size: int) -> None:
        self.initial_size = self.size = size
        self.one_pass = True  # until a loss needs all logits
        self._warned = False

    def backward(self, problem: TrainingProblem, net: TrainableNet, batch: Batch) -> Tensor:
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

        Raises
        ------
        TruewardError
            If one row does not fit into memory.

        """
        n, device = len(batch.rows), batch.feedback.y.device
        out, used = zero_logits(net.shape, n, device), zero_logits(net.shape, n, device)

        def first_pass(at: Tensor) -> None:
            with torch.set_grad_enabled(self.one_pass):
                part = forward(net, problem.train_source, *batch.part(at))
            for k, v in part.items():
                out[k][:, at] = v.detach().to(device)
            if self.one_pass:
                gradient = _logit_gradients(problem, out, batch)[1]
                for k, v in gradient.items():
                    used[k][:, at] = v[:, at]
                _backpropagate(part, gradient, at)

        def second_pass(at: Tensor) -> None:
            _backpropagate(forward(net, problem.train_source, *batch.part(at)), gradient, at)

        self._each(problem, net, batch, first_pass)
        problem.processes.all_reduce([*out.values(), *used.values()])
        losses, gradient = _logit_gradients(problem, out, batch)
        again = torch.tensor(not self.one_pass or _differ(gradient, used)).float()
        if problem.processes.broadcast_tensor(again):
            self.one_pass = False
            self._each(problem, net, batch, second_pass)
        _sum_gradients(problem, net)
        return losses

    def _each(
        self,
        problem: TrainingProblem,
        net: TrainableNet,
        batch: Batch,
        compute: Callable[[Tensor], None],
    ) -> None:
        """Compute this process's micro-batches; where memory runs out, restart with smaller ones."""
        own = self._share(problem, batch)
        while True:
            net.zero_grad(set_to_none=True)
            try:
                for at in (at for part in own for at in part.split(self.size)):
                    compute(at)
            except torch.OutOfMemoryError:
                pass  # continue outside, where nothing refers to the failed graph
            else:
                return
            self._halve(min(self.size, max(map(len, own))))

    def _share(self, problem: TrainingProblem, batch: Batch) -> Sequence[Tensor]:
        """Places in the batch that this process computes, independent of its memory."""
        order = torch.arange(len(batch.rows))
        if problem.lengths is not None:  # rows of about one length, the longest first
            order = problem.lengths[batch.rows].argsort(descending=True, stable=True)
        most = min(self.initial_size, -(-len(order) // problem.processes.count))
        return problem.processes.shard(order.split(most))

    def _halve(self, rows: int) -> None:
        if rows == 1:
            raise TruewardError(
                "one text with its gradient does not fit into memory: choose a smaller max_length behind the "
                "backbone's name, --gradient-checkpointing, --tune lora, or a smaller model"
            )
        self.size = rows // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if not self._warned:
            self._warned = True
            LOG.warning(
                "out of memory with %d rows in a forward pass: micro_batch is halved and training continues; "
                "the gradient is the same",
                rows,
            )


def _logit_gradients(
    problem: TrainingProblem, out: Columns, batch: Batch
) -> tuple[Tensor, Columns]:
    """(M,) losses, and their gradient at the logits of every head that they depend on."""
    leaves = Columns({k: v.clone().requires_grad_() for k, v in out.items()})
    with torch.enable_grad():
        losses = member_losses(problem.objective, leaves, batch)
    gradients = torch.autograd.grad(losses.sum(), list(leaves.values()), allow_unused=True)
    return losses.detach(), Columns(
        {k: v for k, v in zip(leaves, gradients, strict=True) if v is not None}
    )


def _backpropagate(part: Columns, gradient: Columns, at: Tensor) -> None:
    """Propagate the gradient at the logits of some rows into the parameters."""
    torch.autograd.backward(
        [part[k] for k in gradient], [v[:, at].to(part[k].device) for k, v in gradient.items()]
    )


def _differ(gradient: Columns, used: Columns) -> bool:
    """Whether the gradient of any head differs from the one used; a non-finite one does."""
    return any(
        not (v - used[k]).abs().max() <= NEAR * used[k].abs().max() for k, v in gradient.items()
    )


def _sum_gradients(problem: TrainingProblem, net: TrainableNet) -> None:
    """Sum the gradients over the processes; a weight without a gradient anywhere keeps none."""
    if problem.processes.count == 1:
        return
    weights = list(net.parameters())
    reached = torch.tensor([float(p.grad is not None) for p in weights])
    problem.processes.all_reduce([reached])
    trained = [p for p, n in zip(weights, reached.tolist(), strict=True) if n]
    for p in trained:
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad
    problem.processes.all_reduce([p.grad for p in trained if p.grad is not None])
