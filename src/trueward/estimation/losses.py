"""Element-wise losses on logits and masked reductions: pure tensors in, pure tensors out, never NaN.

``bce`` is linear in its target, ``bce(s, t) = t bce(s, 1) + (1 - t) bce(s, 0)``, and is defined for
targets outside [0, 1] as well: the noise-corrected and doubly robust losses are one call to it.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def bce(s: Tensor, t: Tensor) -> Tensor:
    """l(s, t) = softplus(s) - t s, the cross-entropy of sigmoid(s) against any real target t.

    >>> bce(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.5]))
    tensor([0.6931, 1.1269])
    """
    return F.softplus(s) - t * s


def brier(s: Tensor, t: Tensor) -> Tensor:
    """(sigmoid(s) - t)^2: bounded below for any real target t, minimised by sigmoid(s) = E[t]."""
    return (torch.sigmoid(s) - t).square()


def log_mixture(s: Tensor, at_zero: Tensor | float, at_one: Tensor | float) -> Tensor:
    """log( at_zero (1 - sigmoid(s)) + at_one sigmoid(s) ), for probabilities at_zero, at_one.

    Computed in log space, so it is finite (at least log(1e-12)) with finite gradients for every s.
    """
    floor = 1e-12
    low = torch.as_tensor(at_zero, dtype=s.dtype, device=s.device).clamp(min=floor).log()
    high = torch.as_tensor(at_one, dtype=s.dtype, device=s.device).clamp(min=floor).log()
    return torch.logaddexp(low + F.logsigmoid(-s), high + F.logsigmoid(s))


def masked_mean(value: Tensor, where: Tensor) -> Tensor:
    """Mean of ``value`` over ``where``; 0 with zero gradient, never NaN, where it is empty.

    >>> masked_mean(torch.tensor([1.0, 5.0]), torch.tensor([0.0, 0.0]))
    tensor(0.)
    """
    where = where.to(value.dtype)
    return (value * where).sum() / where.sum().clamp(min=1.0)


def weighted_mean(value: Tensor, weight: Tensor) -> Tensor:
    """sum(weight * value) / sum(weight), the self-normalised mean; 0 where all weights are 0."""
    total = weight.sum()
    return (value * weight).sum() / torch.where(total > 0, total, torch.ones_like(total))


def capped_bce(s: Tensor, t: Tensor, cap: float = 6.0) -> Tensor:
    """l(s, t) whose part outside t in [0, 1], the linear -(t - clamp(t, 0, 1)) s, sees clamp(s, ±cap).

    Bounded below by -cap |t - clamp(t, 0, 1)|; equals l(s, t) for |s| <= cap.
    """
    inside = t.clamp(0, 1)
    return bce(s, inside) - (t - inside) * s.clamp(-cap, cap)


def nonnegative(part: Tensor) -> Tensor:
    """max(part, 0) of a scalar risk; below 0 the gradient is minus that of part (Kiryo et al. 2017)."""
    return torch.where(part < 0, part.detach() - part, part)


def wasserstein(a: Tensor, b: Tensor, sharpness: float = 10.0, steps: int = 10) -> Tensor:
    """sum T_ij |a_i - b_j| under the entropic transport T of rows a (n, h) to b (m, h), equal masses.

    T by Sinkhorn steps in log space on the kernel exp(-sharpness cost / mean cost) (Cuturi 2013); 0 where
    one side is empty.
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
    """H(sigmoid(s)) = l(s, sigmoid(s)) of a Bernoulli variable, in nats; finite gradients for every s."""
    return bce(s, torch.sigmoid(s))


def mean_logit(s: Tensor, v: Tensor) -> Tensor:
    """Logit of the mean of the probabilities sigmoid(s) and sigmoid(v).

    >>> mean_logit(torch.tensor([0.0, 60.0]), torch.tensor([0.0, -60.0]))
    tensor([0., 0.])
    """
    high = torch.logaddexp(F.logsigmoid(s), F.logsigmoid(v))
    return high - torch.logaddexp(F.logsigmoid(-s), F.logsigmoid(-v))


def smallest(key: Tensor, where: Tensor, share: float) -> Tensor:
    """(n,) 1 at the ceil(share * count) rows of ``where`` with the smallest key, and at ties with the last.

    >>> smallest(torch.tensor([3.0, 1.0, 2.0, 0.0]), torch.tensor([1.0, 1.0, 1.0, 0.0]), 0.5)
    tensor([0., 1., 1., 0.])
    """
    inside = key[where > 0].detach()
    if not len(inside):
        return torch.zeros_like(key)
    count = max(1, math.ceil(share * len(inside) - 1e-6))
    edge = inside.sort().values[count - 1]
    return ((key.detach() <= edge) & (where > 0)).to(key.dtype)
