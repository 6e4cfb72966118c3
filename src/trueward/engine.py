"""The one training loop: mini-batches by index over tensors in memory, for methods and nuisances alike."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from torch import Tensor

from .data import Columns, Feedback
from .errors import TruewardError, UsageError
from .inputs import CHUNK
from .nets import Net, Shape
from .options import Opt, check
from .samplers import population, shuffle
from .streams import torch_stream

if TYPE_CHECKING:
    from .checkpoints import Checkpoints
    from .inputs import Inputs
    from .method import Method

Progress = Callable[[str, int, int, float], None]  # stage, epoch, of, validation loss


@dataclass(frozen=True, kw_only=True)
class Train:
    """How networks are trained; the same for every method and nuisance."""

    seed: Annotated[int, Opt("root of all random streams", 0)] = 0
    epochs: Annotated[
        int | None,
        Opt("passes over the rows at most; none: 4 to 8, more on fewer than 1024 features", 1),
    ] = None
    batch_size: Annotated[
        int | None, Opt("rows a step; none: a 12th of the rows, between 64 and 1024", 1)
    ] = None
    lr: Annotated[
        float | None,
        Opt(
            "peak learning rate of AdamW; none: 3e-4, times sqrt(1024/d) below 1024 features",
            0,
            open_low=True,
        ),
    ] = None
    weight_decay: Annotated[float, Opt("of AdamW", 0)] = 0.01
    lr_warm_up: Annotated[float, Opt("share of the steps before the peak; cosine after", 0, 1)] = (
        0.1
    )
    clip_norm: Annotated[float, Opt("longest gradient of one member", 0, open_low=True)] = 1.0
    patience: Annotated[int, Opt("epochs without a better validation loss before stopping", 1)] = 5
    hidden: Annotated[tuple[int, ...], Opt("widths of the hidden layers")] = (256, 64)
    members: Annotated[int, Opt("networks trained at once; their spread is reported", 1, 64)] = 1
    folds: Annotated[int, Opt("parts by prompt for out-of-fold nuisances", 2, 20)] = 5
    nuisance_epochs: Annotated[int, Opt("the same for nuisances", 1)] = 5
    nuisance_lr: Annotated[float, Opt("the same for nuisances", 0, open_low=True)] = 1e-3
    nuisance_width: Annotated[
        int, Opt("nuisances see this many leading directions of wider features", 1)
    ] = 256
    micro_batch: Annotated[int | None, Opt("rows a forward pass; the gradient is the same", 1)] = (
        None
    )
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], Opt("of the matrix products; weights are fp32")
    ] = "auto"
    device: Annotated[str, Opt("auto, cpu or cuda")] = "auto"

    def __post_init__(self) -> None:
        """Check the ranges."""
        check(self, "fit")
        if any(width < 1 for width in self.hidden):
            raise UsageError(f"fit: option hidden takes widths of at least 1, not {self.hidden}")
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            raise UsageError(f"fit: option device takes auto, cpu or cuda, not {self.device!r}")

    def place(self) -> torch.device:
        """The device to train on."""
        if self.device != "auto":
            if self.device.startswith("cuda") and not torch.cuda.is_available():
                raise UsageError("device=cuda was asked for and no GPU is here; use device=cpu")
            return torch.device(self.device)
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def dtype(self) -> torch.dtype:
        """bf16 where the hardware multiplies it natively (AMX, AVX512-BF16, GPU), else fp32."""
        if self.precision != "auto":
            return torch.bfloat16 if self.precision == "bf16" else torch.float32
        if self.place().type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
        native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001
        return torch.bfloat16 if native else torch.float32


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
class Problem:
    """One network to train: a method or nuisance on its rows.

    ``fold`` (n,) makes member m train on the rows of the other folds: cross-fitting in one pass.
    """

    stage: str
    method: Method
    train: Feedback
    val: Feedback
    inputs: Inputs
    fold: Tensor | None = None


def train_net(
    problem: Problem,
    cfg: Train,
    checkpoints: Checkpoints | None = None,
    progress: Progress | None = None,
) -> State:
    """Minimise the method's loss with AdamW; stop on what the validation log shows; best weights back."""
    rows, val_rows = problem.method.rows(problem.train), problem.method.rows(problem.val)
    g = torch_stream(cfg.seed, "validation", problem.stage)
    val_rows = population(val_rows, problem.val.weight, g)
    state = _start(problem, cfg)
    if checkpoints is not None:
        checkpoints.resume(problem.stage, state)
    size = cfg.batch_size or min(1024, max(64, len(rows) // 12))
    epochs = cfg.epochs or passes(len(rows), problem.train.x.shape[1])
    saved = time.monotonic()
    while state.epoch < epochs and min(state.waited) < cfg.patience:
        train = _epoch(problem, cfg, state, rows, size, epochs)
        current = _validate(problem, state.net, val_rows)
        state.record(current, train, cfg.patience)
        state.epoch += 1
        if progress is not None:
            progress(problem.stage, state.epoch, epochs, sum(current) / len(current))
        if checkpoints is not None and time.monotonic() - saved > checkpoints.every:
            checkpoints.save(problem.stage, state)
            saved = time.monotonic()
    if not all(map(math.isfinite, state.value)):
        raise TruewardError(
            f"{problem.stage}: the loss was never finite on the validation rows; lower the learning "
            "rate (-o lr=1e-4) or check the features for extreme values"
        )
    with torch.no_grad():
        for best, p in zip(state.best, state.net.parameters(), strict=True):
            p.copy_(best)
    if checkpoints is not None:
        state.epoch = epochs
        checkpoints.save(problem.stage, state)
    return state


def passes(rows: int, width: int) -> int:
    """Epochs when none are given: 4 to 8 on wide features, up to four times as many on narrow ones.

    Wide features are memorised within a few passes; narrow ones need the steps.
    """
    wide = min(8.0, max(4.0, 25_000 / max(1, rows)))
    return round(wide * min(4.0, narrower(width, 1024)))


def narrower(width: int, than: int) -> float:
    """sqrt(than / width), at least 1: how far features are narrower than the defaults are made for."""
    return math.sqrt(max(1.0, than / max(1, width)))


def _start(problem: Problem, cfg: Train) -> State:
    method = problem.method
    members = cfg.members if problem.fold is None else int(problem.fold.max()) + 1
    shape = Shape(problem.inputs.sizes(), dict(method.heads), cfg.hidden, method.shared, members)
    net = Net(shape, cfg.seed, problem.stage).to(problem.train.y.device)
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=0.0, weight_decay=cfg.weight_decay, fused=True
    )
    best = [p.detach().clone() for p in net.parameters()]
    inf = [math.inf] * members
    return State(net, optimiser, best, inf, [0] * members, kept=[math.nan] * members)


def _epoch(
    problem: Problem, cfg: Train, state: State, rows: Tensor, size: int, epochs: int
) -> list[float]:
    """One pass over the rows; gives the mean training loss of every member."""
    g = torch_stream(cfg.seed, "batches", problem.stage, state.epoch)
    per_epoch = max(1, -(-len(rows) // size))
    peak = cfg.lr or 3e-4 * narrower(problem.train.x.shape[1], 1024)
    total, batches = torch.zeros(state.net.shape.members), 0
    for i in shuffle(rows, size, g, problem.train.weight):
        step = state.epoch * per_epoch + batches
        for group in state.optimiser.param_groups:
            group["lr"] = peak * _schedule(step, per_epoch * epochs, cfg.lr_warm_up)
        state.optimiser.zero_grad(set_to_none=True)
        total += backward(problem, state.net, i, state.epoch / epochs, cfg.micro_batch).cpu()
        clip_gradient(state.net, cfg.clip_norm)
        state.optimiser.step()
        batches += 1
    return (total / max(1, batches)).tolist()


def _schedule(step: int, steps: int, warm_up: float) -> float:
    """Linear rise over the first share of the steps, cosine fall over the rest."""
    rise = max(1, round(warm_up * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def backward(problem: Problem, net: Net, rows: Tensor, t: float, micro: int | None) -> Tensor:
    """Put the gradient of the loss on the batch ``rows`` into the parameters; give (M,) losses.

    The loss sees only logits. With ``micro`` it is evaluated once on all of them and its gradient is
    carried back slice by slice, so it stays exact for ranks, quantiles and clipped means.
    """
    b, keep = _batch(problem, rows, t)
    if micro is None or len(rows) <= micro:
        losses = member_losses(problem.method, _forward(problem, net, problem.train, rows), b, keep)
        losses.sum().backward()
        return losses.detach()
    parts = rows.split(micro)
    with torch.no_grad():
        slices = [_forward(problem, net, problem.train, i) for i in parts]
    out = Columns({k: torch.cat([s[k] for s in slices], 1).requires_grad_() for k in slices[0]})
    losses = member_losses(problem.method, out, b, keep)
    losses.sum().backward()
    used = [k for k in out if out[k].grad is not None]
    for i, at in zip(parts, torch.arange(len(rows)).split(micro), strict=True):
        again = _forward(problem, net, problem.train, i)
        torch.autograd.backward([again[k] for k in used], [_grad(out[k])[:, at] for k in used])
    return losses.detach()


def _grad(v: Tensor) -> Tensor:
    assert v.grad is not None
    return v.grad


def member_losses(method: Method, out: Columns, b: Feedback, keep: Tensor | None) -> Tensor:
    """(M,) losses, each member on its own logits and, with ``keep`` (M, n), its own rows."""
    losses = []
    for m in range(len(next(iter(out.values())))):
        mine, rows = Columns({k: v[m] for k, v in out.items()}), b
        if keep is not None:
            mine, rows = mine[keep[m]], b[keep[m]]
        losses.append(method.loss(mine, rows) if len(rows) else mine.reward.sum())
    return torch.stack(losses)


def _batch(problem: Problem, rows: Tensor, t: float) -> tuple[Feedback, Tensor | None]:
    """Columns of a batch without x, which a loss does not see, and which rows each member learns from."""
    bare = replace(problem.train, x=problem.train.x[:, :0], t=t)
    if problem.fold is None:
        return bare[rows], None
    members = torch.arange(int(problem.fold.max()) + 1)[:, None]
    return bare[rows], problem.fold[rows][None] != members


def _forward(problem: Problem, net: Net, data: Feedback, rows: Tensor) -> Columns:
    z = None if data.z is None else data.z[rows]
    out: Columns = net(problem.inputs(data.x[rows], z, set(net.shape.heads.values())))
    return out


def predict(problem: Problem, net: Net, data: Feedback, rows: Tensor | None = None) -> Columns:
    """(M, n) logits of every head on ``rows``, in chunks, without gradients."""
    rows = torch.arange(len(data)) if rows is None else rows
    with torch.no_grad():
        parts = [_forward(problem, net, data, i) for i in rows.split(CHUNK)]
    return Columns({k: torch.cat([p[k] for p in parts], 1) for k in parts[0]})


def _validate(problem: Problem, net: Net, rows: Tensor) -> list[float]:
    """What early stopping minimises, a member each."""
    out = predict(problem, net, problem.val, rows)
    b = replace(problem.val, x=problem.val.x[:, :0], t=1.0)[rows]
    with torch.no_grad():
        return [
            float(problem.method.monitor(Columns({k: v[m] for k, v in out.items()}), b))
            for m in range(net.shape.members)
        ]


def clip_gradient(net: Net, longest: float) -> None:
    """Scale each member's gradient to norm ``longest`` at most; members do not affect one another."""
    grads = [p.grad for p in net.parameters() if p.grad is not None]
    parts = [torch.linalg.vector_norm(g.flatten(1), dim=1) for g in grads]
    norm = torch.linalg.vector_norm(torch.stack(parts), dim=0)
    scale = (longest / norm.clamp(min=1e-12)).clamp(max=1.0)
    for g in grads:
        g.mul_(scale.view(-1, *[1] * (g.dim() - 1)))
