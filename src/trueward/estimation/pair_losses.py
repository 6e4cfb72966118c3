"""Log-likelihoods of comparisons: Bradley and Terry's model with ties, wrong comparisons and margins.

d = s_i - s_j is the lead of the winner in log-odds, before any tie. All functions are element-wise over
pairs, and never NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from .losses import weighted_mean

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.comparisons import Pairs

#: How ties are modelled.
Ties = Literal["davidson", "rao_kupper", "half", "none"]


def log_outcomes(
    lead: Tensor, ties: Ties, tie: Tensor | float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Return log P(first wins), log P(second wins) and log P(tie) of pairs with lead ``d`` of the first.

    - ``davidson``: P(first) : P(second) : P(tie) = e^(d/2) : e^(-d/2) : nu, with nu = e^tie (Davidson 1970);
    - ``rao_kupper``: P(first) = sigmoid(d - log theta), P(second) = sigmoid(-d - log theta), with theta = 1 +
      e^tie (Rao and Kupper 1967);
    - ``half``: P(first) = sigmoid(d); a tie is half a win of either, so its log-likelihood is the mean;
    - ``none``: P(first) = sigmoid(d), and a tie has none: 0.

    Parameters
    ----------
    lead : Tensor, shape (m,)
        d, the difference of the scores.
    ties : {"davidson", "rao_kupper", "half", "none"}
        The model of ties.
    tie : Tensor or float
        Its parameter, any real number; () or (m,).

    Returns
    -------
    first, second, tied : Tensor, shape (m,)

    Examples
    --------
    >>> first, second, tied = log_outcomes(torch.tensor([0.0]), "davidson", 0.0)
    >>> first.exp(), tied.exp()
    (tensor([0.3333]), tensor([0.3333]))

    """
    if ties == "davidson":
        nu = torch.as_tensor(tie, dtype=lead.dtype, device=lead.device).expand_as(lead)
        parts = torch.stack([lead / 2, -lead / 2, nu])
        first, second, tied = parts - torch.logsumexp(parts, 0)
        return first, second, tied
    if ties == "rao_kupper":
        level = torch.as_tensor(tie, dtype=lead.dtype, device=lead.device).expand_as(lead)
        theta = torch.nn.functional.softplus(level)  # log(1 + e^tie) = log theta
        first, second = (
            torch.nn.functional.logsigmoid(lead - theta),
            torch.nn.functional.logsigmoid(-lead - theta),
        )
        # P(tie) = (theta^2 - 1) P(first) P(second), and theta^2 - 1 = e^tie (2 + e^tie)
        scale = level + torch.logaddexp(level, torch.full_like(level, 0.6931471805599453))
        return first, second, scale + first + second
    first, second = torch.nn.functional.logsigmoid(lead), torch.nn.functional.logsigmoid(-lead)
    return first, second, (first + second) / 2 if ties == "half" else 0 * first


def with_noise(first: Tensor, second: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Return log P(first named winner) and log P(second named winner), where a share is exchanged.

    P'(first) = (1 - rho) P(first) + rho P(second): the forward correction of symmetric noise (Patrini et al.,
    CVPR 2017). Without noise the values are returned as they are.

    Parameters
    ----------
    first, second : Tensor, shape (m,)
        log P(first wins), log P(second wins).
    noise : Tensor, shape (m,)
        rho, P(the loser is named), at least 0 and below 1/2.

    Returns
    -------
    first, second : Tensor, shape (m,)

    """
    keep, turn = (1 - noise).log(), noise.clamp(min=1e-30).log()
    mixed = (torch.logaddexp(keep + a, turn + b) for a, b in ((first, second), (second, first)))
    return tuple(torch.where(noise > 0, m, v) for m, v in zip(mixed, (first, second), strict=True))  # type: ignore[return-value]


def score_loss(s: Tensor, position: Tensor, pairs: Pairs | None) -> Tensor:
    """Return the mean of -log sigmoid(s_i - s_j - margin +- position) over the pairs that i won.

    Parameters
    ----------
    s : Tensor, shape (n,)
        Scores of the rows.
    position : Tensor, shape (n,)
        What the response shown first gains, the same number in every row.
    pairs : Pairs or None
        The comparisons; ties say nothing about the order and are left out.

    Returns
    -------
    Tensor, scalar
        0 without comparisons.

    """
    if pairs is None or not len(pairs):
        return 0 * (s.sum() + position.sum())
    lead = s[pairs.winner] - s[pairs.loser] - pairs.margin.to(s)
    lead = lead + position[pairs.winner] * pairs.position.to(s)
    return weighted_mean(
        torch.nn.functional.softplus(-lead), pairs.importance.to(s) * (1 - pairs.tie.to(s))
    )
