"""The reward trained end to end: a language model, or adapters on it, under a method's own loss."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import torch

from trueward.core.arguments import (
    FUNCTION,
    MAPPING,
    NUMBER,
    PATH,
    SEVERAL,
    TEXT,
    WHOLE,
    Kind,
    require_kinds,
)
from trueward.core.processes import launched_processes
from trueward.core.tracking import Trackers, known_trackers
from trueward.data.log_reading import as_log
from trueward.features import cached_in, features
from trueward.features.transformers.locate import open_model
from trueward.features.transformers.transformer import Transformer
from trueward.fitting.fit import configure
from trueward.training.checkpoints import Checkpoints
from trueward.training.loop import train_net

from .metrics import TuningMetrics, run_settings
from .network import TextRows, TunedNet
from .result import Tuned, tuned_model, tuning_report, write_model
from .start import cache_features, fit_frozen, nuisance_view, tunable_backbone

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from trueward.core.processes import Processes
    from trueward.data.log import Log
    from trueward.estimation.method import Method
    from trueward.fitting.options import FitOptions
    from trueward.model.reward_model import RewardModel
    from trueward.training.config import Train
    from trueward.training.loop import Progress
    from trueward.training.problem import TrainingProblem
    from trueward.training.training_state import Points

    from .network import TuneMode

# where none are given: epochs, learning rate
DEFAULTS: dict[TuneMode, tuple[int, float]] = {
    "lora": (3, 2e-4),
    "full": (3, 2e-5),
    "head": (8, 1e-3),
}
HOW = Kind(", ".join(DEFAULTS), lambda v: isinstance(v, str) and v in DEFAULTS)
KINDS = {
    "backbone": TEXT,
    "into": PATH,
    "how": HOW,
    "frozen": TEXT.or_none,
    "rank": WHOLE,
    "val": NUMBER,
    "method_options": MAPPING.or_none,
    "checkpoint": PATH.or_none,
    "track": SEVERAL,
    "run": TEXT.or_none,
    "progress": FUNCTION.or_none,
}
RANK = 16  # of adapters
MICRO_BATCH = 16  # rows in one forward pass with a gradient
BLOCK = 1024  # rows that one process encodes at once


def tune(
    method: str | Method,
    log: Log | object,
    *,
    backbone: str,
    into: str | Path,
    how: TuneMode = "lora",
    frozen: str | None = None,
    rank: int = RANK,
    val: float = 0.2,
    gradient_checkpointing: bool = False,
    method_options: Mapping[str, Any] | None = None,
    checkpoint: str | Path | None = None,
    track: Sequence[str] = (),
    run: str | None = None,
    progress: Progress | None = None,
    **chosen: Unpack[FitOptions],
) -> RewardModel:
    """Fit a method on a log, and fine-tune the language model with it.

    Minimises the method's loss over s(x) = w . h(x) + b and over the weights of the language model that
    computes h. Nuisances are estimated out of fold on frozen features, and a first (w, b) is fitted on the
    frozen h. The loss reads the logits of the whole batch; its gradient is propagated through the model
    ``micro_batch`` rows at a time, so it is exact.

    Under torchrun or ``accelerate launch`` every process calls this function, computes its share of every
    batch, and returns the model; the first process alone writes. Folders and the cache must be on a disk
    that all processes share.

    Parameters
    ----------
    method : str or Method
        Name of a method (`trueward.methods`), or a method with its options.
    log : Log, path or table
        The log, with text.
    backbone : str
        Language model: folder or hub name, with reading options (``,pooling=mean``).
    into : str or Path
        Folder for the tuned language model.
    how : {'lora', 'full', 'head'}, default 'lora'
        Train low-rank adapters, every weight, or the heads alone.
    frozen : str, optional
        Backbone of the nuisances; default: the language model before tuning.
    rank : int, default 16
        Rank of the adapters.
    val : float, default 0.2
        Fraction of the prompts in the validation split.
    gradient_checkpointing : bool, default False
        Recompute activations in the backward pass: less memory, more time.
    method_options : mapping, optional
        Options of the method, as in `fit`.
    checkpoint : str or Path, optional
        Folder of checkpoints; an interrupted run resumes from it.
    track : sequence of str, optional
        Trackers that get loss, gradient norm and learning rate of every step: trackio, tensorboard, mlflow,
        wandb, or another of accelerate. One that fails is left out with a warning. The same points are
        written to ``metrics.jsonl`` in ``into``.
    run : str, optional
        Name of the run in the trackers; default: that of ``into``.
    progress : callable, optional
        Called after every epoch with stage, epoch, largest number of epochs, and validation loss.
    **chosen : FitOptions
        Fields of `trueward.Train`, options of the method, and ``preset``. Defaults here: 3 epochs (head:
        8), lr 2e-4 (full: 2e-5, head: 1e-3), micro_batch 16.

    Returns
    -------
    RewardModel
        A linear head on the tuned language model. ``report["tuned"]`` compares with the frozen one.

    Raises
    ------
    UsageError
        If the method or the backbone cannot be tuned, or an option is out of its range.
    TruewardError
        If the log does not support the method, or memory runs out.

    Examples
    --------
    >>> import trueward as tw
    >>> log = tw.read_log("log.parquet")  # doctest: +SKIP
    >>> model = tw.tune("causalrm", log, backbone="Qwen/Qwen3-0.6B", into="tuned")  # doctest: +SKIP

    """
    require_kinds("tune", **_of_kinds(locals()))
    team, log = launched_processes(), as_log(log, "tune")
    with team.raise_together():
        known_trackers(track)
        requested, cfg = configure(method, {**chosen, **(method_options or {})})
        base = tunable_backbone(backbone, team)
        view, own_cfg = nuisance_view(frozen, base), _settings(cfg, how)
        texts = (log.frame["prompt"].to_list(), log.frame["response"].to_list())
        progress = progress if team.main else None
        if team.count > 1:
            cache_features((view, base), texts, team)
        fitted = None
        if team.main:
            tuning = (how, rank)
            fitted = fit_frozen(requested, log, cfg, base, view, val, checkpoint, progress, tuning)
        start = team.broadcast(None if fitted is None else fitted.start)
        store = None if checkpoint is None else Checkpoints(Path(checkpoint), start.key)
        rows, truncated = base.rendering.tokenize(*texts)
        activations = features(base, *texts, cached_in()) if how == "head" else None
        net = TunedNet(
            *(base.move_weights(), rows, start.standardizer, start.heads, how),
            rank=rank,
            seed=cfg.seed,
            checkpointing=gradient_checkpointing,
            activations=activations,
        )
        about = tuning_report(base, how, rank, truncated, start.loss)
        shown, names = run_settings(start.problem, own_cfg, about), track if team.main else ()
        with Trackers(names, run or Path(into).name, shown) as trackers:
            metrics = TuningMetrics(checkpoint, start.loss[0], trackers) if team.main else None
            result = _train(start.problem, net, own_cfg, store, progress, metrics, team)
            if metrics is not None:
                write_model(net, Path(into), metrics)
        del net  # before the model is loaded again
        gc.collect()
        place = team.broadcast(Path(into).resolve())
        learned = Transformer(open_model(place, str(place)), base.reading, base.device_option)
        x = _features(learned, texts, team)
        model = None
        if fitted is not None:
            model = tuned_model(fitted, result, own_cfg, learned, x, about, Path(into))
        return team.broadcast(model)


def _of_kinds(given: Mapping[str, Any]) -> dict[str, tuple[Any, Kind]]:
    """The arguments of `tune` with their kinds."""
    return {name: (given[name], kind) for name, kind in KINDS.items()}


def _train(
    problem: TrainingProblem,
    net: TunedNet,
    cfg: Train,
    store: Checkpoints | None,
    progress: Progress | None,
    points: Points | None,
    team: Processes,
) -> Tuned:
    device = cfg.torch_device()
    train, val = problem.train.to(device), problem.val.to(device)
    source = problem.train_source
    assert isinstance(source, TextRows)
    lengths = net.lengths[source.numbers]
    with torch.no_grad():
        for p in net.parameters():  # random weights may differ between kinds of device
            p.copy_(team.broadcast_tensor(p.detach()))
    ready = replace(problem, train=train, val=val, net=net, lengths=lengths, processes=team)
    state = train_net(ready, cfg, store, progress, points)
    return Tuned(net.linear(), state.best_loss, state.train_loss)


def _features(backbone: Transformer, texts: tuple[list[str], list[str]], team: Processes) -> Tensor:
    """(n, d) features of the tuned model; each process computes its share."""
    n = len(texts[0])
    if team.count == 1:
        return features(backbone, *texts, None)
    x = torch.zeros(n, backbone.width, dtype=torch.float16)
    own = torch.cat([*team.shard(torch.arange(n).split(BLOCK)), torch.arange(0)])
    prompts, responses = ([side[i] for i in own.tolist()] for side in texts)
    x[own] = features(backbone, prompts, responses, None)
    team.all_reduce([x])
    return x


def _settings(cfg: Train, how: TuneMode) -> Train:
    epochs, lr = DEFAULTS[how]
    epochs, lr, micro = cfg.epochs or epochs, cfg.lr or lr, cfg.micro_batch or MICRO_BATCH
    return replace(cfg, epochs=epochs, lr=lr, micro_batch=micro, hidden=())
