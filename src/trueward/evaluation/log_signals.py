"""Columns of a log for regressions on labels: the model's score, every signal, the features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from trueward.core.errors import TruewardError
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Columns, Feedback
from trueward.data.splits import split_rows
from trueward.estimation.signals import LogSignals
from trueward.fitting.crossfit import CrossFitData, fit_nuisances
from trueward.training.config import Train
from trueward.training.preprocessing import InputTransform, principal_directions, project

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

WIDTH = 256  # leading directions of the features


def evidence_columns(s: Array, log: Feedback, seed: int) -> tuple[Array, Array]:
    """Build the columns that predict a label: scores, signals given x, what was logged, and features.

    Parameters
    ----------
    s : (n,) array
        Scores of the model, as log-odds.
    log : Feedback
        The log, with n rows.
    seed : int
        Seed of the folds.

    Returns
    -------
    table : (n, k) array
        The scores; the log-odds of every signal given x; feedback, channels and context as logged. All
        columns are centred, and all but the scores have standard deviation 1, over the population that the
        weights of the log describe.
    directions : (n, d) array
        The features in at most 256 leading directions; the mean square length of a row is 1.

    """
    signals = LogSignals.of(LogCapabilities.from_feedback(log))
    log_odds = signals.log_odds(signal_probabilities(log, seed))
    columns = [torch.from_numpy(s), *log_odds.values()]
    if log.o is None:
        columns.append(log.y)
    else:
        columns += [log.o * log.y, log.o * (1 - log.y)]
    columns += [v.nan_to_num() for v in log.channels.values()]
    if log.z is not None:
        columns += list(log.z.T)
    table = torch.stack([v.double().cpu() for v in columns], 1)
    share = (log.row_weight / log.row_weight.sum()).cpu()
    table -= share @ table
    table[:, 1:] /= (share @ table[:, 1:].square()).sqrt().clamp(min=1e-9)
    return table.numpy(), leading_directions(log.x)


def signal_probabilities(log: Feedback, seed: int) -> Columns:
    """Fit the probability of every signal of a log given x, out of fold.

    Parameters
    ----------
    log : Feedback
        The log, with n rows. A probability that is a column of ``log.eta`` already is taken as it is.
    seed : int
        Seed of the folds and of the networks.

    Returns
    -------
    Columns
        (n,) probabilities by the name of their nuisance, such as ``noisy``, ``responds`` or a channel.

    Raises
    ------
    TruewardError
        If a signal cannot be fitted, for example because it is constant.

    """
    signals = LogSignals.of(LogCapabilities.from_feedback(log))
    logged = {nu.name for nu in signals.nuisances} & set(log.eta)
    eta = Columns({name: log.eta[name].cpu() for name in logged})
    if len(logged) == len(signals.nuisances):
        return eta
    cfg = Train(seed=seed)
    parts = split_rows(len(log), 0.2, seed, log.group, log.labels)
    rest, held = (part[log[part].row_order()] for part in parts)
    train, val = log[rest], log[held]
    data = CrossFitData(train, val, InputTransform.fit(train, cfg.dtype()), cfg)
    (fitted,) = fit_nuisances([(data, [signals])])
    for nu, fit in fitted.items():
        if isinstance(fit, TruewardError):
            raise fit
        eta[nu.name] = torch.empty(len(log))
        eta[nu.name][rest], eta[nu.name][held] = fit.train.cpu(), fit.val.cpu()
    return eta


def leading_directions(x: torch.Tensor) -> Array:
    """Project (n, d) features on at most 256 leading directions; a row has mean square length 1.

    Parameters
    ----------
    x : (n, d) Tensor
        Features.

    Returns
    -------
    (n, k) array
        Projections on k <= 256 directions, with mean 0, in double precision.

    """
    transform = InputTransform.fit(Feedback(x, torch.zeros(len(x))), torch.float32)
    wide = x.shape[1] > WIDTH
    v = (
        project(x, transform, principal_directions(x, transform, WIDTH, 0))
        if wide
        else transform.x(x, torch.float32)
    )
    v = v.double() - v.double().mean(0)
    return np.asarray((v / v.square().sum(1).mean().sqrt().clamp(min=1e-12)).cpu().numpy())
