"""Cross-fitting: networks that predict a nuisance out of fold, by prompt, calibrated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trueward.core.errors import TruewardError
from trueward.core.random import stream_seed, torch_stream
from trueward.core.threads import in_threads
from trueward.estimation.nuisance_types import Nuisance
from trueward.estimation.nuisances import platt
from trueward.estimation.pair_scores import pair_calibration
from trueward.estimation.samplers import population
from trueward.estimation.user_intercepts import USER_OFFSET
from trueward.model.nuisance_columns import with_columns
from trueward.training.config import Train, default_epochs, width_factor
from trueward.training.loop import Progress, train_net, train_nets
from trueward.training.preprocessing import (
    InputTransform,
    Standardizer,
    principal_directions,
    project,
)
from trueward.training.problem import TrainingProblem
from trueward.training.step import predict

from .folds import Folds
from .user_calibration import UserCalibration
from .user_offsets import UserEffects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueward.data.feedback import Columns, Feedback
    from trueward.estimation.method import Method
    from trueward.estimation.signals import LogSignals
    from trueward.training.checkpoints import Checkpoints
    from trueward.training.networks import Net
    from trueward.training.training_state import TrainingState


EPOCHS = 5  # of a nuisance, where none are given
ENOUGH_RATED = 200  # rated rows, from which folds may be as uneven as users are
BOTTLENECK = (32, 32)  # hidden layers of the second view, on all features


@dataclass(frozen=True)
class NuisanceFit:
    """A nuisance fitted on one log.

    Attributes
    ----------
    train, val : Tensor
        (n,) P(target) of the training rows, out of fold, and of the validation rows; not clipped.
    nets : tuple of Net
        One network a view of the features, calibrated; their mean logit is that of P.
    report : dict
        Folds, rows, calibration and its bins, warnings.
    of_users : tuple of Tensor or None
        (n,) and (n_val,) intercepts of the rows' users in the log-odds of P, where users differ.

    """

    train: Tensor
    val: Tensor
    nets: tuple[Net, ...]
    report: dict[str, Any]
    of_users: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True)
class CrossFitData:
    """What the nuisances of one log are fitted on, with folds and features computed when first used.

    Attributes
    ----------
    train, val : Feedback
        Training and validation rows.
    transform : InputTransform
        Standardisation of all features.
    cfg : Train
        Settings: seed, folds, ``nuisance_*``.

    """

    train: Feedback
    val: Feedback
    transform: InputTransform
    cfg: Train

    @cached_property
    def folds(self) -> Folds:
        """Folds of the training rows, by prompt, and by user where users differ and share few prompts."""
        seed = stream_seed(self.cfg.seed, "folds")
        by_user = self.users.in_use and float(self.train.seen.sum()) >= ENOUGH_RATED
        return Folds.of(self.train, self.cfg.folds, seed, by_user=by_user)

    @property
    def fold(self) -> Tensor:
        """(n,) fold of every training row."""
        return self.folds.fold

    @cached_property
    def users(self) -> UserEffects:
        """How the users differ in what they say and in who reacts."""
        return UserEffects(
            self.train, self.val, self.cfg, lambda: self.standardized[0].x, lambda: self.fold
        )

    @cached_property
    def basis(self) -> Tensor | None:
        """(d, nuisance_width) principal directions of wider features; None where they are not wider."""
        x, width = self.train.x, self.cfg.nuisance_width
        if x.shape[1] <= width:
            return None
        return principal_directions(x, self.transform, width, self.cfg.seed)

    @cached_property
    def reduced(self) -> tuple[Feedback, Feedback, InputTransform]:
        """Training and validation rows in the principal directions, and their standardisation."""
        basis = self.basis
        if basis is None:
            return self.train, self.val, self.transform
        train, val = (
            replace(d, x=project(d.x, self.transform, basis)) for d in (self.train, self.val)
        )
        return train, val, replace(self.transform, x=Standardizer.fit_common_scale(train.x))

    @property
    def standardized(self) -> tuple[Feedback, Feedback]:
        """Training and validation rows with the standardised features that networks on them read."""
        train, val, transform = self.reduced
        rows, held = (replace(d, x=transform.x(d.x, torch.float32)) for d in (train, val))
        return rows, held

    @cached_property
    def projection(self) -> Tensor | None:
        """(d, k) from standardised features to the inputs of networks on the principal directions."""
        if self.basis is None:
            return None
        return (self.basis.float() * self.reduced[2].x.scale).cpu()

    def settings(self, nuisance: Nuisance) -> Train:
        """Return the training settings of a nuisance.

        A nuisance with both views is part of the reward, so few rows take more epochs.

        Parameters
        ----------
        nuisance : Nuisance
            The nuisance.

        """
        narrow = width_factor(self.train.x.shape[1], self.cfg.nuisance_width)
        both = nuisance.views == "both"
        epochs = max(EPOCHS, default_epochs(len(self.train), 1024)) if both else EPOCHS
        epochs = round((self.cfg.nuisance_epochs or epochs) * min(4.0, narrow))
        return replace(self.cfg, epochs=epochs, lr=self.cfg.nuisance_lr * narrow)

    def problems(
        self, nuisance: Nuisance, earlier: tuple[Columns, Columns] | None = None
    ) -> tuple[tuple[TrainingProblem, Train], ...]:
        """Return a training problem with its settings for every view of the features.

        Each has one ensemble member a fold, which trains on the rows of the other folds, unless the nuisance
        is not cross-fitted: then it is one network, trained as a reward.

        Parameters
        ----------
        nuisance : Nuisance
            The nuisance.
        earlier : tuple of Columns, optional
            ``eta`` of the training and the validation rows, for a nuisance that an earlier one weights.

        """
        offsets = self.users.offsets(nuisance.users, apart=nuisance.cross_fit)
        fold = self.fold if nuisance.cross_fit else None

        def problem(
            stage: str, train: Feedback, val: Feedback, transform: InputTransform
        ) -> TrainingProblem:
            if earlier is not None and nuisance.inverse:
                weights = ({nuisance.inverse: eta[nuisance.inverse]} for eta in earlier)
                train, val = map(with_columns, (train, val), weights)
            if offsets is not None:
                pairs = zip((train, val), offsets, strict=True)
                train, val = (with_columns(d, {USER_OFFSET: part}) for d, part in pairs)
            return TrainingProblem.on_features(stage, nuisance, train, val, transform, fold)

        everything = self.train, self.val, self.transform
        if not nuisance.cross_fit:
            as_reward = "reward" if nuisance.views == "all" else None
            one = replace(problem(nuisance.name, *everything), streams=as_reward)
            return ((one, replace(self.cfg, members=1)),)
        cfg = self.settings(nuisance)
        problems = [(problem(nuisance.name, *self.reduced), cfg)]
        if nuisance.views == "both":
            whole = problem(f"whole.{nuisance.name}", *everything)
            problems.append((whole, replace(cfg, hidden=BOTTLENECK)))
        return tuple(problems)


# a nuisance before clipping -> its fit, or the error that ended it
NuisanceFits = dict[Nuisance, NuisanceFit | TruewardError]


def unclipped(nuisance: Nuisance) -> Nuisance:
    """Return the nuisance without its clip: methods with different clips share a fit.

    Parameters
    ----------
    nuisance : Nuisance
        A nuisance of a method.

    Returns
    -------
    Nuisance
        A copy with ``clip=0``.

    """
    return replace(nuisance, clip=0.0)


def fit_nuisance(
    nuisance: Nuisance,
    data: CrossFitData,
    checkpoints: Checkpoints | None = None,
    progress: Progress | None = None,
    earlier: tuple[Columns, Columns] | None = None,
) -> NuisanceFit:
    """Fit one nuisance out of fold.

    Parameters
    ----------
    nuisance : Nuisance
        The nuisance.
    data : CrossFitData
        The rows.
    checkpoints : Checkpoints, optional
        Where the training state is saved and resumed from.
    progress : Progress, optional
        Called after every epoch.
    earlier : tuple of Columns, optional
        As for `CrossFitData.problems`.

    """
    problems = data.problems(nuisance, earlier)
    states = [train_net(p, cfg, checkpoints, progress) for p, cfg in problems]
    return out_of_fold([p for p, _ in problems], states, data.cfg.seed)


def fit_nuisances(
    requests: Sequence[tuple[CrossFitData, Sequence[Method | LogSignals]]], threads: int = 1
) -> list[NuisanceFits]:
    """Fit the nuisances that methods or signals need and logs lack, each once a log, for all logs at once.

    Those that another nuisance weights are left out, since they need its estimate.

    Parameters
    ----------
    requests : sequence of (CrossFitData, sequence of Method or LogSignals)
        Logs, and what is to be fitted on each.
    threads : int, default 1
        Number of stacks of networks trained at once.

    Returns
    -------
    list of NuisanceFits
        The fits of each log.

    """
    results: list[NuisanceFits] = [{} for _ in requests]
    missing: list[tuple[int, Nuisance]] = []
    for k, (data, methods) in enumerate(requests):
        needed = (unclipped(n) for m in methods for n in m.nuisances if isinstance(n, Nuisance))
        missing += [
            (k, nu)
            for nu in dict.fromkeys(
                n for n in needed if not n.inverse and n.name not in data.train.eta
            )
        ]
    views = [requests[k][0].problems(nu) for k, nu in missing]
    # nuisances that differ in their views alone share the network on the leading view
    keys = [
        [(k, replace(nu, views="leading"), i, cfg.epochs) for i, (_, cfg) in enumerate(each)]
        for (k, nu), each in zip(missing, views, strict=True)
    ]
    runs: dict[object, tuple[TrainingProblem, Train]] = {}
    for own, each in zip(keys, views, strict=True):
        runs |= zip(own, each, strict=True)
    states = train_nets([p for p, _ in runs.values()], [cfg for _, cfg in runs.values()], threads)
    by_key = dict(zip(runs, states, strict=True))
    trained = [[by_key[key] for key in own] for own in keys]

    def predicted(i: int) -> NuisanceFit | TruewardError:
        good = [state for state in trained[i] if not isinstance(state, TruewardError)]
        if len(good) < len(trained[i]):
            return next(state for state in trained[i] if isinstance(state, TruewardError))
        return out_of_fold([p for p, _ in views[i]], good, requests[missing[i][0]][0].cfg.seed)

    fits = in_threads(predicted, range(len(missing)), threads)
    for (k, nu), fit in zip(missing, fits, strict=True):
        results[k][nu] = fit
    return results


def out_of_fold(
    problems: Sequence[TrainingProblem], states: Sequence[TrainingState], seed: int
) -> NuisanceFit:
    """Predict a nuisance from the mean logit of its views, and calibrate it on the rows with the target.

    The member of a fold has not trained on its prompts and predicts its rows; validation rows have the
    mean logit of all members.

    Parameters
    ----------
    problems : sequence of TrainingProblem
        One a view, with folds.
    states : sequence of TrainingState
        Their trained networks.
    seed : int
        Draws the rows of the calibration, in proportion to their weights.

    """
    nuisance, train, fold = problems[0].objective, problems[0].train, problems[0].fold
    assert isinstance(nuisance, Nuisance)
    if fold is None:
        return _one_network(problems[0], states[0])
    held, val = torch.zeros(len(train)), torch.zeros(len(problems[0].val))
    for problem, state in zip(problems, states, strict=True):
        members = predict(problem, state.net, problem.val_source).reward.cpu()
        val += members.mean(0) / len(problems)
        levels = members.mean(1) - members.mean()
        for m in range(int(fold.max()) + 1):
            own = (fold == m).nonzero().squeeze(-1)
            out = predict(problem, state.mlp.member(m), problem.train_source, own)
            held[own] += (out.reward[0].cpu() - levels[m]) / len(problems)
    if nuisance.pairs:
        return _pair_score(nuisance, train, held, val, [state.mlp for state in states])
    g = torch_stream(seed, "population", nuisance.name)
    rows = population(nuisance.rows(train), train.weight, g)
    target = nuisance.target(train).cpu()
    users = None
    if USER_OFFSET in train.eta:
        users = UserCalibration.of(held, nuisance.users, train, problems[0].val)
    if users is None or nuisance.average_user or nuisance.inverse:
        weight = 1 / train.eta[nuisance.inverse].cpu()[rows] if nuisance.inverse else None
        slope, offset = platt(held[rows], target[rows], weight)
    else:
        slope, offset = users.slope, users.offset
    p, p_val = (torch.sigmoid(slope * v + offset).to(train.y) for v in (held, val))
    report = {
        "logged": False,
        "folds": int(fold.max()) + 1,
        "rows": len(rows),
        "calibration": {"slope": slope, "offset": offset},
        "calibration_bins": calibration_bins(p.cpu()[rows], target[rows]),
    }
    if slope == 0:
        report["warning"] = (
            f"the features do not predict {nuisance.name} out of fold: it is a constant"
        )
    nets = tuple(state.mlp.scaled(slope, offset) for state in states)
    if users is None:
        return NuisanceFit(p, p_val, nets, report)
    report["tau"] = users.tau
    own, own_val = (v.to(train.y) for v in users.own)
    return NuisanceFit(p, p_val, nets, report, (own, own_val))


def _pair_score(
    nuisance: Nuisance, train: Feedback, held: Tensor, val: Tensor, nets: Sequence[Net]
) -> NuisanceFit:
    """Scale a score of comparisons so that differences are log-odds out of fold; its mean is 0."""
    assert train.pairs is not None
    pairs = train.pairs.from_source(nuisance.pairs)
    slope, report, predicted = pair_calibration(held, pairs, train.group)
    report["calibration_bins"] = calibration_bins(*predicted)
    offset = -slope * float(held.double().mean())
    p, p_val = (torch.sigmoid(slope * v.double() + offset).to(train.y) for v in (held, val))
    return NuisanceFit(p, p_val, tuple(net.scaled(slope, offset) for net in nets), report)


def _one_network(problem: TrainingProblem, state: TrainingState) -> NuisanceFit:
    """Predict with one network that was trained on all rows: the training rows not out of fold."""
    sources = (problem.train_source, problem.val_source)
    p, p_val = (
        torch.sigmoid(predict(problem, state.net, s).reward[0].double().cpu()) for s in sources
    )
    assert isinstance(problem.objective, Nuisance)
    report = {"logged": False, "folds": 1, "rows": len(problem.objective.rows(problem.train))}
    return NuisanceFit(p, p_val, (state.mlp.scaled(1.0, 0.0),), report)


def calibration_bins(p: Tensor, target: Tensor, bins: int = 10) -> list[dict[str, float]]:
    """Compare mean prediction and mean outcome in bins of equal size.

    Parameters
    ----------
    p, target : Tensor
        (n,) predictions and outcomes.
    bins : int, default 10
        Number of bins.

    Returns
    -------
    list of dict
        ``predicted``, ``observed`` and ``rows`` of every bin.

    """
    parts = p.argsort().tensor_split(min(bins, max(1, len(p))))
    return [
        {"predicted": float(p[i].mean()), "observed": float(target[i].mean()), "rows": len(i)}
        for i in parts
        if len(i)
    ]
