"""Fitting one reward model: check the log, estimate nuisances, train, keep the record."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Unpack

from trueward.core.arguments import FUNCTION, MAPPING, PATH, described, require_kinds
from trueward.core.errors import UsageError
from trueward.core.options import check_names, options
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Feedback, Labelled
from trueward.estimation.method import Method, settings
from trueward.estimators._registry import make, method_class
from trueward.training.checkpoints import Checkpoints
from trueward.training.config import Train
from trueward.training.loop import Progress, train_net

from .given import training_rows
from .out_of_fold import estimate_nuisances
from .prepared import PreparedLog
from .record import composed_model, stating, trained_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trueward.data.log import Log
    from trueward.features import Backbone
    from trueward.model.reward_model import RewardModel

    from .options import FitOptions


def fit(
    method: str | Method,
    train: Feedback | Labelled | Log | object,
    val: Feedback | Labelled | Log | float | object = 0.2,
    *,
    backbone: str | Backbone | None = None,
    method_options: Mapping[str, Any] | None = None,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
    **chosen: Unpack[FitOptions],
) -> RewardModel:
    """Fit a method on a log.

    Nuisances are estimated out of fold. Early stopping on the validation rows restores the best weights. The
    order of the rows does not matter: folds and batches are drawn from them in the order of
    `trueward.data.row_order`.

    Parameters
    ----------
    method : str or Method
        Name of a method (`trueward.methods`), or a method with its options.
    train : Feedback, Log, path or table
        Training rows. A `Log`, or what `read_log` reads, is encoded. Only the method ``oracle`` takes
        `Labelled`, which holds true labels.
    val : float, default 0.2; or Feedback, Log, path or table
        Share of the prompts to hold out for early stopping, drawn by ``seed``; or validation rows: no prompt
        should be in both.
    backbone : str or Backbone, optional
        What makes features of texts, see `encode`; ``wordllama`` by default.
    method_options : mapping, optional
        Options of the method, as ``{"clip": 0.05}``. They may also be given as keywords; a type checker
        knows only those of `FitOptions`.
    checkpoint : str or Path, optional
        Folder of checkpoints. An interrupted fit resumes from it and ends in the same model. The caller
        deletes it once the model is saved.
    progress : callable, optional
        Called after every epoch with stage, epoch, largest number of epochs, and validation loss.
    **chosen : FitOptions
        Fields of `trueward.Train`, options of the method, and ``preset``.

    Returns
    -------
    RewardModel
        The fitted model; its ``report`` holds losses, nuisances and warnings.

    Raises
    ------
    UsageError
        If an option is unknown or out of its range.
    TruewardError
        If the log does not support the method, a value is not finite, or the fit diverged.

    Examples
    --------
    >>> import torch
    >>> import trueward as tw
    >>> g = torch.Generator().manual_seed(0)
    >>> x = torch.randn(400, 4, generator=g)
    >>> rated = (torch.rand(400, generator=g) < torch.sigmoid(x[:, 1])).float()
    >>> log = tw.Feedback(x, (x[:, 0] > 0).float() * rated, rated, group=torch.arange(400))
    >>> train, val = log.split(0.25)
    >>> model = tw.fit("ips", train, val, clip=0.05, epochs=2, seed=1)
    >>> model.method, len(model.score_features(x).reward)
    ('ips', 400)

    A log with texts is encoded and split:

    >>> log = tw.read_log("chat_log.parquet")  # doctest: +SKIP
    >>> model = tw.fit("auto", log)  # doctest: +SKIP

    """
    require_kinds(
        "fit",
        method_options=(method_options, MAPPING.or_none),
        checkpoint=(checkpoint, PATH.or_none),
        progress=(progress, FUNCTION.or_none),
    )
    requested, cfg = configure(method, {**chosen, **(method_options or {})})
    train, val, said = training_rows(train, val, backbone, cfg.seed)
    resolved, reasons = resolve(requested, train)
    log = PreparedLog.of(resolved, train, val, cfg)
    store = None
    if checkpoint is not None:
        key = repr((log.fingerprint, resolved.name, settings(resolved), cfg))
        store = Checkpoints.at(checkpoint, hashlib.sha256(key.encode()).hexdigest())
    data = log.cross_fit_data(cfg)
    nuisances = estimate_nuisances(resolved, data, None, store, progress)
    if resolved.composed and nuisances.complete:
        model = composed_model(log, resolved, cfg, nuisances, data.projection, reasons)
        return stating(model, said)
    del data  # projected features, which only nuisances read
    problem = log.problem(resolved, nuisances)
    state = train_net(problem, cfg, store, progress)
    return stating(trained_model(log, problem, cfg, nuisances, state, reasons), said)


def configure(method: str | Method, chosen: Mapping[str, Any]) -> tuple[Method, Train]:
    """Split options into those of the method and those of `Train`, and check both.

    Parameters
    ----------
    method : str or Method
        Name of a method, or a method with its options.
    chosen : mapping of str to Any
        Options by name; those of `Train` may be text, as on a command line.

    Returns
    -------
    tuple of (Method, Train)
        The method and the training settings.

    Raises
    ------
    UsageError
        If an option is unknown, out of its range, or belongs to a method that was given as an object.

    """
    if not isinstance(method, str | Method):
        raise UsageError(
            f"a method is given by its name or as an object such as Ips(clip=0.05), not {described(method)}"
        )
    training = options(Train)
    name = method if isinstance(method, str) else method.name
    own = options(method_class(name) if isinstance(method, str) else type(method))
    check_names(chosen, {**own, **training, "preset": None}, name)  # type: ignore[dict-item]
    of_method = {k: v for k, v in chosen.items() if k not in training}
    if isinstance(method, Method) and of_method:
        raise UsageError(f"{name} was given as an object; set {', '.join(of_method)} on it instead")
    of_training = {
        k: training[k].parse(v, "fit") if isinstance(v, str) else v
        for k, v in chosen.items()
        if k in training
    }
    instance = method if isinstance(method, Method) else make(name, of_method)
    return instance, Train(**{**instance.defaults, **of_training})


def resolve(method: Method, train: Feedback | Labelled) -> tuple[Method, tuple[str, ...]]:
    """Return the method for this log, where it depends on the log, and the reasons of that choice.

    Parameters
    ----------
    method : Method
        The method to fit, such as ``auto``.
    train : Feedback or Labelled
        Training rows.

    """
    if isinstance(train, Labelled):
        return method, ()
    return method.resolve(LogCapabilities.from_feedback(train))
