"""Policies over fixed answers to each prompt: what a reward makes of them, without any training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import brentq

from trueward.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

STEEPEST = 1e12  # largest 1 / beta, in units of 1 / (range of the reward)


@dataclass(frozen=True, eq=False)
class FixedAnswerPolicy:
    """A policy that chooses one of the fixed answers to each prompt.

    See Also
    --------
    softmax_policy, best_of_n_policy : Compute it.

    """

    #: (n,) P(answer given its prompt); sums to 1 over the answers to each prompt.
    probability: Array
    #: (n,) number of the prompt of every answer, from 0, in the order of the sorted ids.
    prompt: Index
    #: (prompts,) KL divergence from the base policy, in nats.
    kl: Array
    #: Temperature of the softmax, in units of the reward; None for best of n, infinite for the base policy.
    beta: float | None = None

    def value(self, quality: ArrayLike) -> Array:
        """Compute the expected quality of the chosen answer: V(x) = sum_a pi(a | x) q(x, a).

        Parameters
        ----------
        quality : (n,) array
            Quality of every answer.

        Returns
        -------
        (prompts,) array
            V of every prompt, exact. Two policies on the same answers have paired differences by prompt.

        """
        q = _numbers(quality, "quality", len(self.prompt))
        return np.bincount(self.prompt, self.probability * q).astype(np.float64)


def softmax_policy(
    reward: ArrayLike, prompt: ArrayLike, kl: float, *, base: ArrayLike | None = None
) -> FixedAnswerPolicy:
    """Compute the policy that KL-regularised RLHF converges to, at a given divergence from the base.

    pi(a | x) = base(a | x) exp(R(x, a) / beta) / Z(x) maximises E[R] - beta E[KL(pi || base)]. The
    temperature beta, one for all prompts, solves mean_x KL(pi(. | x) || base(. | x)) = kl. Shifts of R by
    prompt and its scale do not matter, so rewards are compared at equal divergence, and neither sampling
    nor an optimiser adds noise.

    Parameters
    ----------
    reward : (n,) array
        R of n answers, several to each prompt. For a fitted model the log-odds of P(preferred), as `Reward`.
    prompt : (n,) array
        Id of the prompt of every answer.
    kl : float
        Mean divergence over the prompts in nats, from 0 to below the largest that a choice among these
        answers can reach (log N for N equally likely answers and one best).
    base : (n,) array, optional
        Weight of every answer under the base policy, above 0. None: all answers to a prompt weigh the same.

    Returns
    -------
    FixedAnswerPolicy
        The policy.

    Raises
    ------
    UsageError
        If lengths differ, a value is not finite, a weight is not above 0, or ``kl`` cannot be reached.

    References
    ----------
    Korbak, Perez and Buckley 2022: the optimum of KL-regularised RL is this posterior.

    Examples
    --------
    With two answers P(better) = 3/4 has the divergence 3/4 log(3/2) + 1/4 log(1/2):

    >>> import numpy as np
    >>> kl = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    >>> policy = softmax_policy([0.0, 1.0], ["a", "a"], kl)
    >>> policy.probability.round(6), f"{policy.beta * np.log(3):.6f}"
    (array([0.25, 0.75]), '1.000000')
    >>> policy.value([0.2, 0.8]).round(6)
    array([0.65])

    """
    r, at, log_base = _pool(reward, prompt, base)
    if not (isinstance(kl, int | float) and math.isfinite(kl) and kl >= 0):
        raise UsageError(f"kl is a divergence in nats, 0 or more, and is {kl!r}")
    r = r - _largest(r, at)[at]
    if kl == 0:
        return FixedAnswerPolicy(np.exp(log_base), at, np.zeros(int(at.max()) + 1), math.inf)
    spread = float(-r.min())
    if spread == 0:
        raise UsageError(
            "the reward is the same for all answers to each prompt, so no policy prefers one: only kl = 0 is "
            "possible"
        )
    most = float(-np.log(np.bincount(at, np.where(r == 0, np.exp(log_base), 0.0))).mean())
    if kl >= most * (1 - 1e-9):
        raise UsageError(
            f"a choice among these answers by this reward reaches a mean divergence below {most:.4g} nats, "
            f"and kl is {kl:g}: choose a smaller kl, or give more answers to each prompt"
        )

    def excess(log_steepness: float) -> float:
        return float(_tilted(r, at, log_base, math.exp(log_steepness) / spread)[1].mean()) - kl

    low, high = -math.log(STEEPEST), math.log(STEEPEST)
    if excess(high) <= 0:
        raise UsageError(
            f"kl {kl:g} is too close to the largest divergence ({most:.4g} nats): rewards that differ by "
            "less than rounding would have to be told apart; choose a smaller kl"
        )
    steepness = math.exp(brentq(excess, low, high, xtol=1e-12)) / spread
    probability, divergence = _tilted(r, at, log_base, steepness)
    return FixedAnswerPolicy(probability, at, divergence, 1 / steepness)


def best_of_n_policy(
    reward: ArrayLike, prompt: ArrayLike, n: int, *, base: ArrayLike | None = None
) -> FixedAnswerPolicy:
    """Compute the policy of best of n, which best-of-n distillation learns: no draw, no training.

    P(a | x) = F(a)^n - F(a-)^n, with F(a) and F(a-) the probability under the base policy of a reward of at
    most, and below, R(x, a). Answers of equal reward share it in proportion to their weight. The n answers
    are drawn with replacement, so n may exceed their number. KL <= log n - (n - 1) / n.

    Parameters
    ----------
    reward, prompt, base
        As of `softmax_policy`.
    n : int
        Answers that the reward chooses from, 1 or more.

    Returns
    -------
    FixedAnswerPolicy
        The policy.

    Raises
    ------
    UsageError
        If lengths differ, a value is not finite, a weight is not above 0, or ``n`` is no whole number from 1.

    References
    ----------
    Beirami et al. 2024, on the divergence of best of n.

    Examples
    --------
    >>> best_of_n_policy([0.0, 1.0], ["a", "a"], 2).probability  # both draws are the worse one: 1/4
    array([0.25, 0.75])

    """
    r, at, log_base = _pool(reward, prompt, base)
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise UsageError(f"n is a whole number of answers from 1, and is {n!r}")
    order = np.lexsort((r, at))
    weight, by = np.exp(log_base[order]), at[order]
    start = np.flatnonzero(np.r_[True, (by[1:] != by[:-1]) | (r[order][1:] != r[order][:-1])])
    level = np.cumsum(np.isin(np.arange(len(by)), start)) - 1  # number of the run of equal rewards
    mass = np.bincount(level, weight)
    owner = by[start]
    total = np.cumsum(mass)
    before = np.concatenate([[0.0], np.cumsum(np.bincount(owner, mass))])[owner]
    upto = np.minimum(total - before, 1.0)
    chance = upto**n - np.maximum(upto - mass, 0.0) ** n
    probability = np.empty(len(r))
    probability[order] = chance[level] * weight / mass[level]
    probability /= np.bincount(at, probability)[at]
    return FixedAnswerPolicy(probability, at, _divergence(probability, at, log_base))


def _pool(
    reward: ArrayLike, prompt: ArrayLike, base: ArrayLike | None
) -> tuple[Array, Index, Array]:
    """Rewards, numbers of prompts and log base probabilities, checked."""
    ids = np.asarray(prompt)
    if ids.ndim != 1 or len(ids) == 0:
        raise UsageError(
            f"expected the id of the prompt of every answer in one row, found the shape {ids.shape}"
        )
    r = _numbers(reward, "reward", len(ids))
    at = np.asarray(np.unique(ids, return_inverse=True)[1], dtype=np.int64)
    weight = np.ones(len(ids)) if base is None else _numbers(base, "base", len(ids))
    if not (weight > 0).all():
        raise UsageError(
            f"base holds the weight of every answer, above 0, and answer {int(weight.argmin()) + 1} has "
            f"{weight.min():g}: leave answers out that the base policy never gives"
        )
    return r, at, np.log(weight / np.bincount(at, weight)[at])


def _numbers(values: ArrayLike, name: str, n: int) -> Array:
    """Return n finite numbers."""
    raw: Any = values
    if hasattr(raw, "detach"):
        raw = raw.detach().cpu().numpy()
    try:
        found = np.asarray(raw, dtype=np.float64)
    except (TypeError, ValueError) as e:
        raise UsageError(f"{name} holds one number for each of the {n} answers: {e}") from e
    if found.shape != (n,):
        raise UsageError(
            f"{name} holds one number for each of the {n} answers, and has the shape {found.shape}"
        )
    if not np.isfinite(found).all():
        bad = int((~np.isfinite(found)).argmax())
        raise UsageError(f"{name} of answer {bad + 1} is {found[bad]}, not a finite number")
    return found


def _largest(r: Array, at: Index) -> Array:
    """(prompts,) largest reward of the answers to each prompt."""
    most = np.full(int(at.max()) + 1, -np.inf)
    np.maximum.at(most, at, r)
    return most


def _tilted(r: Array, at: Index, log_base: Array, steepness: float) -> tuple[Array, Array]:
    """Return base exp(steepness r) / Z, r at most 0, and its divergence from the base by prompt."""
    logit = log_base + steepness * r
    logit = logit - _largest(logit, at)[at]
    weight = np.exp(logit)
    probability = weight / np.bincount(at, weight)[at]
    return probability, _divergence(probability, at, log_base)


def _divergence(probability: Array, at: Index, log_base: Array) -> Array:
    """(prompts,) sum p (log p - log base), 0 log 0 = 0."""
    some = probability > 0
    terms = np.zeros(len(probability))
    terms[some] = probability[some] * (np.log(probability[some]) - log_base[some])
    return np.maximum(np.bincount(at, terms), 0.0)
