"""Labels of which some are missing, and the sets of values that they allow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueward.core.clustering import Clusters

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    Mask = NDArray[np.bool_]

WORST = math.inf  # odds ratio without any limit: the unrated are good or bad as it may be
TAIL = 0.975  # of each of the two one-sided intervals, so that both ends are covered in 95 %


@dataclass(frozen=True)
class IdentifiedSet:
    """All values of a quantity that a log allows under one limit on who reacts.

    Attributes
    ----------
    gamma : float
        Largest odds ratio of reacting, good against bad or the inverse; ``inf`` is the worst case.
    low, high : float
        Estimated ends of the set; equal where the assumption determines the quantity.
    ci_low, ci_high : float
        Two one-sided 97.5 % intervals: both ends of the set lie between them in 95 of 100 logs.

    """

    gamma: float
    low: float
    high: float
    ci_low: float
    ci_high: float

    def __str__(self) -> str:
        """Format the ends of the set, or its one value, with the 95 % interval."""
        ends = f"{self.low:.3f}"
        if self.high - self.low > 5e-4:
            ends += f" to {self.high:.3f}"
        return f"{ends} [{self.ci_low:.3f}, {self.ci_high:.3f}]"

    def to_json(self) -> dict[str, float | None]:
        """Return the fields as plain data; ``gamma`` is null for the worst case."""
        fields: dict[str, float | None] = dict(vars(self))
        return fields | {"gamma": self.gamma if math.isfinite(self.gamma) else None}


def clustered_sum_error(units: Clusters, influence: Array, mass: Array) -> tuple[float, float]:
    """Compute the standard error of a sum of influence values, and its degrees of freedom.

    Parameters
    ----------
    units : Clusters
        Prompts and users of the rows.
    influence : (n,) array
        Influence of every row on the sum.
    mass : (n,) array
        How much each row carries of the sum.

    Returns
    -------
    error, freedom : float
        By `Clusters.variance`, infinite where one prompt or user carries all; and `Clusters.degrees`, at
        least 1.

    """
    error = float(np.sqrt(units.variance(influence, mass)))
    return error, max(1.0, units.degrees(mass))


def tilt(f: Array, delta: float) -> tuple[Array, Array]:
    """Tilt P(good) by a log odds ratio: h = f e^-delta / (1 - f + f e^-delta), and its slope in f.

    Parameters
    ----------
    f : (n,) array
        P(good given rated), in [0, 1].
    delta : float
        Log odds ratio of reacting, good against bad; ``inf`` makes every unrated row bad.

    Returns
    -------
    h, slope : (n,) array
        P(good given unrated), and dh/df.

    Examples
    --------
    >>> h, slope = tilt(np.array([0.6]), math.log(3))
    >>> h.round(4).tolist(), slope.round(4).tolist()
    ([0.3333], [0.9259])

    """
    if math.isinf(delta):
        return np.full(len(f), 0.0 if delta > 0 else 1.0), np.zeros(len(f))
    inside = f.clip(1e-12, 1 - 1e-12)
    h = expit(logit(inside) - delta)
    return h, h * (1 - h) / (inside * (1 - inside))


@dataclass(frozen=True)
class PartialLabels:
    """Rows of a log whose label is known on some, with the nuisances that stand for it on the others."""

    #: (n,) unbiased label of rated rows: the rating, corrected by the noise rates; 0 elsewhere.
    rating: Array
    #: (n,) whether a row is rated.
    rated: Mask
    #: (n,) gold label, NaN where there is none.
    gold: Array
    #: (n,) P(good given rated, x), out of fold.
    f: Array
    #: (n,) P(rated given x), out of fold and clipped.
    p: Array
    #: (n,) number of rows of the population that a row represents.
    weight: Array
    clusters: Clusters
    #: (n,) probability of being good of rated rows, in [0, 1]: the rating itself without noise.
    posterior: Array
    #: (n,) P(gold label given unrated, x); None where the gold labels are a random draw of the rows.
    gold_chance: Array | None = None
    #: Share of the rows whose f is held at 0 or 1, because P(up given rated, x) is outside the noise rates.
    held: float = 0.0

    @property
    def known(self) -> Mask:
        """(n,) whether a row has a rating or a gold label."""
        return self.rated | ~np.isnan(self.gold)

    @property
    def odds_unknown(self) -> Array:
        """(n,) rows without a label for every rated row like this one: (1 - p) / p, less those with gold."""
        odds = (1 - self.p) / self.p
        if self.gold_chance is not None:
            return np.asarray((1 - self.gold_chance) * odds)
        silent = ~self.rated
        gold = ~np.isnan(self.gold[silent])
        share = np.average(gold, weights=self.weight[silent]) if silent.any() else 0.0
        return np.asarray((1 - share) * odds)

    def pseudo_labels(self, delta: float) -> Array:
        """(n,) values whose mean is that of the labels at one log odds ratio of reacting.

        Known labels, h_delta(f) on the others, and o (1 - p) / p h'_delta(f) (rating - f), which makes the
        mean insensitive to small errors of f and p. At delta = 0: the augmented inverse-propensity mean.
        """
        h, slope = tilt(self.f, delta)
        value = np.where(self.rated, self.rating, h)
        value = np.where(np.isnan(self.gold), value, np.nan_to_num(self.gold))
        correction = self.odds_unknown * slope * (self.rating - self.f)
        return np.asarray(value + np.where(self.rated, correction, 0.0))
