"""From trained networks to a reward model with the record of its fit."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import torch

from trueward.core.errors import TruewardError
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Columns
from trueward.estimation.method import Method
from trueward.estimation.nuisance_types import Nuisance
from trueward.estimation.requirements import scarce
from trueward.estimators._card import card
from trueward.model.composed_model import ComposedModel
from trueward.model.reward_model import RewardModel
from trueward.training.config import Train
from trueward.training.preprocessing import InputTransform
from trueward.training.problem import TrainingProblem, member_logits
from trueward.training.step import predict

from .held_out import beside_naive

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.training.networks import Net
    from trueward.training.training_state import TrainingState

    from .out_of_fold import OutOfFoldNuisances
    from .prepared import PreparedLog


def trained_model(
    log: PreparedLog,
    problem: TrainingProblem,
    cfg: Train,
    nuisances: OutOfFoldNuisances,
    state: TrainingState,
    reasons: tuple[str, ...],
) -> RewardModel:
    """Return the trained network as a reward model; refuse a divergent fit.

    Parameters
    ----------
    log : PreparedLog
        The rows.
    problem : TrainingProblem
        The training problem of the reward.
    cfg : Train
        The settings.
    nuisances : OutOfFoldNuisances
        Nuisances of the method.
    state : TrainingState
        Result of the training.
    reasons : tuple of str
        Reasons for the choice of the method.

    Raises
    ------
    TruewardError
        If the estimated risk fell below 0 on the validation rows.

    """
    method = problem.objective
    assert isinstance(method, Method)
    warnings = _divergence(method, state) + _unread(log, method)
    out = predict(problem, state.net, problem.val_source, method.rows(problem.val))
    losses = {"validation_loss": state.best_loss, "training_loss": state.train_loss}
    report = _report(log, cfg, nuisances, _spread(method, out), losses, warnings, reasons)
    return _model(log, method, state.mlp.cpu().eval(), report)


def composed_model(
    log: PreparedLog,
    method: Method,
    cfg: Train,
    nuisances: OutOfFoldNuisances,
    projection: Tensor | None,
    reasons: tuple[str, ...],
) -> RewardModel:
    """Return a reward model composed of the nuisances.

    Parameters
    ----------
    log : PreparedLog
        The rows.
    method : Method
        A composed method.
    cfg : Train
        The settings.
    nuisances : OutOfFoldNuisances
        Its nuisances, complete.
    projection : Tensor or None
        (d, k) from standardised features to principal directions.
    reasons : tuple of str
        Reasons for the choice of the method.

    """
    net = ComposedModel(method, nuisances.parts, projection)
    transform = InputTransform(log.transform.x.cpu(), None, torch.float32)
    parts = [net(transform(x.cpu(), None, {"x"})) for x in log.val.x.split(4096)]
    out = Columns({k: torch.cat([p[k] for p in parts], 1) for k in parts[0]})
    losses: dict[str, list[float]] = {"validation_loss": [], "training_loss": []}
    spread, warnings = _spread(method, out), _unused_options(cfg) + _unread(log, method)
    report = _report(log, cfg, nuisances, spread, losses, warnings, reasons)
    if "naive" in nuisances.val:
        reward, naive = out.reward.mean(0), torch.logit(nuisances.val.naive.double(), 1e-12)
        report["beside_naive"] = beside_naive(reward, naive, log.val)
    return _model(log, method, net, report)


def stating(model: RewardModel, line: str | None) -> RewardModel:
    """Return a model whose report and card state how its rows were made.

    Parameters
    ----------
    model : RewardModel
        The model.
    line : str or None
        What was done; None where the rows were ready.

    """
    if line is None:
        return model
    report = {**model.report, "prepared": line}
    return dataclasses.replace(
        model, report=report, card=f"{model.card}\n**Rows** The fit {line}.\n"
    )


def _model(
    log: PreparedLog, method: Method, net: Net | ComposedModel, report: dict[str, Any]
) -> RewardModel:
    standardizer = log.transform.x
    return RewardModel(
        method,
        net,
        standardizer.cpu(),
        log.train.backbone,
        card(type(method)),
        report,
        ood_threshold=standardizer.mean_square_quantile(log.train.x),
    )


def _report(
    log: PreparedLog,
    cfg: Train,
    nuisances: OutOfFoldNuisances,
    spread: dict[str, float],
    losses: dict[str, list[float]],
    warnings: list[str],
    reasons: tuple[str, ...],
) -> dict[str, Any]:
    facts = [LogCapabilities.from_feedback(d) for d in (log.train, log.val)]
    warnings = [*([few] if (few := scarce(facts[0])) else []), *warnings]
    reported = nuisances.report.items()
    return {
        "rows": {"train": facts[0].rows, "validation": facts[1].rows},
        "rated": {"train": facts[0].rated, "validation": facts[1].rated},
        **_comparisons(log),
        "data": log.fingerprint,
        "training": {**training_settings(cfg), **losses},
        "nuisances": nuisances.report,
        **({"users": nuisances.users} if nuisances.users else {}),
        "spread": spread,
        "warnings": [f"{k}: {v['warning']}" for k, v in reported if "warning" in v] + warnings,
        **({"reasons": list(reasons)} if reasons else {}),
    }


def _comparisons(log: PreparedLog) -> dict[str, Any]:
    """Numbers of comparisons of a log that has some, in both parts and by source."""
    if log.train.pairs is None or log.val.pairs is None:
        return {}
    counts = {"train": len(log.train.pairs), "validation": len(log.val.pairs)}
    return {"comparisons": {**counts, "sources": dict(log.train.pairs.counts())}}


def training_settings(cfg: Train) -> dict[str, Any]:
    """Return the settings of a training as a report holds them.

    Parameters
    ----------
    cfg : Train
        The settings.

    """
    return {**dataclasses.asdict(cfg), "precision": str(cfg.dtype()).removeprefix("torch.")}


def _divergence(method: Method, state: TrainingState) -> list[str]:
    """Refuse a fit whose estimated risk is negative on validation rows; warn if it is on training rows."""
    if not method.bounded_alternative:
        return []
    if (lowest := min(state.best_loss)) < 0:
        raise TruewardError(
            f"{method.name} diverged: its estimate of a risk, which cannot be negative, fell to "
            f"{lowest:.3g} on the {method.monitor_split} rows, because this form of the loss has no "
            f"lower bound; use {method.bounded_alternative}"
        )
    if (lowest := min(state.train_loss)) < 0:
        fell = f"the training loss fell to {lowest:.3g}, and a risk cannot be negative"
        return [f"{fell}: this form has no lower bound; {method.bounded_alternative} has one"]
    return []


def _unread(log: PreparedLog, method: Method) -> list[str]:
    """Warn of comparisons that the method does not read."""
    reads = method.compares or any(
        isinstance(nu, Nuisance) and nu.compares for nu in method.nuisances
    )
    if log.train.pairs is None or reads:
        return []
    count, others = f"{len(log.train.pairs):,}", "joint, auto, anchored and bradley_terry do"
    return [f"{method.name} does not read the {count} comparisons of the log: {others}"]


def _unused_options(cfg: Train) -> list[str]:
    """Warn of options that only the training of a reward network uses."""
    given = [k for k in ("members", "epochs", "lr") if getattr(cfg, k) != getattr(Train(), k)]
    what = f"{', '.join(given)} had no effect: the reward is composed of its nuisances"
    return [f"{what}; use folds, nuisance_epochs and nuisance_lr"] if given else []


def _spread(method: Method, out: Columns) -> dict[str, float]:
    """Disagreement of the members on the validation rows."""
    rewards = [method.reward(member_logits(out, m)) for m in range(len(out.reward))]
    p = torch.sigmoid(torch.stack(rewards))
    means = p.mean(1)
    return {
        "members": len(p),
        "mean_sd": float(p.std(0, correction=0).mean()),
        "lowest_mean": float(means.min()),
        "highest_mean": float(means.max()),
    }
