"""The networks of a reward model, where these are all that its reward is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from trueward.core.errors import TruewardError
from trueward.estimators.anchored import PLACED, Anchored
from trueward.estimators.three_outcome import ThreeOutcome
from trueward.model.composed_model import Composed
from trueward.training.networks import ONE, Net, Stack

from .networks import FREE, Layers, Networks, Term

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from trueward.model.reward_model import RewardModel

    from .networks import Array

EDGE = float(np.log(1e6 - 1))  # evidence of anchored counts up to a chance of 1e-6
FARTHEST = 20.7  # logit of the 1e-9 that a reward is held within
SAME = 1e-3  # of sd


def rewards(model: RewardModel, h: Tensor) -> Array:
    """Rewards (n,) before any calibration; TruewardError for a method that identifies none."""
    found = replace(model, calibration=None).score_features(h).reward
    if found is None:
        raise TruewardError(
            f"{model.method} identifies only an interval, and an export needs a score"
        )
    return found.double().numpy()


def networks_of(model: RewardModel, h: Tensor) -> Networks | None:
    """Give the networks whose reward is that of ``model`` on (n, d) features; None where none are.

    What a method makes of its logits is its own matter, so that every way in which they are put together here
    is tried, and the one that gives the model's rewards is taken.
    """
    wanted, rows = rewards(model, h), h.double().numpy()
    for found in _candidates(model):
        gap = np.abs(found(rows).clip(-FARTHEST, FARTHEST) - wanted.clip(-FARTHEST, FARTHEST))
        if gap.max() <= SAME * max(wanted.std(), 1e-9):
            return found
    return None


def _candidates(model: RewardModel) -> Iterator[Networks]:
    """One head, or the mean of two, with a learned level or without; or what is composed of nuisances."""
    scaled = model.standard.mean.numpy(), model.standard.scale.numpy(), model.standard.limit
    if isinstance(model.net, Composed):
        made = model.made_by
        if isinstance(made, Anchored):
            yield _anchored(model.net, made, scaled)
        elif isinstance(made, ThreeOutcome):
            term, none = _place(model.net, 1.0), np.zeros(len(scaled[0]))
            offset = np.zeros(model.net.members)
            yield Networks(*scaled, _nets(model.net), (term,), offset, none)
        return
    net: Any = model.net
    names = [k for k, source in net.shape.heads.items() if source == "x"]
    pairs = [("reward", k) for k in names if k != "reward"]
    levels = [0.0, *(ONE * v.detach().cpu().numpy()[:, 0] for v in net.numbers.values())]
    for heads in [*((k,) for k in names), *pairs]:
        parts = [_layers(net, k) for k in heads]
        joined = Layers(
            tuple(map(np.concatenate, zip(*(p.weights for p in parts), strict=True))),
            tuple(map(np.concatenate, zip(*(p.biases for p in parts), strict=True))),
        )
        term, none = Term("odds", ("reward",), 1.0), np.zeros(len(scaled[0]))
        for level in levels:
            offset = np.tile(np.broadcast_to(level, (net.members,)), len(heads))
            yield Networks(*scaled, {"reward": (joined,)}, (term,), offset, none)


def _layers(net: Net, head: str) -> Layers:
    """All layers of a head, those of the trunk it shares first."""
    stacks = [s for k, s in net.trunks.items() if k == net.shape.heads[head]] + [net.heads[head]]
    weights: list[Array] = []
    biases: list[Array] = []
    for stack in stacks:
        assert isinstance(stack, Stack)
        weights += [p.detach().cpu().double().numpy() for p in stack.weights]
        biases += [p.detach().cpu().double().numpy() for p in stack.biases]
    return Layers(tuple(weights), tuple(biases))


def _nets(net: Composed) -> dict[str, tuple[Layers, ...]]:
    """The networks of every nuisance that has some, on all features."""
    basis = None if net.projection is None else net.projection.double().cpu().numpy()
    nets: dict[str, tuple[Layers, ...]] = {}
    for name, part in net.parts.items():
        if isinstance(part, tuple):
            lead, *more = (_layers(f, "reward") for f in part)
            if basis is not None:
                lead = replace(lead, weights=(basis @ lead.weights[0], *lead.weights[1:]))
            nets[_plain(name)] = (lead, *more)
    return nets


def _place(net: Composed, weight: float) -> Term:
    """Where an answer lies on the segment that was found, or, where none was, on that of flips alone."""
    ((kind, ends),) = net.parameters("label_shift").items()
    of = ("noisy", "responds") if kind == "ends" else ("noisy",)
    return Term("place", of, weight, tuple(ends.double().flatten().tolist()))


def _anchored(net: Composed, made: Anchored, scaled: tuple[Array, Array, float]) -> Networks:
    """w_0 + sum_j w_j (e_j - c_j) + w_x . (x - c_x), whose x are the leading directions."""
    at = {k: v.double().cpu().numpy() for k, v in net.parameters("anchor").items()}
    w, (centre, unit) = at["w"], (at["centre"], at["unit"])
    pieces, slope = list(made.pieces), w[1:] * unit
    k = len(pieces)
    terms = []
    for piece, c in zip(pieces, slope[:k].tolist(), strict=True):
        if piece == PLACED:
            terms.append(_place(net, c))
        elif piece in ("up", "down"):
            terms.append(Term(piece, ("noisy", "responds"), c))
        else:
            terms.append(Term("odds", (_plain(piece),), c))
    offset = np.full(net.members, w[0] - slope @ centre)
    basis = net.projection
    linear = slope[k:] if basis is None else basis.double().cpu().numpy() @ slope[k:]
    return Networks(*scaled, _nets(net), tuple(terms), offset, linear, EDGE if pieces else FREE)


def _plain(name: str) -> str:
    """A name that tensors can have."""
    return name.replace(".", "_")
