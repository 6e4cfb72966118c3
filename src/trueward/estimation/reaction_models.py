"""What all models of who reacts have in common, and their average by evidence.

Notation: q and p are the out-of-fold log-odds of P(up given rated, x) and P(rated given x); a tilde means
standardised; f is the log-odds of P(good given x).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from .laplace import FLATTEST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

DRAWS = 300  # of model and parameters, for the range of the share of good responses
SHARES = (0.05, 0.95)  # quantiles of the range
NOTED = 0.05  # weight from which a model at its bound is named


class Counts(Protocol):
    """Cells of rows with similar q and p."""

    @property
    def q(self) -> Array:
        """(k,) mean q."""

    @property
    def p(self) -> Array:
        """(k,) mean p."""

    @property
    def n(self) -> Array:
        """(k,) weight of the rows."""

    def moments(self, v: Array) -> tuple[float, float]:
        """Return mean and standard deviation of a (k,) column over rows."""


@dataclass(frozen=True)
class ReactionModel:
    """A fitted model of who reacts: f = q + b0 + b1 (q - mean q) + b2 p~ - d, d the effect of the label.

    Attributes
    ----------
    name : str
        Name of the model.
    log_evidence : float
        Laplace's approximation of the log marginal likelihood.
    parameters : ndarray, shape (m,)
        MAP estimate of b0, b1 and b2 (as far as the model has them), those of reacting, and in the end those
        of the label, where it decides who reacts.
    curvature : ndarray, shape (m, m)
        Hessian of the negative log posterior.
    columns : int
        Number of coefficients b.
    by_label : bool
        Whether the label decides who reacts.

    """

    OF_LABEL: ClassVar[int] = 1  # parameters of the label, the log odds ratio d first

    name: str
    log_evidence: float
    parameters: Array
    curvature: Array
    columns: int
    by_label: bool

    @property
    def on_bound(self) -> bool:
        """Whether the slope of q is at its bound, 0: the ratings then rank nothing."""
        return bool(self.parameters[1] <= FLATTEST + 1e-6)

    @property
    def stacked(self) -> bool:
        """Whether the chance of a rating helps to rank the responses."""
        return self.columns == 3

    def strength(self, parameters: Array | None = None) -> Array:
        """Return d, the log odds ratio of reacting to a good and to a bad answer, and what belongs to it.

        Parameters
        ----------
        parameters : ndarray, optional
            Other parameters than the MAP estimate.

        Returns
        -------
        ndarray
            0 where the label does not decide.

        """
        v = self.parameters if parameters is None else parameters
        return v[len(v) - self.OF_LABEL :] if self.by_label else np.zeros(self.OF_LABEL)

    def log_odds(self, counts: Counts, parameters: Array | None = None) -> Array:
        """Return the coefficients of f on 1, q and p.

        Parameters
        ----------
        counts : OutcomeCounts or AskedCounts
            The rows of the fit, which define centre and scale.
        parameters : ndarray, optional
            Other parameters than the MAP estimate.

        Returns
        -------
        ndarray, shape (3,)

        """
        v = self.parameters if parameters is None else parameters
        b = np.append(v[: self.columns], np.zeros(3 - self.columns))
        (mean_q, _), (mean_p, sd_p) = counts.moments(counts.q), counts.moments(counts.p)
        level = b[0] - self.strength(v)[0] - b[1] * mean_q - b[2] * mean_p / sd_p
        return np.array([level, 1 + b[1], b[2] / sd_p])


M = TypeVar("M", bound=ReactionModel)
C = TypeVar("C", bound=Counts)


@dataclass(frozen=True)
class ReactionAverage(Generic[M, C]):
    """P(good given x) = sum_k w_k sigmoid(f_k), with f_k linear in the log-odds of the networks.

    Attributes
    ----------
    models : list of ReactionModel
        Models of who reacts.
    weights : ndarray, shape (k,)
        Posterior shares of the models: evidence times prior.
    counts : OutcomeCounts or AskedCounts
        The rows that they were fitted on.

    """

    models: list[M]
    weights: Array
    counts: C

    @property
    def by_label(self) -> float:
        """Posterior share of the models in which the label decides who reacts."""
        return float(self._mean([m.by_label for m in self.models]))

    @property
    def at_bound(self) -> list[str]:
        """Models with some weight in which the ratings rank nothing."""
        pairs = zip(self.models, self.weights, strict=True)
        return sorted({m.name for m, w in pairs if m.on_bound and w > NOTED})

    def _mean(self, values: Sequence[float | Array]) -> Array:
        """Mean of (k, ...) values of the models, by their weights."""
        return np.asarray(self.weights @ np.asarray(values, dtype=np.float64))

    def _share(self, level: float, q: float, p: float) -> float:
        """Share of good responses at f = level + q * q_i + p * p_i."""
        f = level + q * self.counts.q + p * self.counts.p
        return float(np.average(expit(f), weights=self.counts.n))

    def _shift(self, rows: Array, weights: Array, share: float) -> float:
        """Shift of the levels of components (coefficients on 1, q and p) at which they have a share."""

        def above(v: float) -> float:
            return float(weights @ [self._share(a + v, b, c) for a, b, c in rows]) - share

        return float(brentq(above, -30.0, 30.0, xtol=1e-6))

    def _range(
        self, rng: np.random.Generator, left_open: Callable[[M], float] = lambda _: 0.0
    ) -> tuple[float, float]:
        """5 and 95 % quantiles of the share of good responses: models by weight, parameters by Laplace.

        ``left_open`` draws what the level leaves open beside the parameters of a model.
        """
        roots = [np.linalg.cholesky(np.linalg.inv(m.curvature)) for m in self.models]
        shares = []
        for k in rng.choice(len(self.models), DRAWS, p=self.weights):
            m = self.models[k]
            drawn = m.parameters + roots[k] @ rng.standard_normal(len(m.parameters))
            level, q, p = m.log_odds(self.counts, drawn)
            shares.append(self._share(level - left_open(m), q, p))
        low, high = np.quantile(shares, SHARES)
        return float(low), float(high)


def posterior_shares(models: Sequence[ReactionModel], log_prior: Mapping[str, float]) -> Array:
    """Return the weights of some models, evidence times prior; models of one name share its prior.

    Parameters
    ----------
    models : sequence of ReactionModel
        The models.
    log_prior : mapping of str to float
        Name -> log prior odds.

    Returns
    -------
    ndarray
        Their sum is 1.

    """
    names = [m.name for m in models]
    score = np.array(
        [m.log_evidence + log_prior[m.name] - np.log(names.count(m.name)) for m in models]
    )
    weights = np.exp(score - score.max())
    return np.asarray(weights / weights.sum())
