"""From feedback to a reward model: check the log, estimate nuisances, train, keep the record."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trueward.core.errors import TruewardError, UsageError
from trueward.core.options import known, options
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Columns, Feedback, Labelled
from trueward.estimation.method import Method, settings
from trueward.estimators._card import card
from trueward.estimators._registry import make, method_class
from trueward.model.composed_model import Composed
from trueward.model.reward_model import RewardModel
from trueward.training.checkpoints import Checkpoints
from trueward.training.config import Train
from trueward.training.loop import Progress, train_net
from trueward.training.preprocessing import Inputs, row_digests
from trueward.training.step import Problem, member_of, predict

from .checks import checked, finite, required
from .crossfit import Ground, estimate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trueward.training.networks import Net
    from trueward.training.training_state import State

    from .crossfit import Estimated


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
    With ``checkpoint``, a folder, an interrupted fit goes on from there and ends in the same model;
    the folder is the caller's to delete once the model is saved.
    Only the method ``oracle`` takes `Labelled`, which is the truth.
    """
    named, cfg = configure(method, chosen)
    made, reasons = suited(named, train)
    log = Prepared.of(made, train, val, cfg)
    store = None
    if checkpoint is not None:
        about = repr((log.key, made.name, settings(made), cfg))
        store = Checkpoints.at(checkpoint, hashlib.sha256(about.encode()).hexdigest())
    ground = log.ground(cfg)
    ready = estimate(made, ground, None, store, progress)
    if made.composed and ready.whole:
        return log.composed(made, cfg, ready, ground, reasons)
    problem = log.problem(made, ready)
    return log.model(problem, cfg, ready, train_net(problem, cfg, store, progress), reasons)


@dataclass(frozen=True)
class Prepared:
    """A log that was found fit for a method: on the device, measured, identified."""

    train: Feedback
    val: Feedback
    inputs: Inputs
    key: str  # of all it contains

    @staticmethod
    def of(
        made: Method, train: Feedback | Labelled, val: Feedback | Labelled, cfg: Train
    ) -> Prepared:
        """Check both parts and measure the features."""
        here, there = checked(made, train, val, cfg)
        digests = [row_digests(d.x) for d in (here, there)]
        names = ("training", "validation")
        for data, digest, name in zip((here, there), digests, names, strict=True):
            finite(data, digest, name)
        inputs = Inputs.of(here, cfg.dtype())
        return Prepared(here, there, inputs, fingerprint((here, there), digests))

    def on(self, train: Tensor, val: Tensor, backbone: str, dtype: torch.dtype) -> Prepared:
        """The same rows with other features."""
        place = self.train.y.device
        here, there = (
            dataclasses.replace(d, x=x.to(place), backbone=backbone)
            for d, x in ((self.train, train), (self.val, val))
        )
        return dataclasses.replace(self, train=here, val=there, inputs=Inputs.of(here, dtype))

    def require(self, made: Method) -> None:
        """Refuse another method that this log cannot support."""
        required(made, self.train, self.val)

    def ground(self, cfg: Train) -> Ground:
        """What nuisances are fitted on."""
        return Ground(self.train, self.val, self.inputs, cfg)

    def problem(self, made: Method, ready: Estimated) -> Problem:
        """The reward's network, with the nuisances in place."""
        train, val = (
            dataclasses.replace(d, eta=eta)
            for d, eta in ((self.train, ready.train), (self.val, ready.val))
        )
        return Problem("reward", made, train, val, self.inputs)

    def model(
        self,
        problem: Problem,
        cfg: Train,
        ready: Estimated,
        state: State,
        reasons: tuple[str, ...],
    ) -> RewardModel:
        """The trained network with the record of the fit; a run-away fit is refused."""
        made = problem.method
        assert isinstance(made, Method)
        warnings = _divergence(made, state)
        out = predict(problem, state.net, problem.val, made.rows(problem.val))
        losses = {"validation_loss": state.value, "training_loss": state.kept}
        report = self._report(cfg, ready, _spread(made, out), losses, warnings, reasons)
        return self._modelled(made, state.net.cpu().eval(), report)

    def composed(
        self,
        made: Method,
        cfg: Train,
        ready: Estimated,
        ground: Ground,
        reasons: tuple[str, ...],
    ) -> RewardModel:
        """What the networks of the nuisances give, with the record of the fit."""
        net = Composed(made, ready.parts, ground.projection)
        inputs = Inputs(self.inputs.x.cpu(), None, torch.float32)
        parts = [net(inputs(x.cpu(), None, {"x"})) for x in self.val.x.split(4096)]
        out = Columns({k: torch.cat([p[k] for p in parts], 1) for k in parts[0]})
        losses: dict[str, list[float]] = {"validation_loss": [], "training_loss": []}
        return self._modelled(
            made, net, self._report(cfg, ready, _spread(made, out), losses, _idle(cfg), reasons)
        )

    def _report(
        self,
        cfg: Train,
        ready: Estimated,
        spread: dict[str, float],
        losses: dict[str, list[float]],
        warnings: list[str],
        reasons: tuple[str, ...],
    ) -> dict[str, Any]:
        facts = [LogCapabilities.of(d) for d in (self.train, self.val)]
        said = [f"{k}: {v['warning']}" for k, v in ready.report.items() if "warning" in v]
        return {
            "rows": {"train": facts[0].rows, "validation": facts[1].rows},
            "rated": {"train": facts[0].rated, "validation": facts[1].rated},
            "data": self.key,
            "training": {
                **dataclasses.asdict(cfg),
                "precision": str(cfg.dtype()).removeprefix("torch."),
                **losses,
            },
            "nuisances": ready.report,
            "spread": spread,
            "warnings": said + warnings,
            **({"reasons": list(reasons)} if reasons else {}),
        }

    def _modelled(self, made: Method, net: Net | Composed, report: dict[str, Any]) -> RewardModel:
        text = card(type(made))
        usual = self.inputs.x.usual(self.train.x)
        return RewardModel(
            made, net, self.inputs.x.cpu(), self.train.backbone, text, report, usual=usual
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
    made = method if isinstance(method, Method) else make(name, rest)
    return made, Train(**{**made.defaults, **mine})


def suited(made: Method, train: Feedback | Labelled) -> tuple[Method, tuple[str, ...]]:
    """The method for this log, where it depends on what the log offers, and why."""
    return (made, ()) if isinstance(train, Labelled) else made.resolve(LogCapabilities.of(train))


def _divergence(method: Method, state: State) -> list[str]:
    """Refuse a run-away fit: an estimated risk far below 0 where none can be; warn of a lesser one."""
    if not method.bounded_alternative:
        return []
    if (lowest := min(state.value)) < 0:
        raise TruewardError(
            f"{method.name} diverged: its estimate of a risk, which cannot be negative, fell to "
            f"{lowest:.3g} on the validation rows, because this form of the loss has no lower bound; "
            f"use {method.bounded_alternative}"
        )
    if (lowest := min(state.kept)) < 0:
        found = f"the training loss fell to {lowest:.3g}, below any risk"
        return [f"{found}: this form has no lower bound; {method.bounded_alternative} has one"]
    return []


def _idle(cfg: Train) -> list[str]:
    """Options of the training of a reward, where none is trained."""
    given = [k for k in ("members", "epochs", "lr") if getattr(cfg, k) != getattr(Train(), k)]
    what = f"{', '.join(given)} had no effect: the reward is composed of its nuisances"
    return [f"{what}; use folds, nuisance_epochs and nuisance_lr"] if given else []


def _spread(method: Method, out: Columns) -> dict[str, float]:
    """How far the members disagree on the validation rows."""
    rewards = [method.reward(member_of(out, m)) for m in range(len(out.reward))]
    p = torch.sigmoid(torch.stack(rewards))
    means = p.mean(1)
    return {
        "members": len(p),
        "mean_sd": float(p.std(0, correction=0).mean()),
        "lowest_mean": float(means.min()),
        "highest_mean": float(means.max()),
    }


def fingerprint(logs: Sequence[Feedback], digests: Sequence[Tensor]) -> str:
    """SHA-256 of every column by name, the features by a digest of every row and 256 whole rows."""
    digest = hashlib.sha256()
    for data, rows in zip(logs, digests, strict=True):
        some = torch.linspace(0, max(0, len(data) - 1), min(256, len(data))).long()
        columns = {"rows": data.x[some], "digests": rows}
        for f in dataclasses.fields(data):
            value = getattr(data, f.name)
            if f.name != "x":
                found = value if isinstance(value, Columns) else {f.name: value}
                columns |= {f"{f.name}.{k}": v for k, v in found.items() if torch.is_tensor(v)}
        for name, column in columns.items():
            digest.update(f"{name} {tuple(column.shape)} {column.dtype}".encode())
            digest.update(column.double().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
