"""Estimates of noise rates: by gold labels, by the levels of the proxy, by its surest answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv

from trueward.core.weighted import effective_size
from trueward.data.splits import prompt_numbers

from .lapse_rates import LapseRates
from .outcome_counts import centred
from .reward_form import odds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from trueward.data.feedback import Feedback

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

NAMES = ("rho_01", "rho_10")
ANCHORS = 100  # rated rows at each end of the proxy that give the intervals, at least
DRAWS = 2000  # draws of the posterior of a rate
FEWEST_GOLD = 5  # gold labels of either class on rated rows that give a rate at all
SEEN = 0.02  # a rate that may be 0 and above this is not shown by the ratings
FEW_PROMPTS = 30


@dataclass(frozen=True)
class RateEstimates:
    """Two noise rates with their uncertainty.

    Attributes
    ----------
    source : str
        ``gold``, ``levels`` or ``extremes``.
    rates : dict of str to float
        rho_01 and rho_10.
    intervals : dict of str to (float, float)
        Their 95 % intervals.
    draws : dict of str to ndarray, shape (2000,)
        Draws of their posterior.
    warnings : dict of str to str
        What is wrong with a rate; the key ``""`` is for both.

    """

    source: str
    rates: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    draws: dict[str, Array]
    warnings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RatedRows:
    """The rated rows of a log.

    Attributes
    ----------
    z : ndarray, shape (n,)
        Out-of-fold log-odds of a thumb up, each fold at the common mean.
    up : ndarray, shape (n,)
        1 for a thumb up.
    prompt, fold : ndarray, shape (n,)
        Number of the prompt and of the fold.
    gold, weight : ndarray, shape (n,)
        Gold label, NaN where there is none, and what it stands for: 1 / P(labelled).

    """

    z: Array
    up: Array
    prompt: Index
    fold: Index
    gold: Array
    weight: Array

    @staticmethod
    def of(b: Feedback) -> RatedRows:
        """Take the rated rows; a log without unrated rows has all of them.

        Parameters
        ----------
        b : Feedback
            A log with ``eta.noisy``, unless only gold labels are read, and its ``eta.fold``, if it has any.

        """
        z = odds(b.eta.noisy).cpu().numpy() if "noisy" in b.eta else np.zeros(len(b))
        fold = np.zeros(len(b), int) if "fold" not in b.eta else b.eta.fold.cpu().numpy()
        gold = np.full(len(b), np.nan) if b.gold is None else b.gold.double().cpu().numpy()
        rated = np.ones(len(b), bool) if b.o is None else b.o.cpu().numpy() > 0
        return RatedRows(
            z=centred(z, fold, np.ones(len(z)))[rated],
            up=b.y.double().cpu().numpy()[rated],
            prompt=prompt_numbers(len(b), b.group).numpy()[rated],
            fold=fold[rated],
            gold=gold[rated],
            weight=b.label_weight.cpu().numpy()[rated],
        )

    @property
    def _sides(self) -> dict[str, tuple[NDArray[np.bool_], Array]]:
        """Gold rows that show a rate, and whether each rating is wrong; a label of 1/2 is in neither."""
        return {"rho_01": (self.gold > 0.5, 1 - self.up), "rho_10": (self.gold < 0.5, self.up)}

    @property
    def gold_counts(self) -> dict[str, int]:
        """Number of gold labels that show each rate: good ones for rho_01, bad ones for rho_10."""
        return {k: int(rows.sum()) for k, (rows, _) in self._sides.items()}

    def from_gold(self, rng: np.random.Generator) -> RateEstimates:
        """Estimate the rates by the ratings of gold rows, with Jeffreys' prior.

        Parameters
        ----------
        rng : Generator
            Source of random numbers.

        Returns
        -------
        RateEstimates
            Posterior means. Rows count 1 / P(labelled), and prompts their effective number.

        """
        rates, intervals, draws = {}, {}, {}
        for k, (rows, wrong) in self._sides.items():
            a, b = _beta(wrong[rows], self.prompt[rows], self.weight[rows])
            rates[k] = a / (a + b)
            low, high = (float(betaincinv(a, b, u)) for u in (0.025, 0.975))
            intervals[k] = (low if wrong[rows].any() else 0.0), (1.0 if wrong[rows].all() else high)
            draws[k] = np.asarray(rng.beta(a, b, DRAWS))
        return RateEstimates("gold", rates, intervals, draws)

    def from_levels(self, given: Mapping[str, float], rng: np.random.Generator) -> RateEstimates:
        """Estimate the rates by where P(thumb up) levels off; see `LapseRates`.

        Parameters
        ----------
        given : mapping of str to float
            Rates that are known.
        rng : Generator
            Source of random numbers.

        Returns
        -------
        RateEstimates
            The mode of the posterior, or 0 where the ratings show no wrong feedback, with a warning.

        """
        levels = LapseRates.fit(self.z, self.up, self.prompt, **given)
        intervals = levels.intervals
        rates = dict(zip(NAMES, levels.estimate, strict=True))
        warnings = {
            k: (
                f"the ratings do not show {k}: it is taken as {rates[k]:.2g} and may be from "
                f"{intervals[k][0]:.2f} to "
                f"{intervals[k][1]:.2f}; gold labels on rated responses would show it, or give -o {k}="
            )
            for k in NAMES
            if (intervals[k][0] == 0 or not levels.shown) and intervals[k][1] > SEEN
        }
        if (prompts := len(np.unique(self.prompt))) < FEW_PROMPTS:
            warnings[""] = f"the ratings that give the noise rates belong to only {prompts} prompts"
        draws = dict(zip(NAMES, levels.draws(DRAWS, rng), strict=True))
        return RateEstimates("levels", rates, intervals, draws, warnings)

    def from_extremes(
        self, rates: Mapping[str, float], quantile: float, rng: np.random.Generator
    ) -> RateEstimates:
        """Return rates that were read off the proxy, with intervals of the ratings of its surest answers.

        Parameters
        ----------
        rates : mapping of str to float
            Quantiles of the proxy.
        quantile : float
            u; a share 1 - u of the rows is taken at each end, and at least 100 rows.
        rng : Generator
            Source of random numbers.

        Returns
        -------
        RateEstimates
            With a warning of every rate outside its interval.

        """
        order = np.argsort(_rank_within_fold(self.z, self.fold), kind="stable")
        n = len(order)
        size = max(1, min(n // 2, max(ANCHORS, round((1 - quantile) * n))))
        intervals, draws, warnings = {}, {}, {}
        sides = {"rho_10": (order[:size], self.up), "rho_01": (order[-size:], 1 - self.up)}
        for k, (rows, wrong) in sides.items():
            a, b = _beta(wrong[rows], self.prompt[rows], np.ones(size))
            draws[k] = np.asarray(rng.beta(a, b, DRAWS))
            low, high = (float(v) for v in np.quantile(draws[k], [0.025, 0.975]))
            intervals[k] = low, high
            if not low - 1e-9 <= rates[k] <= high + 1e-9:
                warnings[k] = (
                    f"the estimated rate {k} ({rates[k]:.2f}) disagrees with the ratings of the surest "
                    f"answers ({low:.2f} to {high:.2f}); try -o {k}={draws[k].mean():.2f}"
                )
        prompts = min(len(np.unique(self.prompt[rows])) for rows, _ in sides.values())
        if prompts < FEW_PROMPTS:
            warnings[""] = f"the answers that give the noise rates belong to only {prompts} prompts"
        return RateEstimates("extremes", dict(rates), intervals, draws, warnings)

    def beside_gold(self, rates: Mapping[str, float], what: str) -> list[str]:
        """Return a sentence for every rate outside the interval that gold labels give it.

        Parameters
        ----------
        rates : mapping of str to float
            Rates that gold labels did not give.
        what : str
            Their source in the sentence, as in "the given rate".

        """
        told = [k for k in rates if self.gold_counts[k] >= FEWEST_GOLD]
        if not told:
            return []
        gold = self.from_gold(np.random.default_rng(0))
        return [
            f"the {what} rate {k} ({rates[k]:.2f}) disagrees with {self.gold_counts[k]} gold labels on rated "
            f"responses ({low:.2f} to {high:.2f}); try -o {k}={gold.rates[k]:.2f}"
            for k, (low, high) in gold.intervals.items()
            if k in told and not low <= rates[k] <= high
        ]


def _rank_within_fold(z: Array, fold: Index) -> Array:
    """Return the rank of every row among those of its fold, in (0, 1).

    A fold with more flips than the rest gets a proxy that was trained on fewer flips and is surer. Ranks over
    all folds together would therefore select more flipped rows than ranks within folds.
    """
    rank = np.empty(len(z))
    for k in np.unique(fold):
        own = np.flatnonzero(fold == k)
        rank[own[np.argsort(z[own], kind="stable")]] = (np.arange(len(own)) + 0.5) / len(own)
    return rank


def _beta(v: Array, ids: Index, weight: Array) -> tuple[float, float]:
    """Return the Beta posterior of the mean of 0/1 values, with the effective number of clustered rows."""
    if not len(v):
        return 0.5, 0.5
    total, mean = float(weight.sum()), float(np.average(v, weights=weight))
    clusters = np.bincount(np.unique(ids, return_inverse=True)[1], weight * (v - mean))
    count = len(clusters)
    spread = float(np.square(clusters).sum()) * count / max(count - 1, 1)
    size = effective_size(weight)
    size = min(size, mean * (1 - mean) * total**2 / spread if spread > 1e-12 else float(count))
    return mean * size + 0.5, (1 - mean) * size + 0.5
