"""How often the satisfied set a channel off: a logistic regression of what those did who set off another."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trueward.core.random import torch_stream

from .gold_regression import (
    ALONE,
    CHUNK,
    Prior,
    Sample,
    averaged,
    design,
    row_weights,
    scaling,
    widths,
)
from .nuisance_types import Computed, Nuisance
from .nuisances import Clip

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.feedback import Feedback

    from .nuisance_types import Estimable, Parameters

CLIP = Clip(0.005)  # of an activity: the reward is as many times the rate of clicks at most
MOST = 10_000  # rows of the regression
BEYOND = Prior(ridge=1.0, centre=(0.0,), sign=(0.0,))  # of the network's coefficient
LINEAR = Prior(ridge=1.0, centre=(), sign=())


def acts(name: str) -> str:
    """The column of a channel's activity."""
    return f"activity.{name}"


@cache
def network(name: str, names: tuple[str, ...], reads: str) -> Nuisance:
    """P(the channel fires given x and that another one did), out of fold, with what bends in it."""
    others = [k for k in names if k != name]

    def fired(b: Feedback) -> Tensor:
        return b.channels[name].nan_to_num()

    def satisfied(b: Feedback) -> Tensor:
        another = torch.stack([b.channels[k].nan_to_num() for k in others]).amax(0) > 0
        return (another & ~b.channels[name].isnan()).nonzero().squeeze(-1).cpu()

    return Nuisance(name=f"network.{name}", target=fired, where=satisfied, reads=reads)


def activity(name: str, names: tuple[str, ...], reads: str = "x") -> tuple[Estimable, ...]:
    """a(x) = sigmoid(b_0 + b n(x) + w . x) of those who set off another channel (methods 4.3).

    n: the log-odds of `network`, b ~ N(0, 1), w ~ N(0, s^2) over the leading directions of x, s averaged
    over by its marginal likelihood without n: where the log-odds are linear in x a line is found, and where
    they are not, s is small and b near 1. Those who train a(x) are known to be satisfied and teach the
    reward the same whatever a(x) is, so it needs no folds. At most 10,000 rows of either part of the log.
    """
    net = network(name, names, reads)

    def seen(b: Feedback) -> Tensor:
        n = torch.logit(b.eta[net.name].double(), 1e-6)
        return torch.cat([n[:, None], b.x.double()], 1)

    def fit(train: Feedback, val: Feedback, seed: int) -> tuple[Parameters, dict[str, Any]]:
        parts = [d[_some(net.rows(d).to(d.y.device), seed)] for d in (train, val)]
        known = torch.cat([seen(d) for d in parts])
        at = scaling(known, train.x, 1)
        y = torch.cat([net.target(d) for d in parts]).double().cpu().numpy()
        a, group = design(known, at).cpu().numpy(), np.arange(len(y))
        both = Sample(a, y, row_weights(parts), group)
        line = Sample(np.delete(a, 1, axis=1), y, both.weight, group)
        shares = {s: share for s, (share, _) in widths(line, LINEAR, ALONE).items()}
        w = averaged(((share, both.mode(BEYOND, s)) for s, share in shares.items()), a.shape[1])
        at["w"] = torch.from_numpy(w)
        about = {
            "rows": len(y),
            "fires": int(y.sum()),
            "network": round(float(w[1]), 4),
            "share_of_width": {f"{s:g}": round(q, 4) for s, q in shares.items()},
            "low": CLIP.low,
            "clipped": int((chance(at, train) < CLIP.low).sum()),
        }
        return at, about

    def chance(at: Parameters, b: Feedback) -> Tensor:
        here = {k: v.to(b.x.device) for k, v in at.items()}
        rows = torch.arange(len(b)).split(CHUNK)
        return torch.sigmoid(torch.cat([design(seen(b[i]), here) @ here["w"] for i in rows]))

    def apply(at: Parameters, b: Feedback) -> dict[str, Tensor]:
        return {acts(name): CLIP(chance(at, b)).to(b.y)}

    return net, Computed(f"activity of {name}", (acts(name),), fit, apply, features=True)


def _some(rows: Tensor, seed: int) -> Tensor:
    """At most ``MOST`` of these rows, drawn at random."""
    order = torch.randperm(len(rows), generator=torch_stream(seed, "activity"))
    return rows[order[:MOST].sort().values.to(rows.device)]
