"""Strengths of contestants from comparisons: Davidson's model of ties by maximum likelihood.

With d = theta_i - theta_j + z . gamma, the lead of i over j with covariates z of the comparison,

P(i) : P(j) : P(tie) = e^(d/2) : e^(-d/2) : nu,  P(i) + P(j) + P(tie) = 1.

Without ties nu = 0, and P(i) = sigmoid(d): the model of Bradley and Terry (1952). Davidson, JASA 1970.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array, hstack
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

STEPS = 100  # of Newton's method, at most
CLOSE = 1e-9  # largest step of a coefficient at the end
APART = 1e-8  # share of a covariate's mean square that contestants must leave unexplained


@dataclass(frozen=True)
class Strengths:
    """Fitted strengths, and what every comparison adds to their deviations.

    Attributes
    ----------
    theta : ndarray, shape (k,)
        Strengths in log-odds, with mean 0.
    gamma : ndarray, shape (c,)
        Coefficients of the covariates.
    tie : float or None
        log nu; None without ties.
    influence : ndarray, shape (n, k + c)
        Influence of every comparison on theta and gamma.

    """

    theta: Array
    gamma: Array
    tie: float | None
    influence: Array


def comparable(winner: Index, loser: Index, tie: NDArray[np.bool_], count: int) -> Index:
    """Return the contestants with finite strengths beside each other: the group with most wins inside.

    Strengths have a maximum of the likelihood if every contestant can be reached from every other along wins
    and ties (Ford 1957).

    Parameters
    ----------
    winner, loser : ndarray, shape (n,)
        Contestants by number.
    tie : ndarray of bool, shape (n,)
        Comparisons that nobody won.
    count : int
        Number of contestants.

    Returns
    -------
    ndarray of int
        Their numbers, ascending.

    Examples
    --------
    >>> comparable(np.array([0, 1, 0]), np.array([1, 0, 2]), np.array([False, False, False]), 3)
    array([0, 1])

    """
    start = np.concatenate([winner, loser[tie]])
    end = np.concatenate([loser, winner[tie]])
    graph = csr_array((np.ones(len(start)), (start, end)), shape=(count, count))
    _, part = connected_components(graph, directed=True, connection="strong")
    decided = (part[winner] == part[loser]) & ~tie
    return np.flatnonzero(part == np.bincount(part[winner][decided], minlength=1).argmax())


def strengths(
    winner: Index,
    loser: Index,
    tie: NDArray[np.bool_],
    covariates: Array,
    weight: Array,
    count: int,
) -> Strengths:
    """Fit strengths by Newton's method.

    Parameters
    ----------
    winner, loser : ndarray, shape (n,)
        Contestants by number, all of them `comparable`.
    tie : ndarray of bool, shape (n,)
        Comparisons that nobody won.
    covariates : ndarray, shape (n, c)
        z of the winner's side: what speaks for the winner counts positive.
    weight : ndarray, shape (n,)
        How many comparisons each one stands for.
    count : int
        Number k of contestants.

    Returns
    -------
    Strengths

    """
    c = covariates.shape[1]
    contestants = _contestants(winner, loser, count)
    design = hstack([contestants, csr_array(covariates)], format="csr") if c else contestants
    ties = bool(tie.any())
    p = count + c
    w = np.zeros(p + ties)
    # sum theta = 0, added to the curvature in the direction that the likelihood does not see
    pin = np.zeros((p + ties, p + ties))
    pin[:count, :count] = weight.sum() / count
    for _ in range(STEPS):
        gradient, curvature = _derivatives(design, tie, weight, w, ties)
        step = np.linalg.solve(curvature + pin, gradient)
        w += np.clip(step, -2.0, 2.0)
        w[:count] -= w[:count].mean()
        if np.abs(step).max(initial=0.0) < CLOSE:
            break
    gradient, curvature = _derivatives(design, tie, weight, w, ties)
    inverse = np.linalg.inv(curvature + pin)
    own, of_tie = _scores(design @ w[:p], tie, w[p] if ties else -np.inf)
    influence = (design * (weight * own)[:, None]) @ inverse[:p, :p]
    if ties:
        influence = influence + np.outer(weight * of_tie, inverse[p, :p])
    influence[:, :count] -= influence[:, :count].mean(1, keepdims=True)
    return Strengths(w[:count], w[count:p], float(w[p]) if ties else None, np.asarray(influence))


def told_apart(
    winner: Index, loser: Index, covariates: Array, weight: Array, count: int
) -> NDArray[np.bool_]:
    """Return which covariates have an effect that can be told from the strengths and from those before.

    A position cannot, where one of two contestants is always shown first.

    Parameters
    ----------
    winner, loser, covariates, weight, count
        As for `strengths`.

    Returns
    -------
    ndarray of bool, shape (c,)

    """
    design = _contestants(winner, loser, count)
    gram = (design.T @ (design * weight[:, None])).toarray() + weight.sum() / count
    found: list[bool] = []
    kept = np.zeros((len(weight), 0))
    for column in covariates.T:
        cross = np.r_[design.T @ (weight * column), kept.T @ (weight * column)]
        corner = design.T @ (weight[:, None] * kept)
        whole = np.block([[gram, corner], [corner.T, kept.T @ (weight[:, None] * kept)]])
        size = weight @ column**2
        left = size - cross @ np.linalg.solve(whole, cross)
        found.append(bool(left > APART * size))
        if found[-1]:
            kept = np.c_[kept, column]
    return np.array(found, dtype=bool)


def _contestants(winner: Index, loser: Index, count: int) -> csr_array:
    """(n, count) 1 for the winner and -1 for the loser of every comparison."""
    rows, one = np.arange(len(winner)), np.ones(len(winner))
    places = np.r_[rows, rows], np.r_[winner, loser]
    return csr_array((np.r_[one, -one], places), shape=(len(winner), count))


def _chances(d: Array, level: float) -> tuple[Array, Array, Array]:
    """P(first), P(second) and P(tie) at lead d and log nu."""
    logs = np.stack([d / 2, -d / 2, np.full(len(d), level)])
    logs -= logs.max(0)
    parts = np.exp(logs)
    first, second, tied = parts / parts.sum(0)
    return first, second, tied


def _scores(d: Array, tie: NDArray[np.bool_], level: float) -> tuple[Array, Array]:
    """Derivatives of the log-likelihood of every comparison with respect to d and log nu."""
    first, second, tied = _chances(d, level)
    return (~tie - (first - second)) / 2, tie - tied


def _derivatives(
    design: csr_array, tie: NDArray[np.bool_], weight: Array, w: Array, ties: bool
) -> tuple[Array, Array]:
    """Gradient of the log-likelihood, and minus its Hessian."""
    p = design.shape[1]
    d, level = design @ w[:p], w[p] if ties else -np.inf
    first, second, tied = _chances(d, level)
    own, of_tie = _scores(d, tie, level)
    lead = first - second
    curve = weight * ((first + second) - lead**2) / 4
    gradient = design.T @ (weight * own)
    curvature = (design.T @ (design * curve[:, None])).toarray()
    if not ties:
        return gradient, curvature
    cross = -design.T @ (weight * tied * lead) / 2
    corner = weight @ (tied * (1 - tied))
    return (
        np.r_[gradient, weight @ of_tie],
        np.block([[curvature, cross[:, None]], [cross[None], np.array([[corner]])]]),
    )
