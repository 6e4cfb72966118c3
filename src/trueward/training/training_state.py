"""The state of a training, and the run that a problem and its settings make of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from trueward.core.errors import TruewardError, UsageError
from trueward.core.random import torch_stream
from trueward.estimation.objective import Objective
from trueward.estimation.samplers import population

from .config import Train, default_epochs
from .microbatch import MicroBatches
from .networks import Net, Shape
from .problem import without_features
from .row_sources import FeatureRows

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.feedback import Columns

    from .networks import TrainableNet
    from .problem import TrainingProblem


#: Called after every step and every epoch of a training with ``step`` and metrics by name.
Points = Callable[[dict[str, float]], None]


@dataclass
class TrainingState:
    """Everything that training changes and a checkpoint holds.

    Attributes
    ----------
    net : TrainableNet
        The network.
    optimizer : torch.optim.AdamW
        Its optimizer.
    best : list of Tensor
        Parameters of each member's best epoch.
    best_loss : list of float
        Validation loss of each member's best epoch.
    waited : list of int
        Epochs since each member's best epoch.
    epoch : int
        Number of epochs done.
    train_loss : list of float
        Training loss of each member's best epoch.
    memory : list of Columns
        The objective's memory of every row, one a member.

    """

    net: TrainableNet
    optimizer: torch.optim.AdamW
    best: list[Tensor]
    best_loss: list[float]
    waited: list[int]
    epoch: int = 0
    train_loss: list[float] = field(default_factory=list)
    memory: list[Columns] = field(default_factory=list)

    @property
    def mlp(self) -> Net:
        """The network, where it is a `Net` on fixed features."""
        assert isinstance(self.net, Net)
        return self.net

    def record(self, current: list[float], train: list[float], patience: int) -> None:
        """Store the parameters of the members that improved, unless a member is out of patience.

        Parameters
        ----------
        current : list of float
            Validation loss of every member after this epoch.
        train : list of float
            Training loss of every member in this epoch.
        patience : int
            Epochs without improvement after which a member's best epoch is final.

        """
        for m, now in enumerate(current):
            if now < self.best_loss[m] and self.waited[m] < patience:
                self.best_loss[m], self.waited[m], self.train_loss[m] = now, 0, train[m]
                for best, p in zip(self.best, self.net.parameters(), strict=True):
                    best[m].copy_(p.detach()[m])
            else:
                self.waited[m] += 1


@dataclass(frozen=True)
class TrainingRun:
    """A problem with its settings, its state, and its batches.

    Attributes
    ----------
    problem : TrainingProblem
        The training problem.
    cfg : Train
        The settings.
    state : TrainingState
        What training changes.
    rows, val_rows : Tensor
        Row numbers that contribute to the loss and to the monitored loss.
    size : int
        Largest number of rows in a batch.
    epochs : int
        Largest number of epochs.
    micro_batches : MicroBatches or None
        Computes the gradient of a batch in parts; None: the batch at once.
    points : Points or None
        Receives the metrics of a run that is trained alone.

    """

    problem: TrainingProblem
    cfg: Train
    state: TrainingState
    rows: Tensor
    val_rows: Tensor
    size: int
    epochs: int
    micro_batches: MicroBatches | None = None
    points: Points | None = None

    def report_step(self, step: int, loss: Tensor, norm: Tensor, lr: float) -> None:
        """Pass on the training loss, gradient norm (means over the members) and learning rate of a step."""
        if self.points is not None:
            means = {"training_loss": float(loss.mean()), "gradient_norm": float(norm.mean())}
            self.points({"step": step, **means, "learning_rate": lr})

    def report_epoch(self, loss: list[float]) -> None:
        """Pass on the validation loss after an epoch, the mean over the members."""
        if self.points is not None:
            step, epoch = self.state.epoch * self.steps, self.state.epoch
            mean = sum(loss) / len(loss)
            self.points({"step": step, "epoch": epoch, "validation_loss": mean})

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        return max(1, -(-len(self.rows) // self.size))

    @property
    def work(self) -> int:
        """Rows times heads times members times epochs: the cost of the training."""
        shape = self.state.net.shape
        return len(self.rows) * self.epochs * shape.members * len(shape.heads)

    @property
    def unfinished(self) -> bool:
        """Whether another epoch follows."""
        return self.state.epoch < self.epochs and min(self.state.waited) < self.cfg.patience

    @property
    def stack_key(self) -> object:
        """Equal for runs that take the same steps and can be trained as one stacked network."""
        objective, cfg = type(self.problem.objective), replace(self.cfg, seed=0)
        plain = objective.batches is Objective.batches and objective.mixing is Objective.mixing
        plain = plain and not self.problem.objective.compares
        if not plain or cfg.micro_batch is not None:
            return id(self)
        shape = self.state.net.shape
        return repr((shape, self.problem.stage, objective.__name__, cfg, self.steps, self.epochs))


def plan_run(problem: TrainingProblem, cfg: Train) -> TrainingRun:
    """Choose rows, batch size and number of epochs, and initialise the state.

    Parameters
    ----------
    problem : TrainingProblem
        The training problem.
    cfg : Train
        The settings.

    Raises
    ------
    UsageError
        If all epochs belong to the warm-up of the objective.

    """
    objective = problem.objective
    rows, val_rows = objective.rows(problem.train), objective.rows(problem.val)
    g = torch_stream(cfg.seed, "validation", problem.stream)
    if not objective.compares:
        val_rows = population(val_rows, problem.val.weight, g)
    size = cfg.batch_size or min(1024, max(64, -(-len(rows) // 12)))
    epochs = cfg.epochs or default_epochs(len(rows), problem.train.x.shape[1])
    _require_epochs(problem, epochs)
    micro = None if cfg.micro_batch is None else MicroBatches(cfg.micro_batch)
    return TrainingRun(problem, cfg, _initial(problem, cfg), rows, val_rows, size, epochs, micro)


def keep_inputs(run: TrainingRun) -> TrainingRun:
    """Return the run with the inputs of its rows standardised once, where they are few of the log's rows.

    Parameters
    ----------
    run : TrainingRun
        A run that has not begun.

    """
    source = run.problem.train_source
    if not isinstance(source, FeatureRows) or run.epochs < 2:
        return run
    source = source.keeping(run.rows, set(run.state.net.shape.heads.values()) - {"one"})
    return replace(run, problem=replace(run.problem, train_source=source))


def restore_best(run: TrainingRun) -> TrainingState:
    """Restore each member's best weights, and return the state.

    Parameters
    ----------
    run : TrainingRun
        A run that has ended.

    Raises
    ------
    TruewardError
        If a member's validation loss was never finite.

    """
    if not all(map(math.isfinite, run.state.best_loss)):
        raise TruewardError(
            f"{run.problem.stage}: the loss was never finite on the validation rows; lower the "
            "learning rate (-o lr=1e-4) or check the features for extreme values"
        )
    with torch.no_grad():
        for best, p in zip(run.state.best, run.state.net.parameters(), strict=True):
            p.copy_(best)
    return run.state


def _require_epochs(problem: TrainingProblem, epochs: int) -> None:
    objective = problem.objective
    if (epochs - 1) / epochs < objective.warm_up_fraction:
        raise UsageError(
            f"{objective.name} discards the epochs of its warm-up, the first "
            f"{objective.warm_up_fraction:.0%} of the training, and epochs={epochs} leaves none after "
            "it: give more epochs or a shorter warm-up"
        )


def _initial(problem: TrainingProblem, cfg: Train) -> TrainingState:
    objective, net = problem.objective, problem.net
    if net is None:
        shape = Shape(
            problem.train_source.widths(),
            dict(objective.heads),
            cfg.hidden,
            objective.shared,
            problem.members or cfg.members,
            exposed=objective.hidden,
        )
        net = Net(shape, cfg.seed, problem.stream).to(problem.train.y.device)
    members = net.shape.members
    best = [p.detach().clone() for p in net.parameters()]
    never, unknown = [math.inf] * members, [math.nan] * members
    memory = [objective.init_memory(without_features(problem.train))] * members
    optimizer = make_optimizer(net, cfg)
    return TrainingState(net, optimizer, best, never, [0] * members, 0, unknown, memory)


def make_optimizer(net: TrainableNet, cfg: Train) -> torch.optim.AdamW:
    """Return AdamW over the parameters; the loop sets its learning rate in every step.

    Parameters
    ----------
    net : TrainableNet
        The network.
    cfg : Train
        The settings: weight decay.

    """
    return torch.optim.AdamW(net.parameters(), lr=0.0, weight_decay=cfg.weight_decay, fused=True)
