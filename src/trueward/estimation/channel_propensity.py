"""P(channel fires given satisfied, x): a logistic regression on rows where another channel fired."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trueward.core.random import torch_stream

from .gold_regression import SCALE_ALONE
from .gold_report import posterior_warnings
from .nuisance_types import Computed, Nuisance
from .nuisances import Clip
from .regression_design import CHUNK, NO_FEATURES, design, row_weights, scaling
from .ridge_logistic import (
    CoefficientPrior,
    RegressionData,
    average_coefficients,
    feature_sd_posterior,
)

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.feedback import Feedback

    from .nuisance_types import Estimable, Parameters

CLIP = Clip(0.005)  # of an activity: it bounds the reward at 200 times the rate of clicks
CLIPPED = 0.01  # share of raised rows that is worth a warning
FEW_FIRES = 20  # rows of either kind that a regression needs to say something
MOST_ROWS = 10_000  # rows of the regression, of each part of the log
WITH_NETWORK = CoefficientPrior(ridge=1.0, centre=(0.0,), sign=(0.0,))
FEATURES_ONLY = CoefficientPrior(ridge=1.0, centre=(), sign=())


def activity_column(name: str) -> str:
    """Return the name of the column that holds the activity of channel ``name``.

    Parameters
    ----------
    name : str
        The channel, without the prefix ``channel.``.

    Returns
    -------
    str
        ``activity.NAME``.

    """
    return f"activity.{name}"


@cache
def network(name: str, names: tuple[str, ...], reads: str) -> Nuisance:
    """Return the nuisance P(channel fires given x and that another channel fired).

    Parameters
    ----------
    name : str
        The channel.
    names : tuple of str
        All channels, ``name`` among them.
    reads : str
        What activity depends on: ``x`` or ``xz``.

    Returns
    -------
    Nuisance
        Called ``network.NAME``.

    """
    others = [k for k in names if k != name]

    def fired(b: Feedback) -> Tensor:
        return b.channels[name].nan_to_num()

    def satisfied(b: Feedback) -> Tensor:
        another = torch.stack([b.channels[k].nan_to_num() for k in others]).amax(0) > 0
        return (another & ~b.channels[name].isnan()).nonzero().squeeze(-1).cpu()

    return Nuisance(name=f"network.{name}", target=fired, where=satisfied, reads=reads)


def activity(name: str, names: tuple[str, ...], reads: str = "x") -> tuple[Estimable, ...]:
    """Return the nuisances that give a(x) = P(channel fires given satisfied, x) (methods 4.3).

    a(x) = sigmoid(b_0 + b n(x) + w . x), fitted on rows where another channel fired, whose users are
    satisfied. n is the logit of `network`; b ~ N(0, 1); w ~ N(0, s^2) over the leading directions of x. s is
    averaged over by its marginal likelihood without n: s is small where the log-odds are not linear in x.
    No folds are needed, since the rows that train a(x) teach the reward the same whatever a(x) is.
    At most 10,000 rows of each part count.

    Parameters
    ----------
    name : str
        The channel.
    names : tuple of str
        All channels, ``name`` among them.
    reads : str
        What activity depends on: ``x`` or ``xz``.

    Returns
    -------
    tuple of Nuisance and Computed
        The network, then the column ``activity.NAME``.

    """
    net = network(name, names, reads)

    def inputs(b: Feedback) -> Tensor:
        n = torch.logit(b.eta[net.name].double(), 1e-6)
        return torch.cat([n[:, None], b.x.double()], 1)

    def fit(train: Feedback, val: Feedback, seed: int) -> tuple[Parameters, dict[str, Any]]:
        parts = [d[_at_most(net.rows(d).to(d.y.device), seed)] for d in (train, val)]
        known = torch.cat([inputs(d) for d in parts])
        parameters = scaling(known, train.x, 1)
        y = torch.cat([net.target(d) for d in parts]).double().cpu().numpy()
        a, group = design(known, parameters).cpu().numpy(), np.arange(len(y))
        rows = RegressionData(a, y, row_weights(parts), group)
        linear = RegressionData(np.delete(a, 1, axis=1), y, rows.weight, group)
        posterior = feature_sd_posterior(linear, FEATURES_ONLY, SCALE_ALONE)
        shares = {s: share for s, (share, _) in posterior.items()}
        estimates = ((share, rows.map_estimate(WITH_NETWORK, s)) for s, share in shares.items())
        w = average_coefficients(estimates, a.shape[1])
        parameters["w"] = torch.from_numpy(w)
        clipped = int((chance(parameters, train) < CLIP.low).sum())
        report = {
            "rows": len(y),
            "fires": int(y.sum()),
            "network": round(float(w[1]), 4),
            "share_of_width": {f"{s:g}": round(q, 4) for s, q in shares.items()},
            "low": CLIP.low,
            "clipped": clipped,
        }
        warnings = posterior_warnings(posterior)
        if not parameters["unit"][1:].any():
            warnings.append(NO_FEATURES)
        if min(y.sum(), len(y) - y.sum()) < FEW_FIRES:
            warnings.append(
                f"channel.{name} fires in {y.sum():.0f} of {len(y)} rows where another channel fires, which "
                "is too few or too many for its activity to be told"
            )
        if clipped > CLIPPED * len(train):
            warnings.append(
                f"the activity of channel.{name} is raised to {CLIP.low:g} in {clipped} of "
                f"{len(train)} rows: the reward of these follows from that bound"
            )
        return parameters, report | ({"warning": "; ".join(warnings)} if warnings else {})

    def chance(parameters: Parameters, b: Feedback) -> Tensor:
        at = {k: v.to(b.x.device) for k, v in parameters.items()}
        chunks = torch.arange(len(b)).split(CHUNK)
        return torch.sigmoid(torch.cat([design(inputs(b[i]), at) @ at["w"] for i in chunks]))

    def apply(parameters: Parameters, b: Feedback) -> dict[str, Tensor]:
        return {activity_column(name): CLIP(chance(parameters, b)).to(b.y)}

    columns = (activity_column(name),)
    return net, Computed(f"activity of {name}", columns, fit, apply, features=True)


def _at_most(rows: Tensor, seed: int) -> Tensor:
    """Draw at most ``MOST_ROWS`` of these rows."""
    order = torch.randperm(len(rows), generator=torch_stream(seed, "activity"))
    return rows[order[:MOST_ROWS].sort().values.to(rows.device)]
