"""Split-conformal sets of labels: thresholds, decisions, and the error among decided responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trueward.core.errors import UsageError
from trueward.core.estimate import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueward.core.clustering import Clusters

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

REPORTED = (0.9, 0.95)  # levels at which a calibration reports its decisions
PARTS = 100  # most parts of the gold prompts: each is decided by thresholds from the others


@dataclass(frozen=True, eq=False)
class GoldRows:
    """Gold rows with a calibrated P(preferred) from a fit on other prompts.

    Attributes
    ----------
    p : ndarray, shape (n,)
        Held-out calibrated P(preferred).
    label : ndarray, shape (n,)
        Gold labels in [0, 1]; a graded label r counts r as good and 1 - r as bad.
    weight : ndarray, shape (n,)
        Number of responses that each row stands for.
    new_weight : float
        The same of a new response.
    prompt : ndarray of int, shape (n,)
        Number of the prompt, counted from 0.

    """

    p: Array
    label: Array
    weight: Array
    new_weight: float
    prompt: Index

    def scores(self) -> tuple[Array, Array, Array]:
        """Return nonconformity scores 1 - P(label), sorted, with their labels and weights.

        Returns
        -------
        score, label, weight : ndarray, shape (m,)
            A row with a label between 0 and 1 gives two scores.

        """
        score = np.concatenate([1 - self.p, self.p])
        label = np.repeat([1.0, 0.0], len(self.p))
        weight = np.concatenate([self.weight * self.label, self.weight * (1 - self.label)])
        order = np.lexsort((np.tile(np.arange(len(self.p)), 2), score))
        order = order[weight[order] > 0]
        return score[order], label[order], weight[order]

    def new_mass(self) -> tuple[float, float, float]:
        """Return the mass of a new prompt among all rows, among the good ones and among the bad ones.

        Gold labels come by prompt, and so do new responses: (sum over prompts of squared mass) / (sum of
        squared weights), times the weight of a new response. 1 for rows of weight 1 on different prompts.
        """
        every, good, bad = (
            self.new_weight * _mates(self.weight * kept, self.prompt)
            for kept in (np.ones(len(self.p)), self.label, 1 - self.label)
        )
        return every, good, bad

    def decided(self, level: float, *, by_class: bool) -> Index:
        """Decide every row by thresholds from the rows of other prompts.

        Parameters
        ----------
        level : float
            Confidence in [0.5, 1).
        by_class : bool
            Whether the sets are class-conditional.

        Returns
        -------
        ndarray of int, shape (n,)
            1 good, 0 bad, -1 undecided.

        """
        part = self.prompt % PARTS
        found = np.full(len(self.p), -1)
        for k in np.unique(part):
            rest, own = part != k, part == k
            if not rest.any():
                continue
            other = GoldRows(
                self.p[rest],
                self.label[rest],
                self.weight[rest],
                self.new_weight,
                self.prompt[rest],
            )
            largest = limits(*other.scores(), other.new_mass(), level, by_class)
            found[own] = decisions(self.p[own], largest)
        return found

    def error(self, level: float, units: Clusters, *, by_class: bool) -> tuple[float, Estimate]:
        """Estimate how many responses are decided, and how many of these decisions are wrong.

        Parameters
        ----------
        level : float
            Confidence in [0.5, 1).
        units : Clusters
            Prompts and users of the rows.
        by_class : bool
            Whether the sets are class-conditional.

        Returns
        -------
        decided : float
            Share of responses that are decided.
        error : Estimate
            Share of wrong decisions among them, with a 95 % interval over prompts and users.

        """
        made = self.decided(level, by_class=by_class)
        mass = self.weight * (made >= 0)
        share = float(mass.sum() / self.weight.sum())
        if not mass.any():
            return share, Estimate(None, reason="no response is decided")
        wrong = np.abs(made - self.label)
        rate = float(np.average(wrong, weights=mass))
        return share, units.estimate(rate, mass * (wrong - rate) / mass.sum(), "share", mass)

    def report(self, units: Clusters) -> list[dict[str, Any]]:
        """Return the share of decided responses and the error among them, at confidence .9 and .95."""
        found = []
        for by_class in (False, True):
            for level in REPORTED:
                decided, error = self.error(level, units, by_class=by_class)
                about = {"confidence": level, "by_class": by_class, "decided": round(decided, 4)}
                found.append(about | {"error": error.to_json()})
        return found


def limits(
    score: Array,
    label: Array,
    weight: Array,
    new_mass: tuple[float, float, float],
    level: float,
    by_class: bool,
) -> tuple[float, float]:
    """Return the largest P(other label) at which a response may be good, and at which it may be bad.

    Parameters
    ----------
    score, label, weight : ndarray, shape (m,)
        Nonconformity scores, sorted, with their labels 0 or 1 and weights.
    new_mass : (float, float, float)
        Mass of a new prompt: among all rows, the good ones, the bad ones.
    level : float
        Confidence in [0.5, 1).
    by_class : bool
        Whether a label's threshold is from the scores of this label alone.

    Returns
    -------
    good, bad : float

    """
    if not by_class:
        both = threshold(score, weight, new_mass[0], level)
        return both, both
    good, bad = (label == 1, new_mass[1]), (label == 0, new_mass[2])
    first, second = (threshold(score[k], weight[k], new, level) for k, new in (good, bad))
    return first, second


def threshold(score: Array, weight: Array, new_mass: float, level: float) -> float:
    """Return the first score at which the cumulative weight reaches ``level`` of the total, else 1.

    Parameters
    ----------
    score, weight : ndarray, shape (m,)
        Sorted nonconformity scores and their weights.
    new_mass : float
        Mass of a new prompt, which is part of the total.
    level : float
        Confidence in [0.5, 1).

    Returns
    -------
    float

    Examples
    --------
    >>> threshold(np.array([0.1, 0.2, 0.3]), np.ones(3), 1.0, 0.5)  # the 2nd of 3 + 1
    0.2

    """
    cumulative = np.cumsum(np.append(weight, new_mass))
    place = int((cumulative[:-1] < level * cumulative[-1]).sum())
    return float(score[place]) if place < len(score) else 1.0


def decisions(p: Array, largest: tuple[float, float]) -> Index:
    """Decide 1 (good) or 0 (bad) where the set holds this label alone, else -1.

    Parameters
    ----------
    p : ndarray, shape (n,)
        Calibrated P(preferred).
    largest : (float, float)
        See `limits`.

    Returns
    -------
    ndarray of int, shape (n,)

    """
    good, bad = 1 - p <= largest[0], p <= largest[1]
    return np.where(good & ~bad, 1, np.where(bad & ~good, 0, -1))


def known_level(level: float) -> float:
    """Return a confidence level, or refuse one outside [0.5, 1).

    Parameters
    ----------
    level : float
        The confidence level.

    Returns
    -------
    float
        The same level.

    Raises
    ------
    UsageError
        If it is out of its range.

    """
    if not 0.5 <= level < 1:
        raise UsageError(f"a confidence must be between 0.5 and 1, not {level:g}")
    return level


def guarantee(rows: GoldRows, units: Clusters) -> str:
    """Say in plain words what the confidence of the decisions holds for.

    Parameters
    ----------
    rows : GoldRows
        The gold rows.
    units : Clusters
        Their prompts and users.

    Returns
    -------
    str

    """
    text = (
        "a confidence is the share of responses whose true label is among those left open, on average over "
        "responses to new prompts that are drawn as the prompts with gold labels were"
    )
    if len(np.unique(rows.prompt)) < len(rows.prompt):
        text += "; the gold labels of one prompt count as one draw"
    if "user" in units.units:
        text += "; it holds for the same users, not for new ones"
    if (rows.weight != rows.weight[0]).any():
        text += (
            "; each gold label counts by its weight, and it holds as far as the weights are right"
        )
    return text + "; --by-class: the same among good and among bad responses"


def _mates(mass: Array, prompt: Index) -> float:
    """Sum over prompts of squared mass, by the sum of squared masses of the rows."""
    alone = float(np.square(mass).sum())
    return float(np.square(np.bincount(prompt, mass)).sum()) / alone if alone else 1.0
