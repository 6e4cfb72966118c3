"""Intercepts of users in who reacts and in what they say, with a robust prior."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.special import expit

from trueward.core.weighted import effective_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

WIDE_SHARE, WIDE_SD = 0.02, 5.0  # users who answer unlike the rest, such as bots
TAUS = (0.05, 0.15, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
LARGEST = 8.0  # log-odds beyond which an intercept says nothing more
ENOUGH_EVIDENCE = 1.0  # nats; without differences a gain this large has a chance of 1 to 5 %
STEPS, NEAR = 60, 1e-3

#: column of ``eta`` that training adds to the logit ``reward``
USER_OFFSET = "user_offset"


def user_column(nuisance: str) -> str:
    """Return the column of ``eta`` with the intercept of each row's user in a nuisance's log-odds.

    Parameters
    ----------
    nuisance : str
        Name of the nuisance.

    """
    return f"{nuisance}_user"


@dataclass(frozen=True)
class UserRows:
    """Rows with what their users did.

    Attributes
    ----------
    design : ndarray, shape (n, p)
        Ones, then regressors.
    outcome : ndarray, shape (n,)
        What the user did, in [0, 1].
    user : ndarray of int, shape (n,)
        Number of the user; -1 where it is not known.
    weight : ndarray, shape (n,)
        How many rows each row counts for.
    count : int
        Number of users.

    """

    design: Array
    outcome: Array
    user: Index
    weight: Array
    count: int

    @property
    def members(self) -> csr_array:
        """(users, n) 1 where the row is of the user."""
        known = np.flatnonzero(self.user >= 0)
        place = (self.user[known], known)
        return csr_array((np.ones(len(known)), place), shape=(self.count, len(self.user)))

    def subset(self, rows: NDArray[np.bool_]) -> UserRows:
        """Return the rows where ``rows``, (n,) bool, is true; numbers of users stay."""
        return UserRows(
            self.design[rows], self.outcome[rows], self.user[rows], self.weight[rows], self.count
        )

    @property
    def effective_users(self) -> float:
        """Effective number of users, (sum n_u)^2 / sum n_u^2 over their numbers of rows n_u."""
        return effective_size(np.bincount(self.user[self.user >= 0], self.weight[self.user >= 0]))


@dataclass(frozen=True)
class UserPrior:
    """l ~ (1 - share) N(0, tau^2) + share N(0, 5^2), the prior of an intercept.

    Attributes
    ----------
    tau : float
        Standard deviation of most intercepts.
    share : float
        Share of users with a wide prior.

    """

    tau: float
    share: float = WIDE_SHARE

    def posterior(self, z: Array, variance: Array) -> tuple[Array, Array]:
        """Return the posterior mean of l given z ~ N(l, variance), as a share of z, and log p(z).

        Parameters
        ----------
        z, variance : ndarray, shape (users,)
            Estimates of the intercepts, and their variances.

        Returns
        -------
        share, log_density : ndarray, shape (users,)

        """
        spread = np.array([self.tau, WIDE_SD])[:, None] ** 2
        total = spread + variance
        with np.errstate(divide="ignore"):
            weight = np.log([[1 - self.share], [self.share]])
        log_p = weight - 0.5 * np.log(2 * np.pi * total) - 0.5 * z**2 / total
        log_density = np.logaddexp(*log_p)
        return (np.exp(log_p - log_density) * spread / total).sum(0), log_density


class _Mode(NamedTuple):
    """Coefficients and intercepts at the mode, and Laplace's log evidence."""

    w: Array
    intercept: Array
    log_evidence: float


@dataclass(frozen=True)
class UserIntercepts:
    """Fitted intercepts: logit P(outcome = 1 given row, user u) = row . w + l_u.

    Attributes
    ----------
    w : ndarray, shape (p,)
        Coefficients of the design.
    intercept : ndarray, shape (users,)
        Posterior mean of l_u; 0 for a user without rows.
    prior : UserPrior
        The prior with the best evidence.
    gain : float
        Log evidence minus that of the model without intercepts, in nats.

    """

    w: Array
    intercept: Array
    prior: UserPrior
    gain: float

    @property
    def evident(self) -> bool:
        """Whether the users differ by more than chance."""
        return self.gain > ENOUGH_EVIDENCE

    @staticmethod
    def fit(rows: UserRows, precision: Array, centre: Array) -> UserIntercepts:
        """Fit coefficients and intercepts, with tau by Laplace's evidence.

        The Hessian's block of the users is diagonal, so a Newton step costs O(n p^2 + users p^2).

        Parameters
        ----------
        rows : UserRows
            The rows.
        precision, centre : ndarray, shape (p,)
            Normal prior of the coefficients.

        """
        members = rows.members
        none = _mode(rows, members, precision, centre, UserPrior(1e-6, 0.0), None)
        best, chosen, start = none, UserPrior(0.0), none
        for tau in TAUS:
            prior = UserPrior(tau)
            start = _mode(rows, members, precision, centre, prior, start)
            if start.log_evidence > best.log_evidence:
                best, chosen = start, prior
            elif start.log_evidence < best.log_evidence - 20:
                break
        gain = best.log_evidence - none.log_evidence
        return UserIntercepts(best.w, best.intercept, chosen, gain)

    def without_own(self, rows: UserRows, prompt: Index) -> Array:
        """Return each row's intercept, estimated without the rows of its prompt, by one Newton step.

        Parameters
        ----------
        rows : UserRows
            The rows of the fit.
        prompt : ndarray of int, shape (n,)
            Number of the prompt.

        Returns
        -------
        ndarray, shape (n,)
            0 where the user is unknown.

        """
        known = rows.user >= 0
        value = np.zeros(len(rows.user))
        value[known] = self.intercept[rows.user[known]]
        if not self.prior.tau:
            return value
        p = expit(rows.design @ self.w + value)
        curvature, error = rows.weight * p * (1 - p), rows.weight * (rows.outcome - p)
        h = rows.members @ curvature + 1e-6
        z = np.clip(self.intercept + (rows.members @ error) / h, -LARGEST, LARGEST)
        share = np.clip(self.prior.posterior(z, 1 / h)[0], 1e-9, 1 - 1e-7)
        pair = np.unique(np.stack([rows.user, prompt]), axis=1, return_inverse=True)[1].ravel()
        own_error, own_h = (np.bincount(pair, v)[pair] for v in (error, curvature))
        value[known] -= (own_error[known]) / ((h / share)[rows.user[known]] - own_h[known])
        return value

    def of(self, rows: UserRows, logit: Array) -> Array:
        """Return the (users,) intercepts that other rows give, with the coefficients held fixed.

        Parameters
        ----------
        rows : UserRows
            The rows.
        logit : ndarray, shape (n,)
            Their log-odds without the intercept.

        """
        alone = replace(rows, design=logit[:, None])
        if not self.prior.tau:
            return np.zeros(rows.count)
        held = np.array([1e12])
        return _mode(alone, rows.members, held, np.ones(1), self.prior, None).intercept


def _mode(
    rows: UserRows,
    members: csr_array,
    precision: Array,
    centre: Array,
    prior: UserPrior,
    start: _Mode | None,
) -> _Mode:
    """Newton's method; a user's rows count as one observation z ~ N(l, 1/h) for the mixture prior."""
    w = centre.copy() if start is None else start.w
    l = np.zeros(members.shape[0]) if start is None else start.intercept
    known, held = rows.user >= 0, np.zeros(0)
    for k in range(STEPS):
        offset = np.zeros(len(rows.user))
        offset[known] = l[rows.user[known]]
        logit = rows.design @ w + offset
        p = expit(logit)
        curvature, error = rows.weight * p * (1 - p) + 1e-9, rows.weight * (rows.outcome - p)
        h, g = members @ curvature + 1e-6, members @ error
        z = np.clip(l + g / h, -LARGEST, LARGEST)
        share, log_density = prior.posterior(z, 1 / h)
        share = np.clip(share, 1e-9, 1 - 1e-7)
        held = h * (1 / share - 1) if k < 1 else 0.5 * held + 0.5 * h * (1 / share - 1)
        scaled = rows.design * curvature[:, None]
        cross, diagonal = members @ scaled, h + held
        own = scaled.T @ rows.design + np.diag(precision)
        schur = own - cross.T @ (cross / diagonal[:, None])
        gradient = rows.design.T @ error - precision * (w - centre)
        of_users = g - held * l
        step = np.linalg.solve(schur, gradient - cross.T @ (of_users / diagonal))
        moved = (of_users - cross @ step) / diagonal
        size = max(np.abs(step).max(initial=0), np.abs(moved).max(initial=0))
        length = min(1.0, 3 / max(size, 1e-9))
        w, l = w + length * step, l + length * moved
        if size < NEAR:
            break
    fit = float(rows.weight @ (rows.outcome * logit - np.logaddexp(0, logit)))
    used = np.asarray(members.sum(1)).ravel() > 0
    users = g**2 / (2 * h) + 0.5 * np.log(2 * np.pi / h) + log_density
    volume = np.log(precision).sum() - np.linalg.slogdet(schur)[1]
    penalty = float(precision @ np.square(w - centre))
    return _Mode(w, l, fit + float(users[used].sum()) - 0.5 * penalty + 0.5 * float(volume))
