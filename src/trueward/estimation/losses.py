"""Element-wise losses on logits, and masked reductions: pure functions of tensors, never NaN.

``bce`` is linear in its target, ``bce(s, t) = t bce(s, 1) + (1 - t) bce(s, 0)``, and is defined for targets
outside [0, 1]: the noise-corrected and doubly robust losses are one call to it. In all functions ``s`` is
a tensor (n,) of logits and ``t`` a tensor (n,) of targets.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def bce(s: Tensor, t: Tensor) -> Tensor:
    """Return l(s, t) = softplus(s) - t s, the cross-entropy of sigmoid(s) against any real target t.

    Parameters
    ----------
    s : Tensor, shape (n,)
        Logits.
    t : Tensor, shape (n,)
        Targets, any real numbers.

    Returns
    -------
    Tensor, shape (n,)

    Examples
    --------
    >>> bce(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.5]))
    tensor([0.6931, 1.1269])

    """
    return torch.nn.functional.softplus(s) - t * s


def brier(s: Tensor, t: Tensor) -> Tensor:
    """Return (sigmoid(s) - t)^2: bounded below for any real target t; its minimiser is sigmoid(s) = E[t].

    Parameters
    ----------
    s : Tensor, shape (n,)
        Logits.
    t : Tensor, shape (n,)
        Targets, any real numbers.

    Returns
    -------
    Tensor, shape (n,)

    """
    return (torch.sigmoid(s) - t).square()


def log_mixture(s: Tensor, at_zero: Tensor | float, at_one: Tensor | float) -> Tensor:
    """Return log( at_zero (1 - sigmoid(s)) + at_one sigmoid(s) ).

    Computed in log space: at least log(1e-12), with finite gradients for every s.

    Parameters
    ----------
    s : Tensor, shape (n,)
        Logits.
    at_zero, at_one : Tensor or float
        Probabilities given class 0 and class 1.

    Returns
    -------
    Tensor, shape (n,)

    """
    floor = 1e-12
    low = torch.as_tensor(at_zero, dtype=s.dtype, device=s.device).clamp(min=floor).log()
    high = torch.as_tensor(at_one, dtype=s.dtype, device=s.device).clamp(min=floor).log()
    return torch.logaddexp(
        low + torch.nn.functional.logsigmoid(-s), high + torch.nn.functional.logsigmoid(s)
    )


def noisy_bce(s: Tensor, t: Tensor, rho_01: Tensor, rho_10: Tensor) -> Tensor:
    """Return CE(rho_10 + (1 - rho_01 - rho_10) sigmoid(s), t), the forward correction of label noise.

    Parameters
    ----------
    s, t : Tensor, shape (n,)
        Logits and noisy targets; any real target is allowed.
    rho_01, rho_10 : Tensor
        P(observed 0 given true 1) and P(observed 1 given true 0), scalars or (n,).

    Returns
    -------
    Tensor, shape (n,)

    References
    ----------
    Patrini et al., CVPR 2017.

    """
    one, zero = log_mixture(s, rho_10, 1 - rho_01), log_mixture(s, 1 - rho_10, rho_01)
    return -(t * one + (1 - t) * zero)


def masked_mean(value: Tensor, where: Tensor) -> Tensor:
    """Return the mean of ``value`` (n,) over ``where`` (n,); 0 with zero gradient if it is empty.

    Parameters
    ----------
    value : Tensor, shape (n,)
        Values to average.
    where : Tensor, shape (n,)
        1 or true for the rows that count.

    Returns
    -------
    Tensor, scalar

    Examples
    --------
    >>> masked_mean(torch.tensor([1.0, 5.0]), torch.tensor([0.0, 0.0]))
    tensor(0.)

    """
    where = where.to(value.dtype)
    return (value * where).sum() / where.sum().clamp(min=1.0)


def weighted_mean(value: Tensor, weight: Tensor) -> Tensor:
    """Return sum(weight * value) / sum(weight), the self-normalised mean; 0 if all weights are 0.

    Parameters
    ----------
    value, weight : Tensor, shape (n,)
        Values to average, and their weights, 0 or more.

    Returns
    -------
    Tensor, scalar

    """
    total = weight.sum()
    return (value * weight).sum() / torch.where(total > 0, total, torch.ones_like(total))


def capped_bce(s: Tensor, t: Tensor, cap: float = 6.0) -> Tensor:
    """Return l(s, clamp(t, 0, 1)) - (t - clamp(t, 0, 1)) clamp(s, -cap, cap).

    Equals l(s, t) for abs(s) <= cap, and is bounded below by -cap abs(t - clamp(t, 0, 1)).

    Parameters
    ----------
    s : Tensor, shape (n,)
        Logits.
    t : Tensor, shape (n,)
        Targets, any real numbers.
    cap : float
        Largest absolute logit of the linear part.

    Returns
    -------
    Tensor, shape (n,)

    """
    inside = t.clamp(0, 1)
    return bce(s, inside) - (t - inside) * s.clamp(-cap, cap)


def nonnegative(part: Tensor) -> Tensor:
    """Return max(part, 0) of a scalar risk; below 0 the gradient is that of -part.

    Parameters
    ----------
    part : Tensor, scalar
        An estimate of a risk that cannot be negative.

    Returns
    -------
    Tensor, scalar

    References
    ----------
    Kiryo et al., NeurIPS 2017.

    """
    return torch.where(part < 0, part.detach() - part, part)


def wasserstein(a: Tensor, b: Tensor, sharpness: float = 10.0, steps: int = 10) -> Tensor:
    """Return sum_ij T_ij |a_i - b_j| under the entropic transport plan T between two sets of rows.

    T follows from Sinkhorn steps in log space on the kernel exp(-sharpness cost / mean cost), with equal
    masses.

    Parameters
    ----------
    a, b : Tensor, shapes (n, h) and (m, h)
        The two sets.
    sharpness : float
        Inverse of the entropic regularisation, in units of the mean cost.
    steps : int
        Number of Sinkhorn steps.

    Returns
    -------
    Tensor, scalar
        0 if one set is empty.

    References
    ----------
    Cuturi, NeurIPS 2013.

    """
    if not len(a) or not len(b):
        return 0 * (a.sum() + b.sum())
    cost = torch.cdist(a, b)
    kernel = -sharpness * cost / cost.mean().detach().clamp(min=1e-12)
    v = cost.new_zeros(len(b))
    for _ in range(steps):
        u = -math.log(len(a)) - torch.logsumexp(kernel + v, 1)
        v = -math.log(len(b)) - torch.logsumexp(kernel + u[:, None], 0)
    return (torch.exp(kernel + u[:, None] + v) * cost).sum()


def entropy(s: Tensor) -> Tensor:
    """Return H(sigmoid(s)) = l(s, sigmoid(s)), the entropy in nats; finite gradients for every s.

    Parameters
    ----------
    s : Tensor, shape (n,)
        Logits.

    Returns
    -------
    Tensor, shape (n,)

    """
    return bce(s, torch.sigmoid(s))


def mean_logit(s: Tensor, v: Tensor) -> Tensor:
    """Return the logit of the mean of the probabilities sigmoid(s) and sigmoid(v).

    Parameters
    ----------
    s, v : Tensor, shape (n,)
        Logits.

    Returns
    -------
    Tensor, shape (n,)

    Examples
    --------
    >>> mean_logit(torch.tensor([0.0, 60.0]), torch.tensor([0.0, -60.0]))
    tensor([0., 0.])

    """
    high = torch.logaddexp(torch.nn.functional.logsigmoid(s), torch.nn.functional.logsigmoid(v))
    return high - torch.logaddexp(
        torch.nn.functional.logsigmoid(-s), torch.nn.functional.logsigmoid(-v)
    )


def smallest(key: Tensor, where: Tensor, share: float) -> Tensor:
    """Return (n,), 1 at the ceil(share * count) rows of ``where`` with the smallest key and at ties.

    Parameters
    ----------
    key : Tensor, shape (n,)
        What rows are sorted by.
    where : Tensor, shape (n,)
        1 for the rows that count.
    share : float
        Share of these rows to select, in (0, 1]; at least one is.

    Returns
    -------
    Tensor, shape (n,)

    Examples
    --------
    >>> smallest(torch.tensor([3.0, 1.0, 2.0, 0.0]), torch.tensor([1.0, 1.0, 1.0, 0.0]), 0.5)
    tensor([0., 1., 1., 0.])

    """
    inside = key[where > 0].detach()
    if not len(inside):
        return torch.zeros_like(key)
    count = max(1, math.ceil(share * len(inside) - 1e-6))
    edge = inside.sort().values[count - 1]
    return ((key.detach() <= edge) & (where > 0)).to(key.dtype)
