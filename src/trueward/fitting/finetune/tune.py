"""The reward learned end to end: a language model, or adapters on it, under a method's own loss."""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trueward.core.atomic_io import replacing
from trueward.core.processes import launched
from trueward.estimation.method import Method
from trueward.features import cached_in, features
from trueward.features.transformers.checkpoint import quiet
from trueward.features.transformers.find import opened
from trueward.features.transformers.transformer import Transformer
from trueward.fitting.fit import configure
from trueward.training.checkpoints import Checkpoints
from trueward.training.loop import train_net
from trueward.training.networks import Net, Shape, Stack
from trueward.training.training_state import State, adamw

from .network import Tuned
from .start import fill_together, learnable, started, view_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from trueward.core.processes import Processes
    from trueward.data.log import Log
    from trueward.model.reward_model import RewardModel
    from trueward.training.config import Train
    from trueward.training.loop import Progress
    from trueward.training.preprocessing import Standard
    from trueward.training.step import Problem

    from .network import How
    from .start import Started

# what is taken where nothing is said: epochs, learning rate
USUAL: dict[How, tuple[int, float]] = {"lora": (3, 2e-4), "full": (3, 2e-5), "head": (8, 1e-3)}
RANK = 16  # of adapters
MICRO = 16  # rows of one forward pass with a gradient
BLOCK = 1024  # rows that one process encodes at once


def tune(
    method: str | Method,
    log: Log,
    *,
    backbone: str,
    into: str | Path,
    how: How = "lora",
    frozen: str | None = None,
    rank: int = RANK,
    val: float = 0.2,
    gradient_checkpointing: bool = False,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
    **chosen: Any,
) -> RewardModel:
    """Minimise the loss of ``method`` over s(x) = w . h(x) + b and over what makes h.

    Nuisances are fitted out of fold on the features ``frozen``, by default h before any tuning, and so is
    a first (w, b) on that h. Then w, b and, by ``how``, low-rank adapters (lora), every weight (full) or
    nothing else (head) are learned together. The loss sees the logits of the whole batch, and its gradient
    goes back through the model ``micro_batch`` rows at a time, so it is exact. The learned model is written
    to the folder ``into``, the reward is a linear head on it, and both are saved and used as any model is.

    Under torchrun or `accelerate launch` every process calls this, takes its share of every batch, and gets
    the model; the first alone writes. Folders and the cache are on a disk that all see.
    """
    team = launched()
    with team.one_fate():
        named, cfg = configure(method, chosen)
        base = learnable(backbone, team)
        view, ours = view_of(frozen, base), _settings(cfg, how)
        texts = (log.frame["prompt"].to_list(), log.frame["response"].to_list())
        progress = progress if team.main else None
        if team.count > 1:
            fill_together((view, base), texts, team)
        begun = None
        if team.main:
            begun = started(named, log, cfg, base, view, val, checkpoint, progress, (how, rank))
        start = team.told(None if begun is None else begun.start)
        store = None if checkpoint is None else Checkpoints(Path(checkpoint), start.key)
        rows, cut = base.rendering.rows(*texts)
        still = features(base, *texts, cached_in()) if how == "head" else None
        net = Tuned(
            *(base.handed_over(), rows, start.standard, start.heads, how),
            rank=rank,
            seed=cfg.seed,
            checkpointing=gradient_checkpointing,
            still=still,
        )
        learned = _learned(start.problem, net, ours, store, progress, team)
        if team.main:
            written(net, Path(into))
        del net  # before the model is read again
        gc.collect()
        place = team.told(Path(into).resolve())
        own = Transformer(opened(place, str(place)), base.reading, base.placed)
        x = _features(own, texts, team)
        model = None
        if begun is not None:
            report = _report(base, how, rank, cut, start.loss)
            model = _modelled(begun, learned, ours, own, x, report, Path(into))
        return team.told(model)


@dataclass(frozen=True)
class Learned:
    """What is left of training: heads on activations as they were standardised, and the losses."""

    heads: dict[str, tuple[Tensor, Tensor]]
    value: list[float]
    kept: list[float]


def _learned(
    problem: Problem,
    net: Tuned,
    ours: Train,
    store: Checkpoints | None,
    progress: Progress | None,
    team: Processes,
) -> Learned:
    """Train the network on the rows that it knows by number."""
    train, val = (replace(d.to(ours.place()), x=d.x) for d in (problem.train, problem.val))
    lengths = net.lengths[train.x[:, 0]]
    with torch.no_grad():
        for p in net.parameters():  # drawn alike everywhere, if all devices draw alike
            p.copy_(team.agreed(p.detach()))
    ready = replace(problem, train=train, val=val, net=net, lengths=lengths, processes=team)
    state = train_net(ready, ours, store, progress)
    return Learned(net.linear(), state.value, state.kept)


def _features(own: Transformer, texts: tuple[list[str], list[str]], team: Processes) -> Tensor:
    """(n, d) of the learned model; each process makes its share."""
    n = len(texts[0])
    if team.count == 1:
        return features(own, *texts, None)
    x = torch.zeros(n, own.width, dtype=torch.float16)
    mine = torch.cat([*team.share(torch.arange(n).split(BLOCK)), torch.arange(0)])
    prompts, responses = ([side[i] for i in mine.tolist()] for side in texts)
    x[mine] = features(own, prompts, responses, None)
    team.summed([x])
    return x


def _modelled(
    begun: Started,
    learned: Learned,
    ours: Train,
    own: Transformer,
    x: Tensor,
    report: dict[str, Any],
    place: Path,
) -> RewardModel:
    """Give the reward on the activations of the learned model, and say whether tuning helped."""
    problem, made = begun.start.problem, begun.start.problem.method
    assert isinstance(made, Method)
    rest, held = (d.x[:, 0] for d in (problem.train, problem.val))
    after = begun.ready.on(x[rest], x[held], own.spec(), torch.float32)
    net = folded(learned.heads, begun.start.standard, after.inputs.x)
    state = State(net, adamw(net, ours), [], learned.value, [], kept=learned.kept)
    model = after.model(after.problem(made, begun.eta), ours, begun.eta, state, begun.reasons)
    about = {**model.report, "tuned": report}
    if learned.value[0] >= begun.start.loss[0]:
        worse = (
            f"tuning did not help: validation loss {learned.value[0]:.4f}, "
            f"frozen {begun.start.loss[0]:.4f}"
        )
        about["warnings"] = [*about["warnings"], worse]
    return replace(model, report=about, language_model=place)


def _settings(cfg: Train, how: How) -> Train:
    epochs, lr = USUAL[how]
    epochs, lr = cfg.epochs or epochs, cfg.lr or lr
    return replace(cfg, epochs=epochs, lr=lr, micro_batch=cfg.micro_batch or MICRO, hidden=())


def _report(base: Transformer, how: How, rank: int, cut: int, loss: list[float]) -> dict[str, Any]:
    about = {"how": how, "base": base.folder.source, "digest": base.folder.digest, "cut": cut}
    return {**about, "rank": rank if how == "lora" else None, "frozen_validation_loss": loss}


def folded(heads: Mapping[str, tuple[Tensor, Tensor]], old: Standard, new: Standard) -> Net:
    """Heads on features standardised anew: w' = w scale / scale', b' = b + w scale (mu' - mu)."""
    old, new = old.cpu(), new.cpu()
    net = Net(Shape({"x": len(old.mean)}, dict.fromkeys(heads, "x"), ()), 0)
    with torch.no_grad():
        for name, (w, b) in heads.items():
            slope = w * old.scale
            stack = net.heads[name]
            assert isinstance(stack, Stack)
            stack.weights[0].copy_(
                torch.where(new.scale > 0, slope / new.scale, 0.0)[None, :, None]
            )
            stack.biases[0].copy_((b + slope @ (new.mean - old.mean)).reshape(1, 1, 1))
    return net.eval()


def written(net: Tuned, place: Path) -> None:
    """Write the learned model and its tokenizer as a folder of transformers."""
    with replacing(place) as path, quiet():
        path.mkdir()
        net.merged().save_pretrained(path)
        net.backbone.rendering.tokenizer.save_pretrained(path)
