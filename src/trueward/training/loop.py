"""The one training loop: mini-batches by row number over data in memory, for methods and nuisances."""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from trueward.core.errors import NotFiniteError, TruewardError
from trueward.core.random import torch_stream
from trueward.core.threads import in_threads
from trueward.data.feedback import Columns

from .config import Train, width_factor
from .problem import (
    TrainingProblem,
    make_batch,
    member_logits,
    with_user_offset,
    without_features,
)
from .step import backward, backward_stacked, clip_gradients, predict
from .training_state import (
    Points,
    TrainingRun,
    TrainingState,
    keep_inputs,
    make_optimizer,
    plan_run,
    restore_best,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from trueward.data.feedback import Feedback
    from trueward.estimation.objective import Objective

    from .checkpoints import Checkpoints
    from .networks import Net, TrainableNet

#: Called after every epoch with: stage, epoch, largest number of epochs, validation loss.
Progress = Callable[[str, int, int, float], None]


def train_net(
    problem: TrainingProblem,
    cfg: Train,
    checkpoints: Checkpoints | None = None,
    progress: Progress | None = None,
    points: Points | None = None,
) -> TrainingState:
    """Minimise the objective with AdamW; early stopping on the monitored loss restores the best weights.

    Parameters
    ----------
    problem : TrainingProblem
        The training problem.
    cfg : Train
        The settings.
    checkpoints : Checkpoints, optional
        Where the state is saved, and resumed from if there is one.
    progress : Progress, optional
        Called after every epoch.
    points : Points, optional
        Called after every step and every epoch.

    Raises
    ------
    TruewardError
        If the loss was never finite on the validation rows.

    """
    run = keep_inputs(replace(plan_run(problem, cfg), points=points))
    if checkpoints is not None:
        checkpoints.resume(problem.stage, run.state)
    writable = checkpoints if problem.processes.main else None
    _train([run], writable, progress)
    state = restore_best(run)
    if writable is not None:
        state.epoch = run.epochs
        writable.save(problem.stage, state)
    return state


def train_nets(
    problems: Sequence[TrainingProblem], cfgs: Sequence[Train], threads: int = 1
) -> list[TrainingState | TruewardError]:
    """Train many problems; those that take the same steps are trained as one stacked network.

    Results are those of `train_net` one by one, up to rounding.

    Parameters
    ----------
    problems : sequence of TrainingProblem
        The training problems.
    cfgs : sequence of Train
        The settings of each.
    threads : int, default 1
        Number of stacks trained at once, each on one core, the longest first. A stack is cut into as many
        parts.

    Returns
    -------
    list
        The state of each problem, or the error that ended it.

    """
    results: list[TrainingState | TruewardError] = []
    groups: dict[object, list[tuple[int, TrainingRun]]] = {}
    for k, (problem, cfg) in enumerate(zip(problems, cfgs, strict=True)):
        try:
            run = plan_run(problem, cfg)
        except TruewardError as e:
            results.append(e)
            continue
        results.append(run.state)
        groups.setdefault(run.stack_key, []).append((k, run))
    stacks = [
        group[i : i + most]
        for group in groups.values()
        for most in (-(-len(group) // threads),)
        for i in range(0, len(group), most)
    ]
    stacks.sort(key=lambda stack: -sum(run.work for _, run in stack))
    in_threads(lambda stack: _train([run for _, run in stack]), stacks, threads)
    for k, run in itertools.chain.from_iterable(stacks):
        try:
            results[k] = restore_best(run)
        except TruewardError as e:
            results[k] = e
    return results


def _train(
    runs: list[TrainingRun],
    checkpoints: Checkpoints | None = None,
    progress: Progress | None = None,
) -> None:
    """Train runs that take the same steps; a run that has stopped leaves the stack."""
    active, saved = [run for run in runs if run.unfinished], time.monotonic()
    stack = _stack_runs(active) if len(active) > 1 else None
    while active:
        losses = _epoch(active, stack)
        for run, train in zip(active, losses, strict=True):
            state, t = run.state, run.state.epoch / run.epochs
            current = _monitored_loss(run, t)
            if t >= run.problem.objective.warm_up_fraction:
                state.record(current, train, run.cfg.patience)
            state.epoch += 1
            run.report_epoch(current)
            if progress is not None:
                progress(run.problem.stage, state.epoch, run.epochs, sum(current) / len(current))
            if checkpoints is not None and time.monotonic() - saved > checkpoints.every:
                checkpoints.save(run.problem.stage, state)
                saved = time.monotonic()
        left = [k for k, run in enumerate(active) if run.unfinished]
        if stack is not None and 0 < len(left) < len(active):
            stack = _keep_runs(stack, left, len(active))
        active = [active[k] for k in left]


@dataclass(frozen=True)
class _Stack:
    """The networks of several runs as one, member after member."""

    net: Net
    optimizer: torch.optim.AdamW


def _stack_runs(runs: Sequence[TrainingRun]) -> _Stack:
    nets = [run.state.mlp for run in runs]
    net = copy.deepcopy(nets[0])
    net.shape = replace(net.shape, members=sum(n.shape.members for n in nets))
    for p, parts in zip(
        net.parameters(), zip(*(n.parameters() for n in nets), strict=True), strict=True
    ):
        p.data = torch.cat([part.data for part in parts])
    return _Stack(net, make_optimizer(net, runs[0].cfg))


def _keep_runs(stack: _Stack, left: Sequence[int], runs: int) -> _Stack:
    """Keep the members of the runs ``left`` out of ``runs``, and their optimizer state."""
    each = stack.net.shape.members // runs
    members = torch.cat([torch.arange(k * each, (k + 1) * each) for k in left])
    for p in stack.net.parameters():
        p.grad, p.data = None, p.data[members.to(p.device)]
        state = stack.optimizer.state[p]
        state |= {k: v[members.to(v.device)] for k, v in state.items() if v.dim()}
    stack.net.shape = replace(stack.net.shape, members=len(members))
    return stack


def _epoch(runs: Sequence[TrainingRun], stack: _Stack | None) -> list[list[float]]:
    """Train one epoch; return the mean training loss of every member, run by run."""
    first = runs[0]
    streams = [torch_stream(r.cfg.seed, "batches", r.problem.stream, r.state.epoch) for r in runs]
    orders = [
        r.problem.objective.batches(r.problem.train, r.rows, r.size, g)
        for r, g in zip(runs, streams, strict=True)
    ]
    net: TrainableNet = first.state.net if stack is None else stack.net
    optimizer = first.state.optimizer if stack is None else stack.optimizer
    peak = first.cfg.lr or 3e-4 * width_factor(first.problem.train.x.shape[1], 1024)
    total, t, count = torch.zeros(net.shape.members), first.state.epoch / first.epochs, 0
    for rows in zip(*orders, strict=True):
        step = first.state.epoch * first.steps + count
        for group in optimizer.param_groups:
            group["lr"] = peak * _schedule(step, first.steps * first.epochs, first.cfg.lr_warm_up)
        optimizer.zero_grad(set_to_none=True)
        batches = [
            make_batch(r.problem, i, t, r.state.memory, g)
            for r, i, g in zip(runs, rows, streams, strict=True)
        ]
        if stack is None:
            step_of = backward if first.micro_batches is None else first.micro_batches.backward
            loss = step_of(first.problem, net, batches[0]).cpu()
        else:
            loss = backward_stacked([r.problem for r in runs], stack.net, batches).cpu()
        total += loss
        norm = clip_gradients(net, first.cfg.clip_norm)
        if first.problem.net is not None:
            _require_finite(first, norm, count)
        optimizer.step()
        count += 1
        first.report_step(step + 1, loss, norm, optimizer.param_groups[0]["lr"])
    if stack is not None:
        _return_weights(runs, stack.net)
    return [part.tolist() for part in (total / max(1, count)).chunk(len(runs))]


def _require_finite(run: TrainingRun, norm: Tensor, step: int) -> None:
    """Refuse a step of a fine-tuned model with a non-finite gradient; the weights are those before it."""
    if not norm.isfinite().all():
        raise NotFiniteError(
            f"{run.problem.stage}: the gradient was not finite in step {step + 1} of {run.steps} of epoch "
            f"{run.state.epoch + 1}: lower the learning rate (-o lr=...), or let the model compute in "
            "float32 (,dtype=float32 behind the name of the backbone)"
        )


def _return_weights(runs: Sequence[TrainingRun], net: Net) -> None:
    """Copy the weights of the stack's members to the runs they belong to."""
    for p, parts in zip(
        net.parameters(), zip(*(r.state.net.parameters() for r in runs), strict=True), strict=True
    ):
        for part, own in zip(parts, p.data.chunk(len(runs)), strict=True):
            part.data.copy_(own)


def _schedule(step: int, steps: int, warm_up: float) -> float:
    """Linear rise over the first fraction of the steps, cosine decay over the rest."""
    rise = max(1, round(warm_up * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise))))


def _monitored_loss(run: TrainingRun, t: float) -> list[float]:
    """The loss of early stopping, one a member; updates the objective's memory of the rows."""
    problem, state, rows, val_rows = run.problem, run.state, run.rows, run.val_rows
    objective, before = problem.objective, [memory[rows] for memory in state.memory]
    out = Columns()
    if any(before) or objective.monitor_split == "training":
        out = predict(problem, state.net, problem.train_source, rows)
    if objective.monitor_split == "training":
        current = _monitor(objective, out, without_features(problem.train)[rows], before)
    else:
        held = predict(problem, state.net, problem.val_source, val_rows)
        none = [Columns()] * len(before)
        current = _monitor(objective, held, without_features(problem.val)[val_rows], none)
    b = without_features(problem.train, t)[rows]
    for m, memory in enumerate(before):
        if memory:
            fresh = objective.update_memory(member_logits(out, m), replace(b, eta=b.eta | memory))
            updated = {k: v.index_copy(0, rows, fresh[k]) for k, v in state.memory[m].items()}
            state.memory[m] = Columns(updated)
    return problem.processes.broadcast_tensor(torch.tensor(current, dtype=torch.float64)).tolist()


def _monitor(objective: Objective, out: Columns, b: Feedback, memory: list[Columns]) -> list[float]:
    with torch.no_grad():
        return [
            float(
                objective.monitor(
                    with_user_offset(member_logits(out, m), b, m), replace(b, eta=b.eta | own)
                )
            )
            for m, own in enumerate(memory)
        ]
