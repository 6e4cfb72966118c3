"""The reward of a composed model as networks on its features, in each form that a method may declare."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from trueward.core.errors import TruewardError
from trueward.estimation.nuisance_types import Nuisance
from trueward.training.networks import MLPEnsemble, Net

from .networks import FREE, Layers, Networks, Term

if TYPE_CHECKING:
    from trueward.estimation.reward_form import (
        EvidenceRegression,
        SegmentPlacement,
        SelectionMixture,
    )
    from trueward.model.composed_model import ComposedModel

    from .networks import Array

    Standard = tuple[Array, Array, float]  # mean, scale and limit of the standardised features

EDGE = float(np.log(1e6 - 1))  # |logit| of evidence at most: chances are held in [1e-6, 1 - 1e-6]


def layers_of(net: Net, head: str) -> Layers:
    """Return all layers of a head, after those of the trunk that it shares.

    Parameters
    ----------
    net : Net
        The network.
    head : str
        Name of the head.

    """
    trunk = [s for k, s in net.trunks.items() if k == net.shape.heads[head]]
    weights: list[Array] = []
    biases: list[Array] = []
    for stack in [*trunk, net.heads[head]]:
        assert isinstance(stack, MLPEnsemble)
        weights += [p.detach().cpu().double().numpy() for p in stack.weights]
        biases += [p.detach().cpu().double().numpy() for p in stack.biases]
    return Layers(tuple(weights), tuple(biases))


def _nuisance_nets(net: ComposedModel) -> dict[str, tuple[Layers, ...]]:
    """The networks of every nuisance that has some, on all features."""
    basis = None if net.projection is None else net.projection.double().cpu().numpy()
    views = {nu.name: nu.views for nu in net.method.nuisances if isinstance(nu, Nuisance)}
    nets: dict[str, tuple[Layers, ...]] = {}
    for name, part in net.parts.items():
        if isinstance(part, tuple):
            lead, *more = (layers_of(view, "reward") for view in part)
            if basis is not None and views[name] != "all":
                lead = replace(lead, weights=(basis @ lead.weights[0], *lead.weights[1:]))
            nets[_net_names((name,))[0]] = (lead, *more)
    return nets


def segment_placement(net: ComposedModel, form: SegmentPlacement, standard: Standard) -> Networks:
    """Return the networks of a place on a segment.

    Parameters
    ----------
    net : ComposedModel
        The model.
    form : SegmentPlacement
        How its reward follows from its nuisances.
    standard : tuple
        Mean, scale and limit of the standardised features.

    """
    term, none = _place(net, form.nuisance, form.chances, 1.0), np.zeros(len(standard[0]))
    return Networks(*standard, _nuisance_nets(net), (term,), np.zeros(net.members), none)


def _place(net: ComposedModel, segment: str, chances: tuple[str, ...], weight: float) -> Term:
    """Log-odds of the place on the fitted segment, or, without one, on that of the flip rates."""
    ((kind, ends),) = net.parameters(segment).items()
    names = _net_names(chances if kind == "ends" else chances[:1])
    return Term("place", names, weight, tuple(ends.double().flatten().tolist()))


def evidence_regression(
    net: ComposedModel, form: EvidenceRegression, standard: Standard
) -> Networks:
    """Return the networks of w_0 + sum_j w_j (e_j - c_j) + w_x . (x - c_x), x the leading directions.

    Parameters
    ----------
    net : ComposedModel
        The model.
    form : EvidenceRegression
        How its reward follows from its nuisances.
    standard : tuple
        Mean, scale and limit of the standardised features.

    """
    fitted = {k: v.double().cpu().numpy() for k, v in net.parameters(form.nuisance).items()}
    w, centre, slope = fitted["w"], fitted["centre"], fitted["w"][1:] * fitted["unit"]
    k = len(form.evidence)
    if len(slope) < k:
        raise TruewardError("a joint model of release 0.2.0 cannot be exported: fit it again")
    terms, shift, nets = [], 0.0, _nuisance_nets(net)
    for piece, c in zip(form.evidence, slope[:k].tolist(), strict=True):
        if piece.kind == "place":
            terms.append(_place(net, piece.segment, piece.nuisances, c))
        elif piece.kind == "mixture":
            term, more, nets = _mixture(net, piece.segment, piece.nuisances, c, nets)
            terms.append(term)
            shift += more
        else:
            terms.append(Term(piece.kind, _net_names(piece.nuisances), c))
    offset = np.full(net.members, w[0] - slope @ centre + shift)
    basis = net.projection
    if len(slope) == k:  # no part linear in the features
        linear = np.zeros(len(standard[0]))
    else:
        linear = slope[k:] if basis is None else basis.double().cpu().numpy() @ slope[k:]
    edge = EDGE if form.evidence else FREE
    read = {name for term in terms for name in term.of}
    nets = nets if all(e.kind != "mixture" for e in form.evidence) else {k: nets[k] for k in read}
    nets = {k: tuple(_repeated(v, net.members) for v in views) for k, views in nets.items()}
    return Networks(*standard, nets, tuple(terms), offset, linear, edge)


def selection_mixture(net: ComposedModel, form: SelectionMixture, standard: Standard) -> Networks:
    """Return the mixture on two networks, or the network of naive, shifted, where it is the only component.

    Parameters
    ----------
    net : ComposedModel
        The model.
    form : SelectionMixture
        How its reward follows from its nuisances.
    standard : tuple
        Mean, scale and limit of the standardised features.

    """
    nets, none = _nuisance_nets(net), np.zeros(len(standard[0]))
    term, shift, nets = _mixture(net, form.nuisance, form.chances, 1.0, nets)
    own = {k: nets[k] for k in term.of}
    if term.kind == "odds":
        return Networks(*standard, own, (term,), np.array([shift]), none)
    return Networks(*standard, own, (term,), np.zeros(net.members), none, EDGE)


def _mixture(
    net: ComposedModel,
    nuisance: str,
    chances: tuple[str, ...],
    weight: float,
    nets: dict[str, tuple[Layers, ...]],
) -> tuple[Term, float, dict[str, tuple[Layers, ...]]]:
    """The mixture as a term (naive's network where that is all), its weighted shift, and the networks."""
    fitted, names = net.parameters(nuisance), _net_names(chances)
    rows = fitted["coefficients"].double()
    if rows[:, 1].any() and rows[:, 3].any():
        rows, both = _with_naive(rows, nets, names)
        names = (f"{names[0]}_{names[2]}", *names[1:])
        nets = nets | {names[0]: both}
    elif rows[:, 3].any():
        ((shift, _, _, _),) = rows.tolist()
        return Term("odds", (names[2],), weight), weight * shift, nets
    ends = torch.cat([fitted["weights"].double().log()[:, None], rows[:, :3]], 1)
    return Term("mixture", names[:2], weight, tuple(ends.flatten().tolist())), 0.0, nets


def _with_naive(
    rows: torch.Tensor, nets: dict[str, tuple[Layers, ...]], names: tuple[str, ...]
) -> tuple[torch.Tensor, tuple[Layers, ...]]:
    """Read b q + b slope n of a component as 2 b times the mean of q and slope n: one more network of q."""
    slope = float(rows[0, 3] / rows[0, 1])
    views, (naive,) = nets[names[0]], nets[names[2]]
    own = _repeated(naive, len(views[0].biases[0]))
    *weights, last = own.weights
    *biases, offset = own.biases
    own = Layers((*weights, last * slope), (*biases, offset * slope))
    doubled = rows * torch.tensor([1.0, 2.0, 1.0, 0.0], dtype=rows.dtype)
    return doubled, (*views, *[own] * len(views))


def _repeated(layers: Layers, members: int) -> Layers:
    """Return a network of one member as one of equal members, as the code of a folder reads it."""
    if len(layers.biases[0]) == members:
        return layers
    weights, biases = (
        tuple(np.repeat(v, members, 0) for v in part) for part in vars(layers).values()
    )
    return Layers(weights, biases)


def _net_names(nuisances: tuple[str, ...]) -> tuple[str, ...]:
    """Names without dots, which separate the parts of a tensor's name."""
    return tuple(name.replace(".", "_") for name in nuisances)
