"""Nuisances out of fold by prompt, calibrated and clipped: columns of ``eta`` and a report on each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trueward.core.errors import TruewardError
from trueward.core.random import stream_seed, torch_stream
from trueward.core.threads import in_threads
from trueward.data.feedback import Columns, Feedback, fold_of
from trueward.estimation.nuisance_types import Computed, Nuisance
from trueward.estimation.nuisances import Clip, platt
from trueward.estimation.samplers import every, population
from trueward.training.config import Train, narrower, passes
from trueward.training.loop import Progress, train_net, train_nets
from trueward.training.preprocessing import Inputs, Standard, leading, reduced
from trueward.training.step import Problem, bare, predict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueward.estimation.method import Method
    from trueward.model.composed_model import Part
    from trueward.training.checkpoints import Checkpoints
    from trueward.training.networks import Net
    from trueward.training.training_state import State


USUAL = 5  # passes over the rows
BOTTLENECK = (32, 32)  # hidden layers of the second view, on all features


@dataclass(frozen=True)
class Estimated:
    """The complete ``eta`` of the training and validation rows, and what is to be said about it.

    ``parts`` gives the columns of any other rows, where the log brought none of them along.
    """

    train: Columns
    val: Columns
    report: dict[str, Any]
    parts: dict[str, Part]

    @property
    def whole(self) -> bool:
        """Whether the columns of any other rows can be given, too."""
        return self.parts.keys() == self.report.keys()


@dataclass(frozen=True)
class Fit:
    """A nuisance on one log: its values on training and validation rows, its networks, a report."""

    train: Tensor
    val: Tensor
    nets: tuple[Net, ...]  # whose mean logit it is, the calibration included
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

    @property
    def standardised(self) -> tuple[Feedback, Feedback]:
        """Training and validation rows with the features as networks see them."""
        train, val, inputs = self.narrow
        here, there = (replace(d, x=inputs.x(d.x, torch.float32)) for d in (train, val))
        return here, there

    def settings(self, nu: Nuisance) -> Train:
        """How a nuisance is trained: with two views its networks are the model, and few rows take more."""
        narrow = narrower(self.train.x.shape[1], self.cfg.nuisance_width)
        usual = max(USUAL, passes(len(self.train), 1024)) if nu.views == "both" else USUAL
        epochs = round((self.cfg.nuisance_epochs or usual) * min(4.0, narrow))
        return replace(self.cfg, epochs=epochs, lr=self.cfg.nuisance_lr * narrow)

    def views(self, nu: Nuisance) -> tuple[tuple[Problem, Train], ...]:
        """One network a fold, each trained on the rows of the other folds, for every view of the features."""
        cfg = self.settings(nu)
        found = [(Problem(nu.name, nu, *self.narrow, self.fold), cfg)]
        if nu.views == "both":
            whole = Problem(f"whole.{nu.name}", nu, self.train, self.val, self.inputs, self.fold)
            found.append((whole, replace(cfg, hidden=BOTTLENECK)))
        return tuple(found)

    @cached_property
    def projection(self) -> Tensor | None:
        """(d, width) from standardised features to what networks on the leading directions see."""
        return None if self.basis is None else (self.basis.float() * self.narrow[2].x.scale).cpu()


# a nuisance before clipping -> its fit, or its error
Fitted = dict[Nuisance, Fit | TruewardError]


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
    views = [asked[k][0].views(nu) for k, nu in wanted]
    # the leading view is one network where another nuisance of that name is trained as long
    keys = [
        [(k, replace(nu, views="leading"), i, cfg.epochs) for i, (_, cfg) in enumerate(each)]
        for (k, nu), each in zip(wanted, views, strict=True)
    ]
    runs: dict[object, tuple[Problem, Train]] = {}
    for own, each in zip(keys, views, strict=True):
        runs |= zip(own, each, strict=True)
    states = train_nets([p for p, _ in runs.values()], [cfg for _, cfg in runs.values()], threads)
    by_key = dict(zip(runs, states, strict=True))
    trained = [[by_key[key] for key in own] for own in keys]

    def predicted(i: int) -> Fit | TruewardError:
        good = [state for state in trained[i] if not isinstance(state, TruewardError)]
        if len(good) < len(trained[i]):
            return next(state for state in trained[i] if isinstance(state, TruewardError))
        return _out_of_fold([p for p, _ in views[i]], good, asked[wanted[i][0]][0].cfg.seed)

    for (k, nu), fit in zip(
        wanted, in_threads(predicted, range(len(wanted)), threads), strict=True
    ):
        found[k][nu] = fit
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
    train, val, fitted = ground.train, ground.val, fitted or {}
    report: dict[str, Any] = {}
    parts: dict[str, Part] = {}
    for nu in method.nuisances:
        if isinstance(nu, Nuisance):
            if nu.name not in train.eta:
                fit = _fit(nu, ground, fitted, checkpoints, progress)
                parts[nu.name] = fit.nets
                train, val = _with(train, {nu.name: fit.train}), _with(val, {nu.name: fit.val})
                report[nu.name] = fit.report
            else:
                report[nu.name] = {"logged": True}
            if nu.clip:
                clip, target = Clip(nu.clip), nu.target(train)
                report[nu.name] |= clip.report(train.eta[nu.name], target)
                train, val = (_with(d, {nu.name: clip(d.eta[nu.name])}) for d in (train, val))
        elif set(nu.columns) <= set(train.eta):
            report[nu.name] = {"logged": True}
        elif isinstance(nu, Computed):
            rows = ground.standardised if nu.features else (bare(train), bare(val))
            here, there = (
                replace(d, eta=now.eta) for d, now in zip(rows, (train, val), strict=True)
            )
            at, report[nu.name] = nu.fit(here, there, ground.cfg.seed)
            parts[nu.name] = {k: v.cpu() for k, v in at.items()}
            last = method.composed and nu is method.nuisances[-1]
            if not (last and parts.keys() == report.keys()):  # else nobody reads it on these rows
                train, val = _with(train, nu.apply(at, here)), _with(val, nu.apply(at, there))
        else:
            g = torch_stream(ground.cfg.seed, "population", nu.name)
            sample = population(every(train), train.weight, g)
            seen = bare(train) if not parts else _with(bare(train), {"fold": ground.fold})
            numbers, report[nu.name] = nu.compute(seen[sample], ground.cfg.seed)
            parts[nu.name] = {k: torch.tensor(v) for k, v in numbers.items()}
            train, val = (
                _with(d, {k: torch.full_like(d.y, v) for k, v in numbers.items()})
                for d in (train, val)
            )
    return Estimated(train.eta, val.eta, report, parts)


def _fit(
    nu: Nuisance,
    ground: Ground,
    fitted: Fitted,
    checkpoints: Checkpoints | None,
    progress: Progress | None,
) -> Fit:
    """The fit of a nuisance, unclipped: the one that there is, or a new one."""
    plain = _unclipped(nu)
    if plain not in fitted:
        views = ground.views(plain)
        states = [train_net(p, cfg, checkpoints, progress) for p, cfg in views]
        fitted[plain] = _out_of_fold([p for p, _ in views], states, ground.cfg.seed)
    fit = fitted[plain]
    if isinstance(fit, TruewardError):
        raise fit
    return fit


def _unclipped(nu: Nuisance) -> Nuisance:
    return replace(nu, clip=0.0)


def _with(data: Feedback, columns: dict[str, Tensor]) -> Feedback:
    return replace(data, eta=data.eta | Columns(columns))


def _out_of_fold(problems: Sequence[Problem], states: Sequence[State], seed: int) -> Fit:
    """Calibrated P(target), from the mean logit of the views of the features.

    Every training row is seen by the members that have not seen its prompt, validation rows by all.
    """
    nu, train, fold = problems[0].method, problems[0].train, problems[0].fold
    assert isinstance(nu, Nuisance)
    assert fold is not None
    here, there = torch.zeros(len(train)), torch.zeros(len(problems[0].val))
    for problem, state in zip(problems, states, strict=True):
        for m in range(int(fold.max()) + 1):
            own = (fold == m).nonzero().squeeze(-1)
            seen = predict(problem, state.net.member(m), problem.train, own)
            here[own] += seen.reward[0].cpu() / len(problems)
        there += predict(problem, state.net, problem.val).reward.mean(0).cpu() / len(problems)
    g = torch_stream(seed, "population", nu.name)
    rows, target = population(nu.rows(train), train.weight, g), nu.target(train).cpu()
    slope, offset = platt(here[rows], target[rows])
    p, shown = (torch.sigmoid(slope * v + offset).to(train.y) for v in (here, there))
    about = {
        "logged": False,
        "folds": int(fold.max()) + 1,
        "rows": len(rows),
        "calibration": {"slope": slope, "offset": offset},
        "calibration_bins": calibration_bins(p.cpu()[rows], target[rows]),
    }
    if slope == 0:
        about["warning"] = f"the features do not predict {nu.name} out of fold: it is a constant"
    nets = tuple(state.net.scaled(slope, offset) for state in states)
    return Fit(p, shown, nets, about)


def calibration_bins(p: Tensor, target: Tensor, bins: int = 10) -> list[dict[str, float]]:
    """Mean prediction against mean outcome in ``bins`` groups of equal size."""
    parts = p.argsort().tensor_split(min(bins, max(1, len(p))))
    return [
        {"predicted": float(p[i].mean()), "observed": float(target[i].mean()), "rows": len(i)}
        for i in parts
        if len(i)
    ]
