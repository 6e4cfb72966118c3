"""How a method's reward follows from the logits of its heads, or from its nuisances.

A method declares one of these forms in `reward_form`. Training, scoring and export read the same
declaration, so that an exported model carries exactly the reward of the method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from .losses import mean_logit

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.feedback import Columns

EPSILON = 1e-6  # chances are held in [1e-6, 1 - 1e-6] before the logit


@dataclass(frozen=True)
class HeadLogit:
    """s = out[head] + out[level]: the logit of one head, plus a learned number if there is one.

    Attributes
    ----------
    head : str
        Name of a head of the method.
    level : str or None
        Name of a head with input ``one`` (a single learned number) that is added; None adds nothing.

    """

    composed: ClassVar[bool] = False

    head: str = "reward"
    level: str | None = None

    def logit(self, out: Columns) -> Tensor:
        """Return the (n,) logit of the reward from the (n,) logits of the heads."""
        s = out[self.head]
        return s if self.level is None else s + out[self.level]


@dataclass(frozen=True)
class MeanProbability:
    """s = logit of (sigmoid(out[a]) + sigmoid(out[b])) / 2: two heads, averaged as probabilities.

    Attributes
    ----------
    heads : tuple of two str
        Names of two heads of the method, both with input ``x``.

    """

    composed: ClassVar[bool] = False

    heads: tuple[str, str] = ("reward", "peer")

    def logit(self, out: Columns) -> Tensor:
        """Return the (n,) logit of the mean probability."""
        return mean_logit(*(out[k] for k in self.heads))


@dataclass(frozen=True)
class TargetColumn:
    """s = logit of ``eta.target``, which the nuisances compute in a way of their own.

    The reward needs the code of the nuisances: it has no closed form in their networks.
    """

    composed: ClassVar[bool] = True

    def logit(self, out: Columns) -> Tensor:
        """Return the (n,) logit of ``eta.target``; a composed model gives it as ``out.reward``."""
        return out.reward


@dataclass(frozen=True)
class SegmentPlacement:
    """s = log-odds of the point of a segment nearest to (P(up), P(down)) given x.

    See `trueward.estimation.label_shift`. The fitted parameters of ``nuisance`` are the ends of the
    segment: ``ends`` where ratings and reactions place an answer, ``flips`` where ratings alone do.

    Attributes
    ----------
    nuisance : str
        The transformation that holds the ends of the segment.
    chances : tuple of two str
        Nuisances P(up given a rating, x) and P(rating given x), in this order.

    """

    composed: ClassVar[bool] = True

    nuisance: str = "label_shift"
    chances: tuple[str, str] = ("noisy", "responds")

    def logit(self, out: Columns) -> Tensor:
        """Return the (n,) logit of ``eta.target``; a composed model gives it as ``out.reward``."""
        return out.reward


@dataclass(frozen=True)
class Evidence:
    """One piece of evidence: a log-odds e(x) computed from nuisances.

    With q the logit of the first nuisance and p that of the second:

    - ``odds``: e = q;
    - ``up``: e = p + log sigmoid(q), that is, log P(up) / P(no rating);
    - ``down``: e = p + log sigmoid(-q), that is, log P(down) / P(no rating);
    - ``place``: the log-odds of a `SegmentPlacement`, whose column of ``eta`` is called ``name``;
    - ``mixture``: those of a `SelectionMixture`, of the three nuisances of which ``name`` is the column.

    Attributes
    ----------
    name : str
        Name of the piece.
    kind : {"odds", "up", "down", "place", "mixture"}
        How it is computed.
    nuisances : tuple of str
        Nuisances it reads: q, then p.
    segment : str
        ``place``: the transformation that holds the ends of the segment; ``mixture``: the one that holds the
        mixture.

    """

    name: str
    kind: Literal["odds", "up", "down", "place", "mixture"]
    nuisances: tuple[str, ...]
    segment: str = "label_shift"

    def log_odds(self, eta: Columns) -> Tensor:
        """Return e, (n,) float64, from columns of chances."""
        if self.kind in ("place", "mixture"):
            return odds(eta[self.name])
        q, *p = (odds(eta[k]) for k in self.nuisances)
        if self.kind == "odds":
            return q
        return p[0] + torch.nn.functional.logsigmoid(q if self.kind == "up" else -q)


def odds(chance: Tensor, epsilon: float = EPSILON) -> Tensor:
    """Return the float64 log-odds of chances, held in [epsilon, 1 - epsilon].

    Parameters
    ----------
    chance : Tensor, any shape
        Probabilities.
    epsilon : float
        Their distance from 0 and 1 at least.

    Returns
    -------
    Tensor
        Of the same shape.

    """
    return torch.logit(chance.double(), epsilon)


def logit_mixture(weights: Tensor, coefficients: Tensor, columns: tuple[Tensor, ...]) -> Tensor:
    """Return logit sum_k w_k sigmoid(a_k . (1, columns)).

    Parameters
    ----------
    weights : Tensor, shape (k,)
        w, with sum 1.
    coefficients : Tensor, shape (k, 1 + len(columns))
        a.
    columns : tuple of Tensor, shape (n,)
        Log-odds.

    Returns
    -------
    Tensor, shape (n,)

    """
    f = coefficients[:, :1] + coefficients[:, 1:] @ torch.stack(columns)
    log_w = weights.log()[:, None]
    good = torch.logsumexp(log_w + torch.nn.functional.logsigmoid(f), 0)
    bad = torch.logsumexp(log_w + torch.nn.functional.logsigmoid(-f), 0)
    return good - bad


@dataclass(frozen=True)
class SelectionMixture:
    """s = logit sum_k w_k sigmoid(a_k . (1, q, p, n)), with q, p and n the log-odds of three nuisances.

    See `trueward.estimation.selection_average`. The fitted parameters of ``nuisance`` are ``weights``, w, and
    ``coefficients``, a.

    Attributes
    ----------
    nuisance : str
        The transformation that holds the mixture.
    chances : tuple of three str
        Nuisances whose log-odds are q, p and n.

    """

    composed: ClassVar[bool] = True

    nuisance: str = "selection"
    chances: tuple[str, str, str] = ("noisy", "responds", "naive")

    def logit(self, out: Columns) -> Tensor:
        """Return the (n,) logit of ``eta.target``; a composed model gives it as ``out.reward``."""
        return out.reward


@dataclass(frozen=True)
class EvidenceRegression:
    """s = b_0 + b . e(x) + w . x: a logistic regression on evidence and features.

    See `trueward.estimation.gold_regression`. The fitted parameters of ``nuisance`` are ``w`` (intercept,
    coefficients of the evidence in its order, coefficients of the features), ``centre`` and ``unit``.

    Attributes
    ----------
    nuisance : str
        The transformation that holds the fitted coefficients.
    evidence : tuple of Evidence
        The pieces, in the order of the coefficients.

    """

    composed: ClassVar[bool] = True

    nuisance: str = "anchor"
    evidence: tuple[Evidence, ...] = ()

    def logit(self, out: Columns) -> Tensor:
        """Return the (n,) logit of ``eta.target``; a composed model gives it as ``out.reward``."""
        return out.reward


RewardForm = (
    HeadLogit
    | MeanProbability
    | TargetColumn
    | SegmentPlacement
    | SelectionMixture
    | EvidenceRegression
)
