"""Where tuning begins: nuisances and a linear reward, fitted on what the frozen model says."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trueward.core.errors import UsageError
from trueward.data.feedback import split_rows
from trueward.estimation.method import Method, settings
from trueward.features import cached_in, encode, fill
from trueward.features.backbones import backbone as backbone_of
from trueward.features.transformers.transformer import Transformer
from trueward.fitting.crossfit import estimate
from trueward.fitting.fit import Prepared, suited
from trueward.training.checkpoints import Checkpoints
from trueward.training.loop import train_net
from trueward.training.preprocessing import Numbers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from trueward.core.processes import Processes
    from trueward.data.log import Log
    from trueward.features import Backbone
    from trueward.fitting.crossfit import Estimated
    from trueward.training.config import Train
    from trueward.training.loop import Progress
    from trueward.training.preprocessing import Standard
    from trueward.training.step import Problem


@dataclass(frozen=True)
class Start:
    """What every process hears of it: the rows by their number in the log, heads on the frozen model."""

    problem: Problem
    standard: Standard
    heads: dict[str, tuple[Tensor, Tensor]]
    loss: list[float]
    key: str  # of a checkpoint


@dataclass(frozen=True)
class Started:
    """The same with what only the process needs that writes the model."""

    start: Start
    ready: Prepared
    eta: Estimated
    reasons: tuple[str, ...]


def started(
    named: Method,
    log: Log,
    cfg: Train,
    base: Transformer,
    view: Backbone | str,
    val: float,
    checkpoint: str | Path | None,
    progress: Progress | None,
    about: object,
) -> Started:
    """Fit nuisances on ``view`` of the texts, and heads on ``base``; ``about`` tells checkpoints apart."""
    data = encode(log, backbone=view)
    if isinstance(view, Transformer) and view is not base:
        view.handed_over()  # to nobody: two models need twice the memory
    made, reasons = suited(named, data)
    _tunable(made, cfg)
    rest, held = split_rows(len(data), val, cfg.seed, data.group)
    ready = Prepared.of(made, data[rest], data[held], cfg)
    key = hashlib.sha256(
        repr((ready.key, made.name, settings(made), cfg, base.spec(), about)).encode()
    ).hexdigest()
    store = None if checkpoint is None else Checkpoints.at(checkpoint, key)
    eta = estimate(made, ready.ground(cfg), None, store, progress)
    h = data.x if view is base else encode(log, backbone=base).x
    before = ready.on(h[rest], h[held], base.spec(), cfg.dtype())
    plain = replace(cfg, hidden=(), epochs=None, lr=None, micro_batch=None)
    problem = replace(before.problem(made, eta), stage="frozen")
    first = train_net(problem, plain, store, progress)
    heads = first.net.linear()
    assert heads is not None
    train, val_rows = (
        replace(d, x=numbers[:, None]).to(numbers.device)
        for d, numbers in ((problem.train, rest), (problem.val, held))
    )
    inputs = Numbers(len(before.inputs.x.mean))
    numbered = replace(problem, stage="reward", train=train, val=val_rows, inputs=inputs)
    start = Start(numbered, before.inputs.x.cpu(), heads, first.value, key)
    return Started(start, ready, eta, reasons)


def view_of(frozen: str | None, base: Transformer) -> Backbone | str:
    """Give what nuisances see: the model itself, another backbone, or the name of precomputed features."""
    if frozen is None or frozen.startswith("precomputed:"):
        return frozen or base
    return backbone_of(frozen)


def fill_together(
    views: Sequence[Backbone | str], texts: tuple[list[str], list[str]], team: Processes
) -> None:
    """Put frozen features into the cache, each process its share of them."""
    shard = (team.index + 1, team.count)
    for view in dict.fromkeys(views):
        if not isinstance(view, str):
            fill(view, *texts, cached_in(), shard=shard, progress=team.main)
    team.told(None)  # all is there


def learnable(backbone: str, team: Processes) -> Transformer:
    """Give the language model whose weights are to be learned."""
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
    if base.placed == "auto" and team.count > 1:
        raise UsageError(
            f"device=auto spreads one model over all GPUs, and each of the {team.count} processes has one of "
            "its own: leave device=auto away, or start one process"
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
