"""The reward of a composed model as networks on its features, in each form that a method may declare."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

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
    pairs = zip(form.evidence, slope[:k].tolist(), strict=True)
    terms = tuple(
        _place(net, piece.segment, piece.nuisances, c)
        if piece.kind == "place"
        else Term(piece.kind, _net_names(piece.nuisances), c)
        for piece, c in pairs
    )
    offset = np.full(net.members, w[0] - slope @ centre)
    basis = net.projection
    linear = slope[k:] if basis is None else basis.double().cpu().numpy() @ slope[k:]
    edge = EDGE if form.evidence else FREE
    return Networks(*standard, _nuisance_nets(net), terms, offset, linear, edge)


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
    fitted = net.parameters(form.nuisance)
    rows, none = fitted["coefficients"].double(), np.zeros(len(standard[0]))
    nets, names = _nuisance_nets(net), _net_names(form.chances)
    if rows[:, 3].any():
        ((shift, _, _, _),) = rows.tolist()
        only = names[2]
        term = Term("odds", (only,), 1.0)
        return Networks(*standard, {only: nets[only]}, (term,), np.array([shift]), none)
    ends = torch.cat([fitted["weights"].double().log()[:, None], rows[:, :3]], 1)
    term = Term("mixture", names[:2], 1.0, tuple(ends.flatten().tolist()))
    pair = {k: nets[k] for k in names[:2]}
    return Networks(*standard, pair, (term,), np.zeros(net.members), none, EDGE)


def _net_names(nuisances: tuple[str, ...]) -> tuple[str, ...]:
    """Names without dots, which separate the parts of a tensor's name."""
    return tuple(name.replace(".", "_") for name in nuisances)
