"""Scores learned from comparisons out of fold: their scale, their accuracy, and which sources agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trueward.core.influence import auroc_influence, clustered_error
from trueward.data.log_pairs import FEWEST_PAIRS

from . import samplers
from .nuisance_types import Nuisance
from .nuisances import platt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.comparisons import Pairs
    from trueward.data.feedback import Feedback

    Array = NDArray[np.float64]

PAIRS = "pairs."  # before the name of a source, in the names of nuisances, evidence and signals


def pair_score(source: str) -> Nuisance:
    """Return the nuisance ``pairs.SOURCE``: sigmoid of the score whose differences are log-odds of a win.

    Parameters
    ----------
    source : str
        Name of a source of comparisons.

    Returns
    -------
    Nuisance
        Fitted out of fold by prompt, on two views of the features.

    """
    return Nuisance(
        name=PAIRS + source,
        target=samplers.every,
        where=lambda b: samplers.compared(b, source),
        views="both",
        pairs=source,
    )


def pair_calibration(
    score: Tensor, pairs: Pairs, group: Tensor | None
) -> tuple[float, dict[str, Any], tuple[Tensor, Tensor]]:
    """Return the slope that makes differences of out-of-fold scores log-odds of a win, and a report.

    The slope is the scale (inverse temperature) of the source. It is 0 where scores order pairs backwards.

    Parameters
    ----------
    score : Tensor, shape (n,)
        Scores of the rows; both rows of a pair are out of the same fold.
    pairs : Pairs
        The comparisons of one source.
    group : Tensor, shape (n,), or None
        Prompts of the rows, by which the interval is clustered.

    Returns
    -------
    slope : float
    report : dict
        ``pairs``, ``ties``, ``accuracy`` of the order with its interval, ``scale``, and ``first_gains`` in
        log-odds where positions are known.
    predicted, won : Tensor, shape (m,)
        P(A beats B) of the pairs that were won, and whether A did.

    """
    decided = pairs.select(pairs.tie == 0)
    report: dict[str, Any] = {"logged": False, "pairs": len(pairs), "ties": int(pairs.tie.sum())}
    if not len(decided):
        none = torch.zeros(0, dtype=torch.float64)
        told = "no comparison was won, so the source says nothing"
        return 0.0, report | {"warning": told}, (none, none)
    side = torch.where(torch.arange(len(decided)) % 2 > 0, 1.0, -1.0).double()
    known = decided.position.cpu().double()
    side = torch.where(known != 0, known, side)  # from the side of the one shown first
    lead = (score[decided.winner] - score[decided.loser]).double().cpu() * side
    won, weight = (side > 0).double(), decided.weight.double().cpu()
    # both orders of every pair: no offset, unless positions are known
    if bool((known != 0).any()):
        slope, offset = platt(lead, won, weight)
        report["first_gains"] = round(offset, 4)
    else:
        both = torch.cat([lead, -lead]), torch.cat([won, 1 - won]), torch.cat([weight, weight])
        slope, offset = platt(*both)
    report |= {
        "accuracy": accuracy(lead * side, decided, group),
        "scale": slope,
    }
    if len(decided) < FEWEST_PAIRS:
        report["warning"] = f"{len(decided)} comparisons say little; {FEWEST_PAIRS} are needed"
    elif slope == 0:
        report["warning"] = (
            "the features do not predict who wins out of fold: the score is a constant"
        )
    return slope, report, (torch.sigmoid(slope * lead + offset), won)


def accuracy(lead: Tensor, pairs: Pairs, group: Tensor | None) -> dict[str, float]:
    """Return the share of pairs whose winner leads, with a 95 % interval clustered by prompt.

    Parameters
    ----------
    lead : Tensor, shape (m,)
        Score of the winner less that of the loser; equal scores count half.
    pairs : Pairs
        m comparisons that were won.
    group : Tensor, shape (n,), or None
        Prompts of the rows; without them every two rows are a prompt.

    """
    right = (0.5 + 0.5 * torch.sign(lead.double().cpu())).numpy()
    weight = pairs.weight.double().cpu().numpy()
    value = float(np.average(right, weights=weight))
    unit = torch.minimum(pairs.winner, pairs.loser) if group is None else group[pairs.winner]
    codes = np.unique(unit.cpu().numpy(), return_inverse=True)[1]
    count = int(codes.max()) + 1
    error = (
        clustered_error(weight * (right - value) / weight.sum(), codes, count) if count > 1 else 0.5
    )
    low, high = max(0.0, value - 1.96 * error), min(1.0, value + 1.96 * error)
    return {"value": round(value, 4), "low": round(low, 4), "high": round(high, 4)}


def agreement(
    scores: Mapping[str, Tensor], data: Feedback
) -> dict[str, dict[str, dict[str, float]]]:
    """Return how well the out-of-fold score of each kind of feedback orders what each other kind says.

    Parameters
    ----------
    scores : mapping of str to Tensor
        ``ratings`` and sources of comparisons -> (n,) scores, out of fold.
    data : Feedback
        The n rows.

    Returns
    -------
    dict
        Score -> what it is compared with -> share of right pairs (of ratings: AUROC) with its 95 % interval.

    """
    assert data.pairs is not None
    found: dict[str, dict[str, dict[str, float]]] = {}
    rated = (data.seen > 0).nonzero().squeeze(-1)
    good = (data.y[rated] > 0.5).double().cpu().numpy()
    group = torch.arange(len(data)) if data.group is None else data.group.cpu()
    prompt = np.unique(group[rated.cpu()].numpy(), return_inverse=True)[1]
    for name, score in scores.items():
        found[name] = {}
        for source in data.pairs.counts():
            pairs = data.pairs.from_source(source)
            pairs = pairs.select(pairs.tie == 0)
            if len(pairs):
                found[name][source] = accuracy(
                    score[pairs.winner] - score[pairs.loser], pairs, data.group
                )
        if 0 < good.sum() < len(good):
            influence = auroc_influence(score[rated].double().cpu().numpy(), good)
            count = int(prompt.max()) + 1
            error = (
                clustered_error(influence.at(good) / len(good), prompt, count) if count > 1 else 0.5
            )
            ends = (influence.theta, influence.theta - 1.96 * error, influence.theta + 1.96 * error)
            value, low, high = (round(float(np.clip(v, 0, 1)), 4) for v in ends)
            found[name]["ratings"] = {"value": value, "low": low, "high": high}
    return found


def contradictions(table: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """Return one sentence for every two kinds of feedback that order responses in opposite ways."""
    told = []
    for name, row in table.items():
        for other, share in row.items():
            if name != other and share["high"] < 0.5:
                of = f"{share['value']:.2f} [{share['low']:.2f}, {share['high']:.2f}] of {other}"
                told.append(
                    f"{name} and {other} contradict each other: the score of {name} orders {of} right, "
                    "below 1/2"
                )
    return told
