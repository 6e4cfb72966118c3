"""P(good given x) from a log in which a lottery decided whom to ask, or the bounds where too few answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from trueward.asking.answers import FEWEST, FEWEST_ANSWER
from trueward.core.random import numpy_stream

from .asked_selection import AskedModel, fit_asked_models
from .reaction_models import ReactionAverage, posterior_shares
from .selection_average import WIDE, gold_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .asked_counts import AskedCounts

    Array = NDArray[np.float64]

#: log prior odds of the models against ``asked``
LOG_PRIOR = {"at_random": -1.0, "stacked": -3.0, "asked": 0.0, "asked_stacked": -2.0}
GATE = 0.5  # weight of the stacked models from which the chance of a rating may change the ranking


@dataclass(frozen=True)
class AskedAverage(ReactionAverage[AskedModel, "AskedCounts"]):
    """An average of the models of who reacts that a lottery of asks identifies.

    Attributes
    ----------
    as_naive : (float, float)
        Intercept and slope of the line that gives the logit of naive the mean and the spread of q.

    """

    as_naive: tuple[float, float]

    @staticmethod
    def fit(
        counts: AskedCounts,
        rho_01: float,
        rho_10: float,
        as_naive: tuple[float, float] = (0.0, 0.0),
    ) -> AskedAverage:
        """Fit the models and weigh them.

        Parameters
        ----------
        counts : AskedCounts
            The rows.
        rho_01, rho_10 : float
            P(observed 0 given true 1) and P(observed 1 given true 0).
        as_naive : (float, float)
            Intercept and slope of the line from the logit of naive to q; a slope of 0 leaves naive out.

        """
        models = fit_asked_models(counts, rho_01, rho_10)
        return AskedAverage(models, posterior_shares(models, LOG_PRIOR), counts, as_naive)

    @property
    def uses_unrated(self) -> bool:
        """Whether the evidence is enough for unrated responses to change the ranking."""
        return bool(self.weights[self._stacked].sum() >= GATE)

    @property
    def _stacked(self) -> NDArray[np.bool_]:
        return np.array([m.stacked for m in self.models])

    @cached_property
    def coefficients(self) -> tuple[Array, Array]:
        """The components of the mixture, as of `SelectionAverage`.

        One a model; without enough evidence only of the models in which f is a line in q, which rank as the
        networks of the ratings do, shifted so that the share of good responses is that of all models. q is
        the mean of itself and of naive's logit on its scale: two networks of the same ratings rank better
        than one.

        Returns
        -------
        weights : ndarray, shape (k,)
        coefficients : ndarray, shape (k, 4)
            Of f_k on 1, q, p and the logit of naive.

        """
        rows = np.array([m.log_odds(self.counts) for m in self.models])
        weights = self.weights
        if not self.uses_unrated:
            share = float(weights @ [self._share(*row) for row in rows])
            rows, weights = rows[~self._stacked], weights[~self._stacked]
            weights = weights / weights.sum()
            rows = rows + np.array([self._shift(rows, weights, share), 0.0, 0.0])
        level, slope = self.as_naive
        half = rows[:, 1] / 2 if slope > 0 else 0.0 * rows[:, 1]
        columns = [rows[:, 0] + half * level, rows[:, 1] - half, rows[:, 2], half * slope]
        return weights, np.stack(columns, 1)

    def share_range(self, seed: int) -> tuple[float, float]:
        """Return the 5 and 95 % quantiles of the share of good responses, given the models.

        A model by its weight, and its parameters from the Laplace approximation; d, which two arms do not
        identify, is one of them.

        Parameters
        ----------
        seed : int
            Seed of the draws.

        """
        return self._range(numpy_stream(seed, "asked range"))

    def report(self, seed: int) -> dict[str, Any]:
        """Return the weights, the share of good responses with its range, and what the asks say.

        Parameters
        ----------
        seed : int
            Seed of the draws of the range.

        """
        rows = [m.log_odds(self.counts) for m in self.models]
        share = float(self.weights @ [self._share(*row) for row in rows])
        low, high = self.share_range(seed)
        low, high = min(low, share), max(high, share)
        b, d = self._mean([m.strength() for m in self.models])
        needed = gold_labels(low, high)
        report: dict[str, Any] = {
            "weights": {
                m.name: round(float(w), 4) for m, w in zip(self.models, self.weights, strict=True)
            },
            "uses_unrated": self.uses_unrated,
            "odds_ratio": round(float(np.exp(b)), 3),
            "odds_ratio_asked": round(float(np.exp(b + d)), 3),
            "share_good": round(share, 4),
            "share_good_range": [round(low, 4), round(high, 4)],
            "gold_labels": needed,
            "asks": facts(self.counts),
        }
        found = (
            f"a lottery of asks shows who reacts: odds ratio {np.exp(b):.2g} of reacting to a good and to a "
            f"bad answer (missing at random has the weight {1 - self.by_label:.2f})"
        )
        warnings = []
        if high - low >= WIDE:
            warnings.append(
                f"{found}. The share of good responses may lie between {low:.2f} and {high:.2f} (estimate: "
                f"{share:.2f}); {needed} gold labels on the asked who stayed silent would say more"
            )
        least, most = self.counts.bounds
        if not least <= share <= most:
            warnings.append(
                f"the estimated share of good responses ({share:.2f}) lies outside of what the reactions "
                f"allow whoever answers ({least:.2f} to {most:.2f}): the model of who answers is wrong here; "
                "label some of the asked who stayed silent (trueward ask check --gold)"
            )
        if flat := self.at_bound:
            report["on_bound"] = flat
            warnings.append(f"the slope of the ratings is at its bound, 0, in {', '.join(flat)}")
        return report | ({"warning": "; ".join(warnings)} if warnings else {"finding": found})


def facts(counts: AskedCounts) -> dict[str, Any]:
    """Return what a lottery of asks says without a model, as plain data.

    Parameters
    ----------
    counts : AskedCounts
        Its rows.

    Returns
    -------
    dict
        ``rows`` and ``answering`` of every arm, ``gold`` labels, and ``bounds`` of the share of good
        responses.

    """
    return {
        "rows": [round(float(v), 1) for v in np.bincount(counts.arm, counts.n)],
        "answering": [round(float(v), 4) for v in counts.answering],
        "gold": round(float(counts.gold.sum()), 1),
        "bounds": [round(v, 4) for v in counts.bounds],
    }


def usable(counts: AskedCounts) -> bool:
    """Return whether the answers of a lottery say more than bounds.

    Parameters
    ----------
    counts : AskedCounts
        Its rows.

    Returns
    -------
    bool

    """
    answered = np.bincount(counts.arm, counts.rated)
    enough = bool((answered >= 1).all() and answered[1:].sum() >= FEWEST)
    gold = float(counts.gold.sum())
    return enough and (float(counts.answering[1:].max()) >= FEWEST_ANSWER or gold >= FEWEST)


def bounded(report: dict[str, Any], counts: AskedCounts) -> dict[str, Any]:
    """Return a report with the bounds of the share of good responses in place of an estimate.

    Parameters
    ----------
    report : dict
        Of `selection_average`.
    counts : AskedCounts
        The rows of the lottery.

    Returns
    -------
    dict

    """
    least, most = counts.bounds
    low, high = (f(least, most) for f in (min, max))
    answering = float(counts.answering[1:].max())
    said = {k: v for k, v in report.items() if k not in {"warning", "finding"}}
    return said | {
        "share_good": None,
        "share_good_range": [round(low, 4), round(high, 4)],
        "gold_labels": gold_labels(low, high),
        "asks": facts(counts),
        "warning": (
            f"{answering:.0%} of the asked answered, and below {FEWEST_ANSWER:.0%} asks give bounds only: "
            f"the share of good responses lies between {low:.2f} and {high:.2f}, and the level of the "
            "rewards is not identified. Make answering easier, or label some of the asked who stayed silent"
        ),
    }
