"""The start of fine-tuning: nuisances and linear heads, fitted on the frozen language model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trueward.core.errors import UsageError
from trueward.data.splits import split_rows
from trueward.estimation.method import Method, settings
from trueward.features import cached_in, encode, fill
from trueward.features.backbones import backbone as backbone_of
from trueward.features.transformers.transformer import Transformer
from trueward.fitting.fit import resolve
from trueward.fitting.out_of_fold import estimate_nuisances
from trueward.fitting.prepared import PreparedLog
from trueward.training.checkpoints import Checkpoints
from trueward.training.loop import train_net
from trueward.training.problem import TrainingProblem, without_features

from .network import TextRows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from trueward.core.processes import Processes
    from trueward.data.log import Log
    from trueward.features import Backbone
    from trueward.fitting.out_of_fold import OutOfFoldNuisances
    from trueward.training.config import Train
    from trueward.training.loop import Progress
    from trueward.training.preprocessing import Standardizer


@dataclass(frozen=True)
class TuningStart:
    """What every process needs to start tuning.

    Attributes
    ----------
    problem : TrainingProblem
        The training problem of the reward; its row sources are `TextRows`.
    standardizer : Standardizer
        Of the frozen model's activations.
    heads : dict of str to (Tensor, Tensor)
        Head -> (w (d,), b ()) on the frozen model.
    loss : list of float
        Validation loss of these heads.
    key : str
        Hash of data, method and settings, for checkpoints.

    """

    problem: TrainingProblem
    standardizer: Standardizer
    heads: dict[str, tuple[Tensor, Tensor]]
    loss: list[float]
    key: str


@dataclass(frozen=True)
class FrozenFit:
    """What the main process keeps for the reward model that it builds after tuning.

    Attributes
    ----------
    start : TuningStart
        What all processes need.
    log : PreparedLog
        The rows, with the features that nuisances were fitted on.
    nuisances : OutOfFoldNuisances
        The method's nuisances.
    rows : tuple of Tensor
        Log row numbers of the training and of the validation rows.
    reasons : tuple of str
        Reasons for the choice of the method.

    """

    start: TuningStart
    log: PreparedLog
    nuisances: OutOfFoldNuisances
    rows: tuple[Tensor, Tensor]
    reasons: tuple[str, ...]


def fit_frozen(
    method: Method,
    log: Log,
    cfg: Train,
    base: Transformer,
    view: Backbone | str,
    val: float,
    checkpoint: str | Path | None,
    progress: Progress | None,
    tuning: object,
) -> FrozenFit:
    """Fit nuisances on one view of the texts, and linear heads on the frozen language model.

    Parameters
    ----------
    method : Method
        The method to fit.
    log : Log
        The log.
    cfg : Train
        The settings.
    base : Transformer
        The language model that will be tuned.
    view : Backbone or str
        Features of the nuisances.
    val : float
        Fraction of the prompts in the validation split.
    checkpoint : str, Path or None
        Folder of the checkpoints.
    progress : Progress or None
        Called after every epoch.
    tuning : object
        Settings of the tuning, which become part of the checkpoint key.

    Raises
    ------
    UsageError
        If the method cannot be tuned.

    """
    data = encode(log, backbone=view)
    if isinstance(view, Transformer) and view is not base:
        view.move_weights()  # releases it: two models need twice the memory
    resolved, reasons = resolve(method, data)
    _require_tunable(resolved, cfg)
    parts = split_rows(len(data), val, cfg.seed, data.group)
    train_rows, val_rows = (part[data[part].row_order()] for part in parts)
    prepared = PreparedLog.of(resolved, data[train_rows], data[val_rows], cfg)
    options = (resolved.name, settings(resolved), cfg, base.spec(), tuning)
    key = hashlib.sha256(repr((prepared.fingerprint, *options)).encode()).hexdigest()
    store = None if checkpoint is None else Checkpoints.at(checkpoint, key)
    nuisances = estimate_nuisances(resolved, prepared.cross_fit_data(cfg), None, store, progress)
    h = data.x if view is base else encode(log, backbone=base).x
    frozen = prepared.with_features(h[train_rows], h[val_rows], base.spec(), cfg.dtype())
    plain = replace(cfg, hidden=(), epochs=None, lr=None, micro_batch=None)
    problem = replace(frozen.problem(resolved, nuisances), stage="frozen")
    state = train_net(problem, plain, store, progress)
    heads = state.mlp.linear()
    assert heads is not None
    train, held = (without_features(d).to(train_rows.device) for d in (problem.train, problem.val))
    tuned = TrainingProblem(
        "reward", resolved, train, held, TextRows(train_rows), TextRows(val_rows)
    )
    standardizer = frozen.transform.x.cpu()
    start = TuningStart(tuned, standardizer, heads, state.best_loss, key)
    return FrozenFit(start, prepared, nuisances, (train_rows, val_rows), reasons)


def nuisance_view(frozen: str | None, base: Transformer) -> Backbone | str:
    """Return the features of the nuisances: the model, another backbone, or precomputed features.

    Parameters
    ----------
    frozen : str or None
        Name of a backbone or of precomputed features; None: the model.
    base : Transformer
        The language model that will be tuned.

    """
    if frozen is None or frozen.startswith("precomputed:"):
        return frozen or base
    return backbone_of(frozen)


def cache_features(
    views: Sequence[Backbone | str], texts: tuple[list[str], list[str]], team: Processes
) -> None:
    """Fill the cache with frozen features; each process computes its share.

    Parameters
    ----------
    views : sequence of Backbone or str
        Backbones; names of precomputed features need no work.
    texts : tuple of list
        Prompts and responses.
    team : Processes
        The processes.

    """
    shard = (team.index + 1, team.count)
    for view in dict.fromkeys(views):
        if not isinstance(view, str):
            fill(view, *texts, cached_in(), shard=shard, progress=team.main)
    team.broadcast(None)  # waits for the main process


def tunable_backbone(backbone: str, team: Processes) -> Transformer:
    """Load the language model to tune.

    Parameters
    ----------
    backbone : str
        Folder or hub name, with reading options.
    team : Processes
        The processes.

    Raises
    ------
    UsageError
        If its weights cannot be trained.

    """
    base = backbone_of(backbone)
    if not isinstance(base, Transformer):
        raise UsageError(
            f"tuning takes a language model by folder or hub name, and {backbone} has no weights to learn"
        )
    if base.reading.dense or base.reading.normalize:
        raise UsageError(
            f"{backbone} has layers of sentence-transformers that tuning does not train: add "
            ",pooling=mean,normalize=false to its name, or fit on it as it is"
        )
    if base.device_option == "auto" and team.count > 1:
        raise UsageError(
            f"device=auto spreads one model over all GPUs, and each of the {team.count} processes needs its "
            "own: leave device=auto away, or start one process"
        )
    return base


def _require_tunable(method: Method, cfg: Train) -> None:
    """Refuse a method whose loss reads more than logits of the text, and ensembles."""
    why = None
    if method.composed:
        why = "is composed of its nuisances, which stay frozen, and trains no reward"
    elif set(method.heads.values()) != {"x"} or method.hidden:
        why = "trains more than logits of the text"
    elif type(method).mixing is not Method.mixing:
        why = "mixes the features of rows, and texts cannot be mixed"
    if why:
        raise UsageError(f"{method.name} {why}: fit it on the frozen model, or tune causalrm or dr")
    if cfg.members > 1:
        raise UsageError("tuning learns one model at a time: leave members at 1")
