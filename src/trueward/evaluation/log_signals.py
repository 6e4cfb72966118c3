"""What a log says of every response, as columns: the model's score, every signal, the features."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from trueward.core.errors import TruewardError
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Columns, Feedback, split_rows
from trueward.estimators.anchored import Anchored
from trueward.fitting.crossfit import Ground, fit_together
from trueward.fitting.fit import configure
from trueward.training.preprocessing import Inputs, leading, reduced

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

WIDTH = 256  # leading directions of the features


def evidence(s: Array, log: Feedback, seed: int) -> tuple[Array, Array]:
    """(n, k) log-odds of the model and of the signals given x, and what was logged; (n, d) features."""
    said = _reader(log).signalled(replace(log, eta=signals(log, seed)))
    columns = [torch.from_numpy(s), *said.values()]
    if log.o is None:
        columns.append(log.y)
    else:
        columns += [log.o * log.y, log.o * (1 - log.y)]
    columns += [v.nan_to_num() for v in log.channels.values()]
    if log.z is not None:
        columns += list(log.z.T)
    table = torch.stack([v.double().cpu() for v in columns], 1)
    table -= table.mean(0)
    table[:, 1:] /= table[:, 1:].std(0, correction=0).clamp(min=1e-9)
    return table.numpy(), directions(log.x)


def signals(log: Feedback, seed: int) -> Columns:
    """(n,) chance of every signal given x, out of fold, as `anchored` takes them for evidence.

    One that is a column of ``log.eta`` already is taken as it is.
    """
    made = _reader(log)
    _, cfg = configure(made, {"seed": seed})
    rest, held = split_rows(len(log), 0.2, seed, log.group)
    train, val = log[rest], log[held]
    ground = Ground(train, val, Inputs.of(train, cfg.dtype()), cfg)
    (fitted,) = fit_together([(ground, [made])])
    known = {nu.name for nu in made.nuisances} & set(log.eta)
    eta = Columns({name: log.eta[name].cpu() for name in known})
    for nu, fit in fitted.items():
        if isinstance(fit, TruewardError):
            raise fit
        eta[nu.name] = torch.empty(len(log))
        eta[nu.name][rest], eta[nu.name][held] = fit.train.cpu(), fit.val.cpu()
    return eta


def _reader(log: Feedback) -> Anchored:
    made, _ = Anchored().resolve(LogCapabilities.of(log))
    assert isinstance(made, Anchored)
    return made


def directions(x: torch.Tensor) -> Array:
    """(n, d) features in leading directions, of mean square length 1."""
    inputs = Inputs.of(Feedback(x, torch.zeros(len(x))), torch.float32)
    wide = x.shape[1] > WIDTH
    v = reduced(x, inputs, leading(x, inputs, WIDTH, 0)) if wide else inputs.x(x, torch.float32)
    v = v.double() - v.double().mean(0)
    return np.asarray((v / v.square().sum(1).mean().sqrt().clamp(min=1e-12)).cpu().numpy())
