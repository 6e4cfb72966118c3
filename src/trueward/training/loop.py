"""The one training loop: mini-batches by index over tensors in memory, for methods and nuisances alike."""

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

from .config import Train, narrower
from .step import (
    Problem,
    backward,
    backward_together,
    bare,
    clip_gradient,
    gather,
    member_of,
    predict,
)
from .training_state import Run, State, adamw, finished, planned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from trueward.data.feedback import Feedback
    from trueward.estimation.objective import Objective

    from .checkpoints import Checkpoints
    from .networks import Net

Progress = Callable[[str, int, int, float], None]  # stage, epoch, of, validation loss


def train_net(
    problem: Problem,
    cfg: Train,
    checkpoints: Checkpoints | None = None,
    progress: Progress | None = None,
) -> State:
    """Minimise the method's loss with AdamW; stop on what the validation log shows; best weights back."""
    run = planned(problem, cfg)
    if checkpoints is not None:
        checkpoints.resume(problem.stage, run.state)
    kept = checkpoints if problem.processes.main else None
    _train([run], kept, progress)
    state = finished(run)
    if kept is not None:
        state.epoch = run.epochs
        kept.save(problem.stage, state)
    return state


def train_nets(
    problems: Sequence[Problem], cfgs: Sequence[Train], threads: int = 1
) -> list[State | TruewardError]:
    """`train_net` of every problem; those that take the same steps are trained as one stacked network.

    The numbers are those of training them one by one, up to rounding. A problem that fails has its
    error in the place of its state. With ``threads``, a stack is cut into as many, and the stacks are
    trained in threads of one core each, the longest first.
    """
    found: list[State | TruewardError] = []
    groups: dict[object, list[tuple[int, Run]]] = {}
    for k, (problem, cfg) in enumerate(zip(problems, cfgs, strict=True)):
        try:
            run = planned(problem, cfg)
        except TruewardError as e:
            found.append(e)
            continue
        found.append(run.state)
        groups.setdefault(run.alike, []).append((k, run))
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
            found[k] = finished(run)
        except TruewardError as e:
            found[k] = e
    return found


def _train(
    runs: list[Run], checkpoints: Checkpoints | None = None, progress: Progress | None = None
) -> None:
    """Train runs that are alike in step; one that has stopped is taken out."""
    going, saved = [run for run in runs if run.going], time.monotonic()
    together = _stacked(going) if len(going) > 1 else None
    while going:
        losses = _epoch(going, together)
        for run, train in zip(going, losses, strict=True):
            state, t = run.state, run.state.epoch / run.epochs
            current = _after(run, t)
            if t >= run.problem.method.warm_up_fraction:
                state.record(current, train, run.cfg.patience)
            state.epoch += 1
            if progress is not None:
                progress(run.problem.stage, state.epoch, run.epochs, sum(current) / len(current))
            if checkpoints is not None and time.monotonic() - saved > checkpoints.every:
                checkpoints.save(run.problem.stage, state)
                saved = time.monotonic()
        left = [k for k, run in enumerate(going) if run.going]
        if together is not None and 0 < len(left) < len(going):
            together = _narrowed(together, left, len(going))
        going = [going[k] for k in left]


@dataclass(frozen=True)
class Together:
    """The networks of several runs as one, member after member."""

    net: Net
    optimiser: torch.optim.AdamW


def _stacked(runs: Sequence[Run]) -> Together:
    nets = [run.state.net for run in runs]
    net = copy.deepcopy(nets[0])
    net.shape = replace(net.shape, members=sum(n.shape.members for n in nets))
    for p, parts in zip(
        net.parameters(), zip(*(n.parameters() for n in nets), strict=True), strict=True
    ):
        p.data = torch.cat([part.data for part in parts])
    return Together(net, adamw(net, runs[0].cfg))


def _narrowed(old: Together, left: Sequence[int], runs: int) -> Together:
    """Keep the members, and what the optimiser knows of them, of the runs ``left``."""
    each = old.net.shape.members // runs
    kept = torch.cat([torch.arange(k * each, (k + 1) * each) for k in left])
    for p in old.net.parameters():
        p.grad, p.data = None, p.data[kept.to(p.device)]
        state = old.optimiser.state[p]
        state |= {k: v[kept.to(v.device)] for k, v in state.items() if v.dim()}
    old.net.shape = replace(old.net.shape, members=len(kept))
    return old


def _epoch(runs: Sequence[Run], together: Together | None) -> list[list[float]]:
    """One pass over the rows; gives the mean training loss of every member, run by run."""
    first = runs[0]
    streams = [torch_stream(r.cfg.seed, "batches", r.problem.stage, r.state.epoch) for r in runs]
    orders = [
        r.problem.method.batches(r.problem.train, r.rows, r.size, g)
        for r, g in zip(runs, streams, strict=True)
    ]
    net = first.state.net if together is None else together.net
    optimiser = first.state.optimiser if together is None else together.optimiser
    peak = first.cfg.lr or 3e-4 * narrower(first.problem.train.x.shape[1], 1024)
    total, t, count = torch.zeros(net.shape.members), first.state.epoch / first.epochs, 0
    for rows in zip(*orders, strict=True):
        step = first.state.epoch * first.steps + count
        for group in optimiser.param_groups:
            group["lr"] = peak * _schedule(step, first.steps * first.epochs, first.cfg.lr_warm_up)
        optimiser.zero_grad(set_to_none=True)
        batches = [
            gather(r.problem, i, t, r.state.memory, g)
            for r, i, g in zip(runs, rows, streams, strict=True)
        ]
        if together is None:
            step_of = backward if first.slices is None else first.slices.backward
            total += step_of(first.problem, net, batches[0]).cpu()
        else:
            total += backward_together([r.problem for r in runs], net, batches).cpu()
        norm = clip_gradient(net, first.cfg.clip_norm)
        if first.problem.net is not None:
            _finite(first, norm, count)
        optimiser.step()
        count += 1
    if together is not None:
        _return_weights(runs, net)
    return [part.tolist() for part in (total / max(1, count)).chunk(len(runs))]


def _finite(run: Run, norm: Tensor, step: int) -> None:
    """Refuse a step of a tuned model to nowhere; the weights are still those before it."""
    if not norm.isfinite().all():
        raise NotFiniteError(
            f"{run.problem.stage}: the gradient was not finite in step {step + 1} of {run.steps} of epoch "
            f"{run.state.epoch + 1}: lower the learning rate (-o lr=...), or let the model compute in "
            "float32 (,dtype=float32 behind the name of the backbone)"
        )


def _return_weights(runs: Sequence[Run], net: Net) -> None:
    """Give every run the weights of its own members."""
    for p, parts in zip(
        net.parameters(), zip(*(r.state.net.parameters() for r in runs), strict=True), strict=True
    ):
        for part, own in zip(parts, p.data.chunk(len(runs)), strict=True):
            part.data.copy_(own)


def _schedule(step: int, steps: int, warm_up: float) -> float:
    """Linear rise over the first share of the steps, cosine fall over the rest."""
    rise = max(1, round(warm_up * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise))))


def _after(run: Run, t: float) -> list[float]:
    """What early stopping minimises, a member each; the method's memory of the rows is renewed."""
    problem, state, rows, val_rows = run.problem, run.state, run.rows, run.val_rows
    method, before = problem.method, [memory[rows] for memory in state.memory]
    out = Columns()
    if any(before) or method.monitor_split == "training":
        out = predict(problem, state.net, problem.train, rows)
    if method.monitor_split == "training":
        current = _monitored(method, out, bare(problem.train)[rows], before)
    else:
        shown = predict(problem, state.net, problem.val, val_rows)
        current = _monitored(method, shown, bare(problem.val)[val_rows], [Columns()] * len(before))
    b = bare(problem.train, t)[rows]
    for m, memory in enumerate(before):
        if memory:
            fresh = method.update_memory(member_of(out, m), replace(b, eta=b.eta | memory))
            kept = {k: v.index_copy(0, rows, fresh[k]) for k, v in state.memory[m].items()}
            state.memory[m] = Columns(kept)
    return problem.processes.agreed(torch.tensor(current, dtype=torch.float64)).tolist()


def _monitored(method: Objective, out: Columns, b: Feedback, memory: list[Columns]) -> list[float]:
    with torch.no_grad():
        return [
            float(method.monitor(member_of(out, m), replace(b, eta=b.eta | mine)))
            for m, mine in enumerate(memory)
        ]
