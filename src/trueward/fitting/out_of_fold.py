"""The nuisances of a method on the rows of a log: logged, or estimated out of fold, then clipped."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from trueward.core.errors import TruewardError
from trueward.core.random import torch_stream
from trueward.estimation.nuisance_types import Computed, Nuisance
from trueward.estimation.nuisances import Clip
from trueward.estimation.samplers import every, population
from trueward.estimation.user_intercepts import USER_OFFSET, user_column
from trueward.model.nuisance_columns import fill_nuisances, with_columns
from trueward.training.problem import without_features

from .crossfit import fit_nuisance, unclipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from trueward.data.feedback import Columns, Feedback
    from trueward.estimation.method import Method
    from trueward.estimation.nuisance_types import Derived, Estimable, Parameters
    from trueward.model.composed_model import FittedNuisance
    from trueward.model.nuisance_columns import Splits
    from trueward.training.checkpoints import Checkpoints
    from trueward.training.loop import Progress

    from .crossfit import CrossFitData, NuisanceFits


@dataclass(frozen=True)
class OutOfFoldNuisances:
    """The complete ``eta`` of training and validation rows.

    Attributes
    ----------
    train, val : Columns
        ``eta`` of the training and of the validation rows.
    report : dict
        Nuisance -> how it was estimated, or ``{"logged": True}``.
    parts : dict
        Nuisance -> its networks or parameters, of those that were estimated.
    users : dict
        ``ratings`` and ``reactions`` -> how users differ, of those that were asked for.

    """

    train: Columns
    val: Columns
    report: dict[str, Any]
    parts: dict[str, FittedNuisance]
    users: dict[str, Any] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether ``parts`` gives every nuisance on any other rows, too."""
        return self.parts.keys() == self.report.keys()


def estimate_nuisances(
    method: Method,
    data: CrossFitData,
    fits: NuisanceFits | None = None,
    checkpoints: Checkpoints | None = None,
    progress: Progress | None = None,
) -> OutOfFoldNuisances:
    """Estimate the nuisances that the log lacks; a logged one is used as it is, clipped.

    Parameters
    ----------
    method : Method
        The method, whose nuisances these are.
    data : CrossFitData
        The rows.
    fits : NuisanceFits, optional
        Fits that are there already; new ones are added.
    checkpoints : Checkpoints, optional
        Where the training state is saved and resumed from.
    progress : Progress, optional
        Called after every epoch.

    Raises
    ------
    TruewardError
        If a nuisance cannot be fitted.

    """
    estimates = _Estimates(data, {} if fits is None else fits, checkpoints, progress)
    splits = (data.train, data.val)
    # a composed reward's last column is computed on these rows by nobody
    unread = method.composed and not any(_logged(nu, data) for nu in method.nuisances)
    train, val = fill_nuisances(method.nuisances, splits, estimates, apply_last=not unread)
    report = {}
    for nu in method.nuisances:
        report[nu.name] = dict(estimates.reports.get(nu.name, {"logged": True}))
        if isinstance(nu, Nuisance) and nu.clip:
            p = estimates.unclipped.get(nu.name, data.train.eta.get(nu.name))
            assert p is not None
            report[nu.name] |= Clip(nu.clip).report(p, nu.target(data.train), data.train.weight)
    more = {user_column(k): v for k, v in estimates.of_users.items()}
    offsets = data.users.offsets(method.users, apart=False)
    if offsets is not None:
        more[USER_OFFSET] = offsets
    train, val = (
        with_columns(d, {k: v[i] for k, v in more.items()}) for i, d in enumerate((train, val))
    )
    users: dict[str, Any] = dict(data.users.reports)
    if estimates.of_users:
        users["folds"] = data.folds.why
    return OutOfFoldNuisances(train.eta, val.eta, report, estimates.parts, users)


def _logged(nuisance: Estimable, data: CrossFitData) -> bool:
    columns = [nuisance.name] if isinstance(nuisance, Nuisance) else nuisance.columns
    return set(columns) <= set(data.train.eta)


@dataclass
class _Estimates:
    """Estimates a nuisance when the walk over the nuisances reaches it."""

    data: CrossFitData
    fits: NuisanceFits
    checkpoints: Checkpoints | None
    progress: Progress | None
    parts: dict[str, FittedNuisance] = field(default_factory=dict)
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    unclipped: dict[str, Tensor] = field(default_factory=dict)
    of_users: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def probabilities(self, nuisance: Nuisance, splits: Splits) -> Sequence[Tensor]:
        """P(target) out of fold, from the fit that is there or a new one."""
        plain = unclipped(nuisance)
        fit = self.fits.get(plain)
        if fit is None:
            earlier = (splits[0].eta, splits[1].eta)
            fit = fit_nuisance(plain, self.data, self.checkpoints, self.progress, earlier)
            if not plain.inverse:  # the fit depends on the clip of its weights
                self.fits[plain] = fit
        if isinstance(fit, TruewardError):
            raise fit
        self.parts[nuisance.name], self.reports[nuisance.name] = fit.nets, fit.report
        self.unclipped[nuisance.name] = fit.train
        if fit.of_users is not None:
            self.of_users[nuisance.name] = fit.of_users
        return fit.train, fit.val

    def parameters(self, nuisance: Derived | Computed, splits: Splits) -> Parameters:
        """Parameters from the training rows."""
        seed = self.data.cfg.seed
        if isinstance(nuisance, Computed):
            train, val = self.rows(nuisance, splits)
            parameters, report = nuisance.fit(self.with_context(train), val, seed)
        else:
            train = without_features(splits[0])
            sample = population(
                every(train), train.weight, torch_stream(seed, "population", nuisance.name)
            )
            train = self.with_context(train)
            # resampled by weight: the rows are equal now, and copies of a row belong together
            rows = train[sample]
            if train.weight is not None:
                group = sample.to(train.y.device) if rows.group is None else rows.group
                rows = replace(rows, weight=None, group=group)
            numbers, report = nuisance.compute(rows, seed)
            parameters = {k: torch.tensor(v) for k, v in numbers.items()}
        self.parts[nuisance.name] = {k: v.cpu() for k, v in parameters.items()}
        self.reports[nuisance.name] = report
        return parameters

    def with_context(self, train: Feedback) -> Feedback:
        """Add the fold and the intercepts of users to the training rows, where a network was fitted."""
        if not self.parts:
            return train
        own = {user_column(k): v[0] for k, v in self.of_users.items()}
        return with_columns(train, {"fold": self.data.fold, **own})

    def rows(self, nuisance: Computed, splits: Splits) -> Splits:
        """The rows with standardised features where the nuisance reads them, else without features."""
        if not nuisance.features:
            return tuple(map(without_features, splits))
        return tuple(
            replace(rows, eta=d.eta) for rows, d in zip(self.data.standardized, splits, strict=True)
        )
