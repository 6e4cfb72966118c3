"""From feedback to a reward model: check the log, estimate nuisances, train, keep the record."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING, Any

import torch

from .card import card
from .checkpoints import Checkpoints
from .crossfit import estimate
from .data import Feedback, Labelled
from .engine import Problem, Progress, State, Train, predict, train_net
from .errors import TruewardError, UsageError
from .inputs import Inputs
from .method import Method, make, method_class, settings
from .model import RewardModel
from .options import known, options
from .support import Facts, require

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


def fit(
    method: str | Method,
    train: Feedback | Labelled,
    val: Feedback | Labelled,
    *,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
    **chosen: Any,
) -> RewardModel:
    """Fit ``method`` on ``train``, stopping on what ``val`` shows; give the reward model.

    Options of the method and of `Train` are keywords: ``fit("ips", train, val, clip=0.05, seed=1)``.
    With ``checkpoint``, a folder, an interrupted fit goes on from there and ends in the same model.
    Only the method ``oracle`` takes `Labelled`, which is the truth.
    """
    made, cfg = configure(method, chosen)
    here, there = (_feedback(made, d).to(cfg.place()) for d in (train, val))
    require(made, Facts.of(here), "the training rows")
    require(made, Facts.of(there), "the validation rows")
    for data, name in ((here, "training"), (there, "validation")):
        _finite(data.x, name)
    key = fingerprint(here, there)
    store = None
    if checkpoint is not None:
        about = repr((key, made.name, settings(made), cfg))
        store = Checkpoints.at(checkpoint, hashlib.sha256(about.encode()).hexdigest())
    inputs = Inputs.of(here, cfg.dtype())
    ready = estimate(made, here, there, inputs, cfg, store, progress)
    problem = Problem("reward", made, ready.train, ready.val, inputs)
    state = train_net(problem, cfg, store, progress)
    _not_diverged(made, state)
    report = {
        "rows": {"train": len(here), "validation": len(there)},
        "rated": {"train": Facts.of(here).rated, "validation": Facts.of(there).rated},
        "data": key,
        "training": _training(cfg, state),
        "nuisances": ready.report,
        "spread": _spread(made, problem, state),
    }
    report["warnings"] = [
        f"{name}: {about['warning']}" for name, about in ready.report.items() if "warning" in about
    ]
    return RewardModel(
        method=made.name,
        options=settings(made),
        net=state.net.cpu().eval(),
        standard=inputs.x.cpu(),
        backbone=here.backbone,
        card=card(made.name),
        report=report,
        interval_only=made.interval_only,
    )


def configure(method: str | Method, chosen: dict[str, Any]) -> tuple[Method, Train]:
    """Split options into those of the method and those of `Train`; both are checked."""
    training = options(Train)
    name = method if isinstance(method, str) else method.name
    own = options(method_class(name) if isinstance(method, str) else type(method))
    known(chosen, {**own, **training, "preset": None}, name)  # type: ignore[dict-item]
    rest = {k: v for k, v in chosen.items() if k not in training}
    if isinstance(method, Method) and rest:
        raise UsageError(f"{name} was given as an object; set {', '.join(rest)} on it instead")
    mine = {
        k: training[k].parse(v, "fit") if isinstance(v, str) else v
        for k, v in chosen.items()
        if k in training
    }
    return method if isinstance(method, Method) else make(name, rest), Train(**mine)


def _feedback(method: Method, data: Feedback | Labelled) -> Feedback:
    if not method.takes_truth:
        if isinstance(data, Labelled):
            raise TruewardError(
                f"{method.name} learns from feedback and was given clean labels (Labelled); pass the "
                "log's Feedback"
            )
        return data
    if isinstance(data, Feedback) or data.r is None:
        raise TruewardError(
            f"{method.name} is a benchmark's ceiling and is fitted on clean labels (Labelled with r); "
            "a log has none: choose another method"
        )
    return Feedback(
        data.x, data.r, torch.ones_like(data.r), group=data.group, backbone=data.backbone
    )


def _finite(x: Tensor, name: str) -> None:
    if x.sum(0, dtype=torch.float32).isfinite().all():
        return
    bad = next(k for k, row in enumerate(x) if not row.isfinite().all())
    column = int((~x[bad].isfinite()).nonzero()[0])
    raise TruewardError(
        f"features must be finite numbers, and {name} row {bad + 1} has {float(x[bad, column])} in "
        f"column {column + 1}: drop or repair that row"
    )


def _not_diverged(method: Method, state: State) -> None:
    """A risk cannot be negative; a fitted one that is has run down an unbounded surrogate."""
    lowest = min(*state.value, *state.kept)
    if method.unbounded and lowest < 0:
        raise TruewardError(
            f"{method.name} diverged: its estimate of a risk, which cannot be negative, fell to "
            f"{lowest:.3g}, because this form of the loss has no lower bound; use {method.unbounded}"
        )


def _training(cfg: Train, state: State) -> dict[str, Any]:
    return {
        **dataclasses.asdict(cfg),
        "precision": str(cfg.dtype()).removeprefix("torch."),
        "validation_loss": state.value,
        "training_loss": state.kept,
    }


def _spread(method: Method, problem: Problem, state: State) -> dict[str, float]:
    """How far the members disagree on the validation rows."""
    out = predict(problem, state.net, problem.val)
    p = torch.sigmoid(
        torch.stack([method.reward(out[torch.tensor(m)]) for m in range(len(out.reward))])
    )
    means = p.mean(1)
    return {
        "members": len(p),
        "mean_sd": float(p.std(0, correction=0).mean()),
        "lowest_mean": float(means.min()),
        "highest_mean": float(means.max()),
    }


def fingerprint(train: Feedback, val: Feedback) -> str:
    """SHA-256 of the feedback columns and of 256 rows of features, spread over the data."""
    digest = hashlib.sha256()
    for data in (train, val):
        some = torch.linspace(0, max(0, len(data) - 1), min(256, len(data))).long()
        columns = [
            data.y,
            data.o,
            data.z,
            data.gold,
            data.weight,
            *data.channels.values(),
            *data.eta.values(),
        ]
        for column in (*columns, data.x[some].float()):
            if column is not None:
                digest.update(column.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
