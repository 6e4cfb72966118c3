"""Intervals of a statistic whose rows share users and prompts, from the influence of every row.

The variance is clustered by user and by prompt (Cameron, Gelbach and Miller 2011):

V = max(V_user + V_prompt - V_both, V_user, V_prompt),
V_c = (C - 1) / C * sum over clusters c of [sum_{i in c} f_i / (1 - n_c / n)]^2,

with f_i the influence of row i, n_c the mass of cluster c, and C the number of clusters. The division by
1 - n_c / n is the jackknife's correction for large clusters (Bell and McCaffrey 2002, CR3).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from trueward.core.errors import UsageError
from trueward.core.estimate import Estimate
from trueward.core.intervals import skewness, student_interval
from trueward.core.weighted import effective_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueward.core.intervals import Scale

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

#: Units that intervals are clustered by.
Cluster = Literal["prompt", "user", "both"]
FEW = 10  # effective units below which intervals are approximate


@dataclass(frozen=True)
class Clusters:
    """The prompt and the user of every row, as the units that a variance is clustered by.

    See Also
    --------
    clusters : Makes it from ids.

    Examples
    --------
    >>> units = clusters(4, user=np.array([7, 7, 8, 8]), cluster="user")
    >>> units.effective()
    {'user': 2.0}
    >>> units.variance(np.array([0.1, 0.1, -0.1, -0.1])).round(3)  # 1/2 [(.2 / .5)^2 + (-.2 / .5)^2]
    np.float64(0.16)

    """

    #: Name of the unit -> (n,) number of the unit of every row, counted from 0.
    units: dict[str, Index]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self.units.values())))

    def rows(self, kept: NDArray[np.bool_] | Index) -> Clusters:
        """Return the clusters of the rows where ``kept``, (n,) bool, is true, or of row numbers."""
        if kept.dtype == bool and kept.all():
            return self
        return Clusters(
            {k: np.unique(v[kept], return_inverse=True)[1] for k, v in self.units.items()}
        )

    @cached_property
    def both(self) -> Index:
        """(n,) number of the pair of units of every row."""
        pair = np.zeros(len(self), dtype=np.int64)
        for unit in self.units.values():
            pair = pair * (int(unit.max(initial=0)) + 1) + unit
        return np.asarray(np.unique(pair, return_inverse=True)[1], dtype=np.int64)

    def effective(self, mass: Array | None = None) -> dict[str, float]:
        """Compute the effective number of units of each kind: (sum n_c)^2 / sum n_c^2.

        Parameters
        ----------
        mass : (n,) array, optional
            How much each row carries of the statistic, such as its weight or its pairs; 1 by default.

        Returns
        -------
        dict of str to float
            Name of the unit -> effective number; 0 without any mass.

        """
        return {name: effective_size(np.bincount(unit, mass)) for name, unit in self.units.items()}

    def degrees(self, mass: Array | None = None) -> float:
        """Compute the degrees of freedom: the least effective number of units, minus 1."""
        return min(self.effective(mass).values()) - 1

    def variance(self, influence: Array, mass: Array | None = None) -> Array:
        """Compute the variance of a statistic, clustered by all units.

        Parameters
        ----------
        influence : (n,) or (n, k) array
            Influence of every row on each of k statistics: what it adds to their deviations.
        mass : (n,) array, optional
            How much each row carries of the statistic; 1 by default.

        Returns
        -------
        () or (k, k) array
            The variance, or the covariance matrix. Infinite where one unit carries all of the statistic.

        """
        each = {k: _covariance(influence, unit, mass) for k, unit in self.units.items()}
        if len(each) == 1:
            return next(iter(each.values()))
        both = sum(each.values()) - _covariance(influence, self.both, mass)
        choices = [np.asarray(both), *each.values()]
        return max(choices, key=lambda v: float(np.trace(np.atleast_2d(v))))

    def skewness(self, influence: Array) -> float:
        """Compute the skewness of a sum of influence values, (n,): sum d^3 / (sum d^2)^1.5 over units.

        d are the sums of the units of the kind whose sum d^2 is the largest.
        """
        totals = [np.bincount(unit, influence).astype(np.float64) for unit in self.units.values()]
        return skewness(max(totals, key=lambda d: float(d @ d)))

    def estimate(
        self, value: float, influence: Array, scale: Scale = "difference", mass: Array | None = None
    ) -> Estimate:
        """Compute the 95 % interval of a statistic by Student's t, corrected for skewness.

        Parameters
        ----------
        value : float
            The statistic.
        influence : (n,) array
            Influence of every row.
        scale : str, default "difference"
            See `student_interval`.
        mass : (n,) array, optional
            How much each row carries of the statistic; 1 by default.

        Returns
        -------
        Estimate
            Without an interval where fewer than two effective units carry the statistic.

        """
        effective = self.effective(mass)
        name = min(effective, key=lambda k: effective[k])
        if len(np.unique(self.units[name][_carries(mass, len(self))])) < 2:
            return Estimate(value, reason=f"one {name}, so no interval")
        if effective[name] < 2:
            few = f"an effective number of {effective[name]:.1f} {name}s carries it"
            return Estimate(value, reason=f"{few}, so no interval")
        error = float(np.sqrt(self.variance(influence, mass)))
        return student_interval(value, error, effective[name] - 1, scale, self.skewness(influence))


def clusters(
    n: int,
    *,
    group: NDArray[np.int64] | None = None,
    user: NDArray[np.int64] | None = None,
    cluster: Cluster = "both",
) -> Clusters:
    """Return the units that the intervals of n rows are clustered by.

    Parameters
    ----------
    n : int
        Number of rows.
    group, user : (n,) array, optional
        Prompt and user of every row; users below 0 are unknown, each a user of its own.
    cluster : {"prompt", "user", "both"}, default "both"
        Units to use. ``both`` takes those whose ids are given; without any, every row is its own prompt.

    Returns
    -------
    Clusters
        One or two units.

    Raises
    ------
    UsageError
        If ``cluster`` is none of these, or ``user`` without ids of users.

    Examples
    --------
    >>> clusters(3, group=np.array([5, 5, 9])).units
    {'prompt': array([0, 0, 1])}

    """
    if cluster not in get_args(Cluster):
        raise UsageError(f"cluster is prompt, user or both, not {cluster!r}")
    if cluster == "user" and user is None:
        raise UsageError(
            "clustering by user needs the user of every row: add a column user_id, or cluster by prompt"
        )
    units = (
        {} if cluster == "user" else {"prompt": np.arange(n) if group is None else _codes(group)}
    )
    if user is not None and cluster != "prompt":
        units["user"] = _codes(user)
    return Clusters(units)


def few_warnings(effective: dict[str, float]) -> tuple[str, ...]:
    """Warn of intervals that rest on fewer than 10 effective users or prompts.

    Parameters
    ----------
    effective : dict of str to float
        Name of the unit -> effective number, see `Clusters.effective`.

    Returns
    -------
    tuple of str
        One sentence for each such unit.

    """
    return tuple(
        f"the rows come from an effective number of {size:.1f} {name}s, and intervals need 10: with fewer "
        "they can be too narrow"
        for name, size in effective.items()
        if 0 < size < FEW
    )


def _covariance(influence: Array, unit: Index, mass: Array | None) -> Array:
    """V_c of the module's docstring, of one statistic or of k."""
    size = np.bincount(unit, mass)
    there = size > 0
    share = size[there] / size.sum()
    if len(share) < 2:
        return np.full(influence.shape[1:] * 2, np.inf)
    f = influence.reshape(len(influence), -1)
    total = np.stack([np.bincount(unit, f[:, k])[there] for k in range(f.shape[1])], 1)
    total = total / (1 - share[:, None])
    found = (1 - 1 / len(share)) * total.T @ total
    return np.asarray(found.reshape(influence.shape[1:] * 2), dtype=np.float64)


def _carries(mass: Array | None, n: int) -> NDArray[np.bool_]:
    return np.ones(n, dtype=bool) if mass is None else mass > 0


def _codes(ids: NDArray[np.int64]) -> Index:
    """Number ids from 0."""
    return np.asarray(np.unique(ids, return_inverse=True)[1], dtype=np.int64)
