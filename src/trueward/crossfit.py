"""Nuisances out of fold by prompt, calibrated and clipped: columns of ``eta`` and a report on each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .data import Columns, Feedback, fold_of
from .engine import Progress, train_net, train_nets
from .errors import TruewardError
from .inputs import Inputs, Standard, leading, reduced
from .method import Computed, Derived, Method, Nuisance
from .nuisances import Clip, platt
from .samplers import every, population
from .step import Problem, bare, predict
from .streams import stream_seed, torch_stream
from .threads import in_threads
from .train import Train, narrower

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .checkpoints import Checkpoints
    from .nets import Net
    from .runs import State


@dataclass(frozen=True)
class Estimated:
    """The complete ``eta`` of the training and validation rows, and what is to be said about it."""

    train: Columns
    val: Columns
    report: dict[str, Any]


@dataclass(frozen=True)
class Ground:
    """What the nuisances of one log are fitted on; wide features are reduced when first asked for."""

    train: Feedback
    val: Feedback
    inputs: Inputs
    cfg: Train

    @cached_property
    def fold(self) -> Tensor:
        """The part of every training row, whole prompts in one."""
        seed = stream_seed(self.cfg.seed, "folds")
        return fold_of(len(self.train), self.cfg.folds, seed, self.train.group)

    @cached_property
    def basis(self) -> Tensor | None:
        """(d, width) leading directions of wide features; None where they are not wide."""
        x, width = self.train.x, self.cfg.nuisance_width
        return None if x.shape[1] <= width else leading(x, self.inputs, width, self.cfg.seed)

    @cached_property
    def narrow(self) -> tuple[Feedback, Feedback, Inputs]:
        """Training and validation rows on the leading directions of wide features."""
        basis = self.basis
        if basis is None:
            return self.train, self.val, self.inputs
        train, val = (
            replace(d, x=reduced(d.x, self.inputs, basis)) for d in (self.train, self.val)
        )
        return train, val, replace(self.inputs, x=Standard.even(train.x))

    def unfolded(self, net: Net) -> Net:
        """A network that learned on the leading directions as one that reads the features themselves."""
        if self.basis is None:
            return net
        scale = self.narrow[2].x.scale
        return net.unfolded(self.basis.float() * scale)

    @property
    def standardised(self) -> tuple[Feedback, Feedback]:
        """Training and validation rows with the features as networks see them."""
        train, val, inputs = self.narrow
        here, there = (replace(d, x=inputs.x(d.x, torch.float32)) for d in (train, val))
        return here, there

    @property
    def settings(self) -> Train:
        """How the nuisances are trained."""
        narrow = narrower(self.train.x.shape[1], self.cfg.nuisance_width)
        epochs = round(self.cfg.nuisance_epochs * min(4.0, narrow))
        return replace(self.cfg, epochs=epochs, lr=self.cfg.nuisance_lr * narrow)

    def problem(self, nu: Nuisance) -> Problem:
        """One network a fold, each trained on the rows of the other folds."""
        return Problem(nu.name, nu, *self.narrow, self.fold)


# a nuisance before clipping -> its values on training and validation rows, and a report; or its error
Fitted = dict[Nuisance, tuple[Tensor, Tensor, dict[str, Any]] | TruewardError]


def fit_together(
    asked: Sequence[tuple[Ground, Sequence[Method]]], threads: int = 1
) -> list[Fitted]:
    """Fit what the methods ask of each log and the log lacks: once a log, for all logs at once."""
    found: list[Fitted] = [{} for _ in asked]
    wanted: list[tuple[int, Nuisance]] = []
    for k, (ground, methods) in enumerate(asked):
        needed = (_unclipped(n) for m in methods for n in m.nuisances if isinstance(n, Nuisance))
        missing = dict.fromkeys(n for n in needed if n.name not in ground.train.eta)
        wanted += [(k, nu) for nu in missing]
    problems = [asked[k][0].problem(nu) for k, nu in wanted]
    states = train_nets(problems, [asked[k][0].settings for k, _ in wanted], threads)

    def predicted(i: int) -> Any:
        state, seed = states[i], asked[wanted[i][0]][0].cfg.seed
        if isinstance(state, TruewardError):
            return state
        return _out_of_fold(problems[i], state, seed)

    for (k, nu), values in zip(
        wanted, in_threads(predicted, range(len(wanted)), threads), strict=True
    ):
        found[k][nu] = values
    return found


def estimate(
    method: Method,
    ground: Ground,
    fitted: Fitted | None = None,
    checkpoints: Checkpoints | None = None,
    progress: Progress | None = None,
) -> Estimated:
    """Fill the declared nuisances that the log lacks; one that is logged is used as it is, clipped.

    What is in ``fitted`` is not fitted again.
    """
    train, val, seed, fitted = ground.train, ground.val, ground.cfg.seed, fitted or {}
    report: dict[str, Any] = {}
    for nu in method.nuisances:
        if not isinstance(nu, Nuisance) and set(nu.columns) <= set(train.eta):
            report[nu.name] = {"logged": True}
        elif isinstance(nu, Computed):
            rows = ground.standardised if nu.features else (bare(train), bare(val))
            here, there = (
                replace(d, eta=now.eta) for d, now in zip(rows, (train, val), strict=True)
            )
            apply, report[nu.name] = nu.fit(here, there, seed)
            train, val = _with(train, apply(here)), _with(val, apply(there))
        elif isinstance(nu, Derived):
            g = torch_stream(seed, "population", nu.name)
            sample = population(every(train), train.weight, g)
            numbers, report[nu.name] = nu.compute(bare(train)[sample], seed)
            train, val = (
                _with(d, {k: torch.full_like(d.y, v) for k, v in numbers.items()})
                for d in (train, val)
            )
        else:
            about: dict[str, Any] = {"logged": True}
            if nu.name not in train.eta:
                plain = _unclipped(nu)
                if plain not in fitted:
                    problem = ground.problem(plain)
                    state = train_net(problem, ground.settings, checkpoints, progress)
                    fitted[plain] = _out_of_fold(problem, state, seed)
                values = fitted[plain]
                if isinstance(values, TruewardError):
                    raise values
                known, shown, about = values
                train, val = _with(train, {nu.name: known}), _with(val, {nu.name: shown})
            if nu.clip:
                clip, target = Clip(nu.clip), nu.target(train)
                about = about | clip.report(train.eta[nu.name], target)
                train, val = (_with(d, {nu.name: clip(d.eta[nu.name])}) for d in (train, val))
            report[nu.name] = about
    return Estimated(train.eta, val.eta, report)


def _unclipped(nu: Nuisance) -> Nuisance:
    return replace(nu, clip=0.0)


def _with(data: Feedback, columns: dict[str, Tensor]) -> Feedback:
    return replace(data, eta=data.eta | Columns(columns))


def _out_of_fold(
    problem: Problem, state: State, seed: int
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Calibrated P(target) for every training row by the member that has not seen its prompt.

    Validation rows get the mean logit of all members.
    """
    nu, train, fold = problem.method, problem.train, problem.fold
    assert isinstance(nu, Nuisance)
    assert fold is not None
    logit = torch.empty(len(train))
    for m in range(int(fold.max()) + 1):
        own = (fold == m).nonzero().squeeze(-1)
        logit[own] = predict(problem, state.net.member(m), train, own).reward[0].cpu()
    g = torch_stream(seed, "population", nu.name)
    rows, target = population(nu.rows(train), train.weight, g), nu.target(train).cpu()
    slope, offset = platt(logit[rows], target[rows])
    there = predict(problem, state.net, problem.val).reward.mean(0).cpu()
    here, there = (torch.sigmoid(slope * v + offset).to(train.y) for v in (logit, there))
    about = {
        "logged": False,
        "folds": int(fold.max()) + 1,
        "rows": len(rows),
        "calibration": {"slope": slope, "offset": offset},
        "calibration_bins": calibration_bins(here.cpu()[rows], target[rows]),
    }
    if slope == 0:
        about["warning"] = f"the features do not predict {nu.name} out of fold: it is a constant"
    return here, there, about


def calibration_bins(p: Tensor, target: Tensor, bins: int = 10) -> list[dict[str, float]]:
    """Mean prediction against mean outcome in ``bins`` groups of equal size."""
    parts = p.argsort().tensor_split(min(bins, max(1, len(p))))
    return [
        {"predicted": float(p[i].mean()), "observed": float(target[i].mean()), "rows": len(i)}
        for i in parts
        if len(i)
    ]
