"""The result of tuning: the reward model on the tuned activations, and the folder of the language model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from trueward.core.atomic_io import replacing
from trueward.core.tracking import METRICS
from trueward.estimation.method import Method
from trueward.features.transformers.loading import quiet_transformers
from trueward.fitting.record import trained_model
from trueward.training.networks import MLPEnsemble, Net, Shape
from trueward.training.training_state import TrainingState, make_optimizer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from trueward.features.transformers.transformer import Transformer
    from trueward.model.reward_model import RewardModel
    from trueward.training.config import Train
    from trueward.training.preprocessing import Standardizer

    from .metrics import TuningMetrics
    from .network import TunedNet, TuneMode
    from .start import FrozenFit


@dataclass(frozen=True)
class Tuned:
    """Heads and losses of a training.

    Attributes
    ----------
    heads : dict of str to (Tensor, Tensor)
        Head -> (w (d,), b ()) on activations standardised as before tuning.
    best_loss, train_loss : list of float
        Validation and training loss of the best epoch.

    """

    heads: dict[str, tuple[Tensor, Tensor]]
    best_loss: list[float]
    train_loss: list[float]


def tuned_model(
    fitted: FrozenFit,
    result: Tuned,
    cfg: Train,
    backbone: Transformer,
    x: Tensor,
    report: dict[str, Any],
    place: Path,
) -> RewardModel:
    """Return the reward model on the tuned activations; warn where tuning did not lower the validation loss.

    Parameters
    ----------
    fitted : FrozenFit
        The fit on the frozen model.
    result : Tuned
        The result of the training.
    cfg : Train
        The settings.
    backbone : Transformer
        The tuned language model.
    x : Tensor
        (n, d) its activations of all rows.
    report : dict
        ``tuned`` of the model's report.
    place : Path
        Folder of the tuned language model.

    """
    start, (train_rows, val_rows) = fitted.start, fitted.rows
    method = start.problem.objective
    assert isinstance(method, Method)
    log = fitted.log.with_features(x[train_rows], x[val_rows], backbone.spec(), torch.float32)
    net = restandardized(result.heads, start.standardizer, log.transform.x)
    state = TrainingState(
        net,
        make_optimizer(net, cfg),
        [],
        result.best_loss,
        [],
        train_loss=result.train_loss,
    )
    problem = log.problem(method, fitted.nuisances)
    model = trained_model(log, problem, cfg, fitted.nuisances, state, fitted.reasons)
    record = {**model.report, "tuned": report}
    if result.best_loss[0] >= start.loss[0]:
        worse = (
            f"tuning did not help: validation loss {result.best_loss[0]:.4f}, "
            f"frozen {start.loss[0]:.4f}"
        )
        record["warnings"] = [*record["warnings"], worse]
    return replace(model, report=record, language_model=place)


def tuning_report(
    base: Transformer, how: TuneMode, rank: int, truncated: int, loss: list[float]
) -> dict[str, Any]:
    """Return ``tuned`` of a model's report.

    Parameters
    ----------
    base : Transformer
        The language model before tuning.
    how : {'lora', 'full', 'head'}
        What is trained.
    rank : int
        Rank of the adapters.
    truncated : int
        Number of texts that were cut.
    loss : list of float
        Validation loss of the frozen model.

    """
    return {
        "how": how,
        "base": base.folder.source,
        "digest": base.folder.digest,
        "cut": truncated,
        "rank": rank if how == "lora" else None,
        "frozen_validation_loss": loss,
    }


def restandardized(
    heads: Mapping[str, tuple[Tensor, Tensor]], old: Standardizer, new: Standardizer
) -> Net:
    """Return the same heads on features standardised anew: w' = w s / s', b' = b + w s (mu' - mu), s = 1/sd.

    Parameters
    ----------
    heads : mapping of str to (Tensor, Tensor)
        Head -> (w (d,), b ()).
    old, new : Standardizer
        Standardisation of the heads, and of the network that is returned.

    """
    old, new = old.cpu(), new.cpu()
    net = Net(Shape({"x": len(old.mean)}, dict.fromkeys(heads, "x"), ()), 0)
    with torch.no_grad():
        for name, (w, b) in heads.items():
            slope = w * old.scale
            mlps = net.heads[name]
            assert isinstance(mlps, MLPEnsemble)
            mlps.weights[0].copy_(torch.where(new.scale > 0, slope / new.scale, 0.0)[None, :, None])
            mlps.biases[0].copy_((b + slope @ (new.mean - old.mean)).reshape(1, 1, 1))
    return net.eval()


def write_model(net: TunedNet, place: Path, metrics: TuningMetrics) -> None:
    """Write the tuned model, its tokenizer and the metrics of its training as a folder of transformers.

    Parameters
    ----------
    net : TunedNet
        The tuned network.
    place : Path
        The folder to write.
    metrics : TuningMetrics
        Metrics of every step.

    """
    with replacing(place) as path, quiet_transformers():
        path.mkdir()
        net.merged().save_pretrained(path)
        net.backbone.rendering.tokenizer.save_pretrained(path)
        metrics.write(path / METRICS)
