"""Models of who reacts, averaged by their evidence; the fallback is the network of naive."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trueward.core.random import numpy_stream

from .nuisance_types import Computed
from .outcome_counts import OutcomeCounts
from .reaction_models import ReactionAverage, ReactionModel, posterior_shares
from .reward_form import logit_mixture, odds
from .selection_models import fit_selection_models
from .user_intercepts import user_column

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Feedback

    from .nuisance_types import Parameters

    Array = NDArray[np.float64]

#: log prior odds of every kind of model of who reacts against ``at_random``; models of a kind share it
LOG_PRIOR = {"at_random": 0.0, "stacked": -3.0, "by_label": -2.0, "by_label_noisy": -2.0}
GATE = 0.4  # weight of all models but ``at_random`` from which the ranking may leave that of naive
SETTLED = 0.8  # weight from which the log is said to show that the label decides who reacts
TRIED_RATES = (0.05, 0.1, 0.2)  # noise rates of ``by_label_noisy``, in every pair
OPEN_SD = 1.5  # sd of d that missing at random leaves open: 90 % within odds ratios of 1/12 and 12
MARGIN_SD = 0.75  # the same around a fitted d
WIDE = 0.2  # width of the range that is worth a warning
NEGLIGIBLE = 1e-4  # weight below which a model is left out
SOME_GOLD = 30  # gold labels that ``anchored`` needs


@dataclass(frozen=True)
class SelectionAverage(ReactionAverage[ReactionModel, OutcomeCounts]):
    """An average of the models of who reacts that the ratings of a log allow."""

    @staticmethod
    def fit(counts: OutcomeCounts, rho_01: float, rho_10: float) -> SelectionAverage:
        """Fit the models and weigh them.

        Parameters
        ----------
        counts : OutcomeCounts
            The rows.
        rho_01, rho_10 : float
            P(observed 0 given true 1) and P(observed 1 given true 0).

        """
        models = fit_selection_models(counts, rho_01, rho_10, TRIED_RATES)
        return SelectionAverage(models, posterior_shares(models, LOG_PRIOR), counts)

    @property
    def uses_unrated(self) -> bool:
        """Whether the evidence is enough for unrated responses to change the ranking."""
        return bool(1 - self.weights[0] >= GATE)

    @property
    def strength(self) -> float:
        """Mean d: the log odds ratio of reacting to a good and to a bad answer."""
        return float(self._mean([m.strength()[0] for m in self.models]))

    @cached_property
    def coefficients(self) -> tuple[Array, Array]:
        """The components of the mixture.

        With enough evidence, one component a model, each linear in q and p. Otherwise one component, naive's
        own network, shifted so that the share of good responses is the average of the models.

        Returns
        -------
        weights : ndarray, shape (k,)
        coefficients : ndarray, shape (k, 4)
            Of f_k on 1, q, p and the logit of naive.

        """
        if self.uses_unrated:
            kept = self.weights >= NEGLIGIBLE
            rows = [np.append(m.log_odds(self.counts), 0.0) for m in self.models]
            return self.weights[kept] / self.weights[kept].sum(), np.array(rows)[kept]
        levels = (m.parameters[0] - m.strength()[0] for m in self.models)
        share = float(self._mean([self._share(v, 1.0, 0.0) for v in levels]))
        shift = self._shift(np.array([[0.0, 1.0, 0.0]]), np.ones(1), share)
        return np.ones(1), np.array([[shift, 0.0, 0.0, 1.0]])

    def share_range(self, seed: int) -> tuple[float, float]:
        """Return the 5 and 95 % quantiles of the share of good responses over what the log leaves open.

        A model by its weight, its parameters from the Laplace approximation, and d from N(0, 1.5^2) under
        missing at random, or from N(fitted d, .75^2). This is a sensitivity range, not a confidence interval.

        Parameters
        ----------
        seed : int
            Seed of the draws.

        """
        rng = numpy_stream(seed, "selection range")
        return self._range(rng, lambda m: rng.normal(0, MARGIN_SD if m.by_label else OPEN_SD))

    def report(self, seed: int) -> dict[str, Any]:
        """Return the weights, the share of good responses with its range, and a warning where it is wide.

        Parameters
        ----------
        seed : int
            Seed of the draws of the range.

        """
        w, rows = self.coefficients
        share = float(w @ [self._share(a, b + n, c) for a, b, c, n in rows])
        low, high = self.share_range(seed)
        low, high = min(low, share), max(high, share)
        needed, found = gold_labels(low, high), self._finding()
        weights = dict.fromkeys((m.name for m in self.models), 0.0)
        for v, m in zip(self.weights, self.models, strict=True):
            weights[m.name] += float(v)
        report: dict[str, Any] = {
            "weights": {k: round(v, 4) for k, v in weights.items()},
            "uses_unrated": self.uses_unrated,
            "odds_ratio": round(float(np.exp(self.strength)), 3),
            "share_good": round(share, 4),
            "share_good_range": [round(low, 4), round(high, 4)],
            "gold_labels": needed,
        }
        flat = self.at_bound
        if flat:
            report["on_bound"] = flat
            found += f"; the slope of the ratings is at its bound, 0, in {', '.join(flat)}"
        if high - low >= WIDE or flat:
            report["warning"] = (
                f"{found}. The share of good responses may lie between {low:.2f} and {high:.2f} (estimate: "
                f"{share:.2f}); about {needed} random gold labels would halve this range (anchored)"
            )
        else:
            report["finding"] = found
        return report

    def _finding(self) -> str:
        """Say whether unrated responses are used, and on what evidence."""
        if not self.uses_unrated:
            return (
                "the log does not show whether who reacts depends on how good the answer is (weight "
                f"{self.by_label:.2f}), so unrated responses are not used and the ranking is that of naive"
            )
        if self.by_label < SETTLED:
            return (
                "unrated responses are used in part: the chance of a rating helps to rank the responses, but "
                "the log does not settle whether who reacts depends on how good the answer is (weight "
                f"{self.by_label:.2f})"
            )
        return (
            "unrated responses are used as evidence: who reacts depends on how good the answer is "
            f"(weight {self.by_label:.2f}, odds ratio {np.exp(self.strength):.2g})"
        )


def gold_labels(low: float, high: float) -> int:
    """Return the number of random gold labels whose 95 % interval of a share is half as wide as a range.

    Parameters
    ----------
    low, high : float
        The range of the share.

    Returns
    -------
    int
        At least 30, which ``anchored`` needs.

    Examples
    --------
    >>> gold_labels(0.3, 0.7)
    97

    """
    middle, half = (low + high) / 2, max(high - low, 0.02) / 4
    return max(SOME_GOLD, int(np.ceil(middle * (1 - middle) * (1.96 / half) ** 2)))


def selection_average(rho_01: float, rho_10: float, column: str = "target") -> Computed:
    """Return the nuisance ``selection``: P(good given x), averaged over models of who reacts (methods 4.1).

    Parameters
    ----------
    rho_01, rho_10 : float
        P(observed 0 given true 1) and P(observed 1 given true 0).

    column : str
        Name of the column; another one for a method that computes ``target`` from it.

    Returns
    -------
    Computed
        It reads ``eta.noisy`` and ``eta.responds`` out of fold, and ``eta.naive``.

    """

    def fit(train: Feedback, _val: Feedback, seed: int) -> tuple[Parameters, dict[str, Any]]:
        up, rated, q, p = (
            v.double().cpu().numpy()
            for v in (
                train.seen * train.y,
                train.seen,
                odds(train.eta.noisy),
                odds(train.eta.responds),
            )
        )
        weight = train.row_weight.cpu().numpy()
        fold = train.eta.fold.cpu().numpy() if "fold" in train.eta else None
        users = {
            k: train.eta[own].double().cpu().numpy()
            for k, own in (
                ("lenient", user_column("noisy")),
                ("reacting", user_column("responds")),
            )
            if own in train.eta
        }
        counts = OutcomeCounts.of(q, p, up, rated, weight, fold, **users)
        average = SelectionAverage.fit(counts, rho_01, rho_10)
        names = ("weights", "coefficients")
        parameters = zip(names, map(torch.from_numpy, average.coefficients), strict=True)
        return dict(parameters), average.report(seed)

    def apply(parameters: Parameters, b: Feedback) -> dict[str, Tensor]:
        at = {k: v.to(b.y.device) for k, v in parameters.items()}
        columns = (odds(b.eta.noisy), odds(b.eta.responds), odds(b.eta.naive, 1e-12))
        logits = logit_mixture(at["weights"], at["coefficients"], columns)
        return {column: torch.sigmoid(logits)}

    return Computed("selection", (column,), fit, apply)
