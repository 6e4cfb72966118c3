"""A network on its way: the problem, the settings, and everything that training changes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from trueward.core.errors import TruewardError, UsageError
from trueward.core.random import torch_stream
from trueward.estimation.objective import Objective
from trueward.estimation.samplers import population

from .config import Train, passes
from .microbatch import Slices
from .networks import Net, Shape
from .step import bare

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.feedback import Columns

    from .step import Problem


VECTOR = 16  # float32 numbers in the widest


@dataclass
class State:
    """Everything that training changes: what a checkpoint keeps."""

    net: Net
    optimiser: torch.optim.AdamW
    best: list[Tensor]  # parameters of each member's best epoch
    value: list[float]  # validation loss there, a member each
    waited: list[int]
    epoch: int = 0
    kept: list[float] = field(default_factory=list)  # training loss of each member's best epoch
    memory: list[Columns] = field(default_factory=list)  # what the method remembers of every row

    def record(self, current: list[float], train: list[float], patience: int) -> None:
        """Keep the members that got better; one that ran out of patience has stopped."""
        for m, now in enumerate(current):
            if now < self.value[m] and self.waited[m] < patience:
                self.value[m], self.waited[m], self.kept[m] = now, 0, train[m]
                for best, p in zip(self.best, self.net.parameters(), strict=True):
                    best[m].copy_(p.detach()[m])
            else:
                self.waited[m] += 1


@dataclass(frozen=True)
class Run:
    """A problem with its settings, its state, and how it will be walked through."""

    problem: Problem
    cfg: Train
    state: State
    rows: Tensor
    val_rows: Tensor
    size: int  # rows a step at most
    epochs: int
    slices: Slices | None = None  # of a batch, where it is not taken whole

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        return max(1, -(-len(self.rows) // self.size))

    @property
    def work(self) -> int:
        """Rows that heads pass, in a whole training."""
        shape = self.state.net.shape
        return len(self.rows) * self.epochs * shape.members * len(shape.heads)

    @property
    def going(self) -> bool:
        """Whether there is an epoch to come."""
        return self.state.epoch < self.epochs and min(self.state.waited) < self.cfg.patience

    @property
    def alike(self) -> object:
        """What runs must share to be trained as one network; unique where nothing is like it."""
        method, cfg = type(self.problem.method), replace(self.cfg, seed=0)
        plain = method.batches is Objective.batches and method.mixing is Objective.mixing
        if not plain or cfg.micro_batch is not None:
            return id(self)
        shape = self.state.net.shape
        return repr((shape, self.problem.stage, method.__name__, cfg, self.steps, self.epochs))


def planned(problem: Problem, cfg: Train) -> Run:
    """Set out: rows, sizes, epochs, a fresh network."""
    rows, val_rows = problem.method.rows(problem.train), problem.method.rows(problem.val)
    g = torch_stream(cfg.seed, "validation", problem.stage)
    val_rows = population(val_rows, problem.val.weight, g)
    size = cfg.batch_size or min(1024, max(64, -(-len(rows) // 12)))
    epochs = cfg.epochs or passes(len(rows), problem.train.x.shape[1])
    _need_epochs(problem, epochs)
    slices = None if cfg.micro_batch is None else Slices(cfg.micro_batch)
    return Run(problem, cfg, _start(problem, cfg), rows, val_rows, size, epochs, slices)


def finished(run: Run) -> State:
    """Put the best weights back."""
    if not all(map(math.isfinite, run.state.value)):
        raise TruewardError(
            f"{run.problem.stage}: the loss was never finite on the validation rows; lower the "
            "learning rate (-o lr=1e-4) or check the features for extreme values"
        )
    with torch.no_grad():
        for best, p in zip(run.state.best, run.state.net.parameters(), strict=True):
            p.copy_(best)
    return run.state


def _need_epochs(problem: Problem, epochs: int) -> None:
    if (epochs - 1) / epochs < problem.method.warm_up_fraction:
        raise UsageError(
            f"{problem.method.name} keeps no epoch of its warm-up, the first "
            f"{problem.method.warm_up_fraction:.0%} of the training, and epochs={epochs} leaves none after "
            "it: give more epochs or a shorter warm-up"
        )


def _start(problem: Problem, cfg: Train) -> State:
    method = problem.method
    members = cfg.members if problem.fold is None else int(problem.fold.max()) + 1
    shape = Shape(
        *(problem.inputs.sizes(), dict(method.heads), cfg.hidden, method.shared, members),
        exposed=method.hidden,
    )
    net = problem.net or Net(shape, cfg.seed, problem.stage).to(problem.train.y.device)
    optimiser = adamw(net, cfg)
    best = [p.detach().clone() for p in net.parameters()]
    inf = [math.inf] * members
    memory = [method.init_memory(bare(problem.train))] * members
    return State(net, optimiser, best, inf, [0] * members, 0, [math.nan] * members, memory)


def adamw(net: Net, cfg: Train) -> torch.optim.AdamW:
    """The optimiser; its rate is set step by step.

    The fused kernel rounds numbers that do not fill a vector of the processor in another way, so those of
    a member would depend on how many members there are; where there are any, the plain one is used.
    """
    whole = {True: [], False: []}  # type: dict[bool, list[torch.nn.Parameter]]
    for p in net.parameters():
        whole[p[0].numel() % VECTOR == 0].append(p)
    groups = [
        {"params": whole[True], "fused": True},
        {"params": whole[False], "fused": False, "foreach": True},
    ]
    return torch.optim.AdamW(
        [g for g in groups if g["params"]], lr=0.0, weight_decay=cfg.weight_decay
    )
