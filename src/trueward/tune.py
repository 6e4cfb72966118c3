"""The reward learned end to end: a language model, or adapters on it, under a method's own loss."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from .checkpoints import Checkpoints
from .crossfit import estimate
from .data import split_rows
from .engine import train_net
from .errors import UsageError
from .features import encode
from .features.backbones import backbone as backbone_of
from .features.encode import features
from .features.folder import opened
from .features.transformer import Transformer
from .files import replacing
from .fit import Prepared, configure, suited
from .inputs import Numbers
from .method import Method, settings
from .nets import Net, Stack
from .tuned import Tuned

if TYPE_CHECKING:
    from torch import Tensor

    from .engine import Progress
    from .inputs import Standard
    from .log import Log
    from .model import RewardModel
    from .step import Problem
    from .train import Train
    from .tuned import How

# what is taken where nothing is said: epochs, learning rate
USUAL: dict[How, tuple[int, float]] = {"lora": (3, 2e-4), "full": (3, 2e-5), "head": (8, 1e-3)}
RANK = 16  # of adapters
MICRO = 16  # rows of one forward pass with a gradient


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
    """
    named, cfg = configure(method, chosen)
    base = _weights(backbone)
    data = encode(log, backbone=frozen or base)
    made, reasons = suited(named, data)
    _tunable(made, cfg)
    rest, held = split_rows(len(data), val, cfg.seed, data.group)
    ready = Prepared.of(made, data[rest], data[held], cfg)
    store = None
    if checkpoint is not None:
        about = repr((ready.key, made.name, settings(made), cfg, base.spec(), how, rank))
        store = Checkpoints.at(checkpoint, hashlib.sha256(about.encode()).hexdigest())
    eta = estimate(made, ready.ground(cfg), None, store, progress)
    texts = (log.frame["prompt"].to_list(), log.frame["response"].to_list())
    h = data.x if frozen is None else encode(log, backbone=base).x
    before = ready.on(h[rest], h[held], base.spec(), cfg.dtype())
    plain = replace(cfg, hidden=(), epochs=None, lr=None, micro_batch=None)
    problem = replace(before.problem(made, eta), stage="frozen")
    first = train_net(problem, plain, store, progress)
    learner = Transformer(base.folder, base.reading, base.placed)  # not the one that others read by
    rows, cut = learner.rendering.rows(*texts)
    heads = first.net.linear()
    assert heads is not None
    net = Tuned(
        *(learner, rows, before.inputs.x, heads, how),
        rank=rank,
        seed=cfg.seed,
        checkpointing=gradient_checkpointing,
    )
    ours = _settings(cfg, how)
    state = train_net(_numbered(problem, rest, held, net), ours, store, progress)
    place = Path(into)
    own = written(net, place)
    x = features(own, *texts, None)
    after = ready.on(x[rest], x[held], own.spec(), torch.float32)
    state.net = folded(net, after.inputs.x)
    model = after.model(after.problem(made, eta), ours, eta, state, reasons)
    report = {**model.report, "tuned": _report(base, how, rank, cut, first.value)}
    if state.value[0] >= first.value[0]:
        worse = f"tuning did not help: validation loss {state.value[0]:.4f}, frozen {first.value[0]:.4f}"
        report["warnings"] = [*report["warnings"], worse]
    return replace(model, report=report, language_model=place)


def _settings(cfg: Train, how: How) -> Train:
    epochs, lr = USUAL[how]
    epochs, lr = cfg.epochs or epochs, cfg.lr or lr
    return replace(cfg, epochs=epochs, lr=lr, micro_batch=cfg.micro_batch or MICRO, hidden=())


def _numbered(problem: Problem, rest: Tensor, held: Tensor, net: Tuned) -> Problem:
    """The same problem for a network that reads texts by their number in the log."""
    train, val = (
        replace(d, x=numbers[:, None])
        for d, numbers in ((problem.train, rest), (problem.val, held))
    )
    inputs = Numbers(net.shape.inputs["x"])
    return replace(problem, stage="reward", train=train, val=val, inputs=inputs, net=net)


def _report(base: Transformer, how: How, rank: int, cut: int, loss: list[float]) -> dict[str, Any]:
    about = {"how": how, "base": base.folder.source, "digest": base.folder.digest, "cut": cut}
    return {**about, "rank": rank if how == "lora" else None, "frozen_validation_loss": loss}


def _weights(backbone: str) -> Transformer:
    base = backbone_of(backbone)
    if not isinstance(base, Transformer):
        raise UsageError(
            f"tuning takes a language model by folder or hub name, and {backbone} has no weights to learn"
        )
    if base.reading.dense or base.reading.normalize:
        raise UsageError(
            f"{backbone} is read through layers of sentence-transformers that tuning does not reach: add "
            ",pooling=mean,normalize=false to its name, or fit on it as it is"
        )
    return base


def _tunable(made: Method, cfg: Train) -> None:
    """Refuse what is not a loss of logits on text alone."""
    why = None
    if made.composed:
        why = "is composed of its nuisances, which stay frozen, and trains no reward"
    elif set(made.heads.values()) != {"x"} or made.hidden:
        why = "trains more than logits of the text"
    elif type(made).mixing is not Method.mixing:
        why = "mixes the features of rows, and texts cannot be mixed"
    if why:
        raise UsageError(f"{made.name} {why}: fit it on the frozen model, or tune causalrm or dr")
    if cfg.members > 1:
        raise UsageError("tuning learns one model at a time: leave members at 1")


def folded(net: Tuned, standard: Standard) -> Net:
    """Heads on features standardised anew: w' = w scale / scale', b' = b + w scale (mu' - mu)."""
    old, new = net.standard.cpu(), standard.cpu()
    plain = Net(net.shape, 0)
    with torch.no_grad():
        for name, w in net.w.items():
            slope = w[0].cpu() * old.scale
            stack = plain.heads[name]
            assert isinstance(stack, Stack)
            stack.weights[0].copy_(
                torch.where(new.scale > 0, slope / new.scale, 0.0)[None, :, None]
            )
            offset = net.b[name][0, 0].cpu() + slope @ (new.mean - old.mean)
            stack.biases[0].copy_(offset.reshape(1, 1, 1))
    return plain.eval()


def written(net: Tuned, place: Path) -> Transformer:
    """Write the learned model and its tokenizer as a folder of transformers, and read it as a backbone."""
    with replacing(place) as path:
        path.mkdir()
        net.merged().save_pretrained(path)
        net.backbone.rendering.tokenizer.save_pretrained(path)
    base, here = net.backbone, place.resolve()
    return Transformer(opened(here, str(here)), base.reading, base.placed)
