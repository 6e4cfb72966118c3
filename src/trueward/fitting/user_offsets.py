"""Intercepts of users as offsets of the logits that networks learn, where the users of a log differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from trueward.core.random import numpy_stream
from trueward.estimation.ridge_logistic import INTERCEPT_PRECISION, logistic
from trueward.estimation.user_intercepts import UserIntercepts, UserRows

from .user_calibration import of_rows, target_rows, user_numbers, user_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Feedback
    from trueward.training.config import Train

    Array = NDArray[np.float64]

DIRECTIONS = 64  # principal directions that the users are adjusted for
MOST_ROWS, MOST_OF_A_USER = 10_000, 200  # rows that coefficients and tau are estimated from
FEATURE_SDS = (0.03, 0.06, 0.12, 0.25, 0.5, 1.0)


@dataclass
class UserEffects:
    """How the users of one log differ, estimated when first asked for.

    Attributes
    ----------
    train, val : Feedback
        Training and validation rows.
    cfg : Train
        Settings: seed and ``users``.
    features, fold : callable
        Return the (n, k) standardised features and the (n,) folds of the training rows.
    reports : dict
        ``ratings`` and ``reactions`` -> tau, numbers of users, and whether intercepts are used and why.

    """

    train: Feedback
    val: Feedback
    cfg: Train
    features: Callable[[], Tensor]
    fold: Callable[[], Tensor]
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    _found: dict[str, UserIntercepts] = field(default_factory=dict)
    _offsets: dict[tuple[str, bool], tuple[Tensor, Tensor]] = field(default_factory=dict)

    @property
    def in_use(self) -> bool:
        """Whether intercepts are used for what users say or for who reacts."""
        return self.differ("ratings") or self.differ("reactions")

    def differ(self, kind: str) -> bool:
        """Return whether intercepts are used.

        Parameters
        ----------
        kind : str
            What users do: ``ratings`` (up or down, on rated rows), ``reactions`` (rated or not, on all
            rows), or nothing.

        """
        data, mode = self.train, self.cfg.users
        if not kind or data.user is None or data.o is None or mode == "off":
            return False
        if kind not in self._found:
            known = self._rows(kind)
            found = fit_linear(sample_users(known, self.cfg.seed, kind))
            report = {"effective_users": round(known.effective_users, 1)}
            self._found[kind] = found
            self.reports[kind] = report | explained(found, always=mode == "on")
        return bool(self.reports[kind]["used"])

    def offsets(self, kind: str, *, apart: bool) -> tuple[Tensor, Tensor] | None:
        """Return what to add to the logits in training; None where intercepts are not used.

        Parameters
        ----------
        kind : str
            What users do.
        apart : bool
            Whether column m is estimated without the rows of fold m, for networks of folds. Otherwise all
            training rows are used.

        Returns
        -------
        tuple of Tensor, or None
            (n,) or (n, K) intercepts of the training rows' users, and the same for the validation rows.

        """
        if not self.differ(kind):
            return None
        if (kind, apart) not in self._offsets:
            known, found = self._rows(kind), self._found[kind]
            logit = known.design @ found.w
            values = [found.of(known, logit)]
            if apart:
                fold = self.fold().numpy()[target_rows(kind, self.train)[0].cpu().numpy()]
                parts = [fold != m for m in range(fold.max() + 1)]
                values = [found.of(known.subset(part), logit[part]) for part in parts]
            numbers = user_numbers(self.train, self.val)
            rows = [of_rows(np.stack(values, 1), n, self.train.y) for n in numbers]
            first, second = rows if apart else [v[:, 0] for v in rows]
            self._offsets[kind, apart] = first, second
        return self._offsets[kind, apart]

    def _rows(self, kind: str) -> UserRows:
        rows, outcome = target_rows(kind, self.train)
        numbers = user_numbers(self.train, self.val)
        return user_rows(self.train, numbers[0], self._design, outcome, rows)

    @cached_property
    def _design(self) -> Array:
        """(n, p) ones, leading directions of the features, and context."""
        x = self.features().float().cpu().numpy()
        if x.shape[1] > DIRECTIONS:
            some = x[:: max(1, len(x) // 4096)].astype(np.float64)
            axes = np.linalg.eigh(some.T @ some)[1][:, ::-1]
            x = x @ axes[:, :DIRECTIONS].astype(np.float32)
            x /= max(float(np.sqrt(np.square(x).mean())), 1e-12)
        train = x.astype(np.float64)
        parts = [np.ones((len(train), 1)), train]
        if self.train.z is not None:
            z = self.train.z.double().cpu().numpy()
            parts.append((z - z.mean(0)) / np.maximum(z.std(0), 1e-9))
        return np.hstack(parts)


def sample_users(rows: UserRows, seed: int, kind: str) -> UserRows:
    """Return at most `MOST_ROWS` rows of whole users, of whom the most active keep `MOST_OF_A_USER` each.

    Parameters
    ----------
    rows : UserRows
        The rows; all are returned where they are few.
    seed : int
        Root of the random stream.
    kind : str
        Name of the random stream.

    """
    if len(rows.user) <= MOST_ROWS:
        return rows
    rng = numpy_stream(seed, "users", kind)
    order = rng.permutation(len(rows.user))
    user = rows.user[order]
    place = np.empty(len(user), dtype=np.int64)  # of the row among those of its user
    by_user = np.argsort(user, kind="stable")
    starts = np.flatnonzero(np.diff(user[by_user], prepend=user.min() - 1))
    place[by_user] = np.arange(len(user)) - np.repeat(starts, np.diff([*starts, len(user)]))
    capped = place < MOST_OF_A_USER
    size = np.bincount(user[capped] + 1)
    drawn = rng.permutation(len(size))
    taken = np.zeros(len(size), dtype=bool)
    taken[drawn] = np.cumsum(size[drawn]) <= MOST_ROWS
    kept = np.zeros(len(user), dtype=bool)
    kept[order[capped & taken[user + 1]]] = True
    return rows.subset(kept)


def fit_linear(rows: UserRows) -> UserIntercepts:
    """Fit intercepts beside a linear model of the features, whose ridge has the best evidence.

    Parameters
    ----------
    rows : UserRows
        The rows.

    """
    columns = rows.design.shape[1]
    data = rows.design, rows.outcome, rows.weight
    priors = [np.r_[INTERCEPT_PRECISION, np.full(columns - 1, s**-2.0)] for s in FEATURE_SDS]
    centre = np.zeros(columns)
    best = max(priors, key=lambda p: logistic(*data, p, centre).log_evidence)
    return UserIntercepts.fit(rows, best, centre)


def explained(found: UserIntercepts, *, always: bool) -> dict[str, Any]:
    """Report tau, the evidence for it, whether the intercepts are used, and why.

    Parameters
    ----------
    found : UserIntercepts
        Fitted intercepts.
    always : bool
        Whether they are used in any case.

    """
    differ = "differ" if found.evident else "do not differ"
    why = f"users {differ} by more than chance (log evidence {found.gain:.1f})"
    return {
        "tau": found.prior.tau,
        "log_evidence": round(found.gain, 2),
        "used": always or found.evident,
        "why": f"users=on; {why}" if always else why,
    }
