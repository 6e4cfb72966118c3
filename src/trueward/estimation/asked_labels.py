"""Answers to a lottery of asks, as labels beside gold labels on the asked who stayed silent (two-phase)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from trueward.asking.answers import FEWEST
from trueward.data.lottery_arms import arms

from .asked_fairness import unfair

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.feedback import Feedback

KNOWN_ANSWERS = "a model that was fitted on these answers looks better than it is: use a later log"
MOST = 0.5  # share of the gold labels that must be on silent responses


def asked_labels(parts: list[Feedback]) -> tuple[list[Feedback], str] | None:
    """Return the asked responses with a label, weighted so that they represent all of the lottery.

    An answer is its own label, unless a gold label is there; a silent response counts for all silent ones by
    its gold label. A weighted mean over these rows is the two-phase estimate of `asked_share`, so they are a
    draw of the responses whoever answers. Gold labels elsewhere are left out: their draw is another one.

    Parameters
    ----------
    parts : list of Feedback
        Parts of a log.

    Returns
    -------
    parts : list of Feedback
        Labelled rows of each part, with `gold`, `weight` and `gold_weight`.
    sentence : str
        What was used.
    None
        Without a fair lottery, with fewer than 10 gold labels on silent responses, or where fewer than half
        of the gold labels are on these.

    """
    phases = _two_phases(parts)
    if phases is None:
        return None
    drawn = [
        replace(d, gold=p.gold, weight=p.weight, gold_weight=p.represents)[
            p.labelled.nonzero().squeeze(-1)
        ]
        for d, p in zip(parts, phases[0], strict=True)
    ]
    return drawn, phases[1]


def labels_of_all(log: Feedback) -> tuple[Feedback, str]:
    """Return a log whose asked responses stand for all of its lottery, for estimates over the whole log.

    The labels are those of `asked_labels`. Only who was asked and did not miss the question represents
    anything, 1 / p_ask responses each: a prediction of the label that reads the feedback must not compare
    them with responses that nobody was asked about. Estimates with these weights include the draw of the
    asked only if they are those of future prompts.

    Parameters
    ----------
    log : Feedback
        The rows of a log.

    Returns
    -------
    log : Feedback
        With as many rows; the same object where `asked_labels` has no labels.
    sentence : str
        What was used; empty where nothing changed.

    """
    phases = _two_phases([log])
    if phases is None:
        return log, ""
    ((phase,), sentence) = phases
    whole = replace(
        log,
        gold=torch.where(phase.labelled, phase.gold, torch.nan),
        weight=torch.where(phase.asked, phase.weight, 0.0),
        gold_weight=torch.where(phase.labelled, phase.represents, torch.nan),
    )
    outside = int((log.asks.p_ask.nan_to_num(0.0) == 0).sum())
    if outside:
        sentence += (
            f"; the estimates are of the {len(log) - outside} responses in the lottery, and not of the "
            f"{outside} others"
        )
    return whole, sentence


@dataclass(frozen=True)
class _Phase:
    """(n,) each of a part: who was asked, which have a label, the label, what row and label represent."""

    asked: Tensor
    labelled: Tensor
    gold: Tensor
    weight: Tensor
    represents: Tensor


def _two_phases(parts: list[Feedback]) -> tuple[list[_Phase], str] | None:
    """Labels of the asked: their answers, and the gold labels of the silent; None as in `asked_labels`."""
    if any(not d.asks or d.gold is None or d.o is None for d in parts):
        return None
    masks = [_masks(d) for d in parts]
    labels = sum(len(d.audited) for d in parts)
    on_silent = sum(int(known.sum()) for _, _, known, _ in masks)
    answers = sum(int(answered.sum()) for answered, *_ in masks)
    if on_silent < FEWEST or on_silent < MOST * labels or not answers or unfair(parts):
        return None
    # what all silent responses weigh, over what the labelled ones represent
    silent = sum(float(w[rows].sum()) for _, rows, _, w in masks)
    labelled = sum(
        float((w * _gold_weight(d))[known].sum())
        for d, (_, _, known, w) in zip(parts, masks, strict=True)
    )
    found, left_out = [], labels
    for d, (answered, rows, known, w) in zip(parts, masks, strict=True):
        assert d.gold is not None
        left_out -= int(((answered | known) & ~d.gold.isnan()).sum())
        gold = torch.where(answered & d.gold.isnan(), d.y, d.gold)
        counts = torch.where(answered, 1.0, _gold_weight(d) * silent / labelled)
        found.append(_Phase(answered | rows, answered | known, gold, w, counts))
    sentence = (
        f"{answers} answers to asks count as labels, and {on_silent} gold labels for the silent"
    )
    return found, sentence + (
        f"; {left_out} gold labels on other responses are left out" if left_out else ""
    )


def _masks(d: Feedback) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Answered, silent, and labelled silent rows of the asked; and (n,) weight / p_ask."""
    assert d.gold is not None
    arm, _ = arms(d)
    asked = (arm > 0).to(d.y.device)
    answered, silent = asked & (d.seen > 0), asked & (d.seen == 0)
    chance = torch.where(asked, d.asks.p_ask.double(), 1.0)
    return answered, silent, silent & ~d.gold.isnan(), d.row_weight / chance


def _gold_weight(d: Feedback) -> Tensor:
    """(n,) 1 / P(labelled) of each gold label; 1 without ``gold_weight``."""
    one = torch.ones(len(d), dtype=torch.float64, device=d.y.device)
    return one if d.gold_weight is None else d.gold_weight.double()
